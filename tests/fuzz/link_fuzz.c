/* SPDX-License-Identifier: MIT
 * A link one side of which is hostile, the worker or the host: it writes anything into its ring and into the indices
 * that both sides share. The other one gets frames, or finds the link corrupt; it never reads outside of what it was given.
 *
 * The input says which one is hostile, and is then a program: each step is a byte, and what it needs. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool/link.h"
#include "support.h"

enum { WRITE_FRAME, WRITE_BYTES, SET_INDEX, PARK, READ, WRITE_BACK, STEPS };

struct input {
  const uint8_t *p, *end;
};

static uint64_t take(struct input *in, size_t n) {
  uint64_t v = 0;
  if (n > (size_t)(in->end - in->p)) n = (size_t)(in->end - in->p);
  memcpy(&v, in->p, n);
  in->p += n;
  return v;
}

/* Reads every byte of the body, so that a sanitizer sees it. */
static void use(const struct ph_frame *f, const uint8_t *body) {
  static volatile uint8_t sum;
  for (uint32_t i = 0; i < f->len; i++) sum = (uint8_t)(sum + body[i]);
}

static void read_all(struct ph_link *good) {
  struct ph_frame f;
  const uint8_t *body;
  for (int i = 0; i < 1000 && ph_link_read(good, &f, &body) > 0; i++) {
    use(&f, body);
    free(ph_link_take_big(good));
  }
}

static void write_frame(struct ph_link *bad, struct input *in) {
  static const uint8_t bytes[300000];
  struct ph_frame f = {.len = (uint32_t)take(in, 3), .type = (uint8_t)take(in, 1), .item = (uint32_t)take(in, 1)};
  size_t n = take(in, 3) % sizeof bytes;
  ph_link_write(bad, &f, sizeof f);
  ph_link_write(bad, bytes, n);
}

static void write_bytes(struct ph_link *side, struct input *in) {
  size_t n = take(in, 1);
  if (n > (size_t)(in->end - in->p)) n = (size_t)(in->end - in->p);
  ph_link_write(side, in->p, n);
  in->p += n;
}

static void step(struct ph_link *good, struct ph_link *bad, struct input *in) {
  switch (take(in, 1) % STEPS) {
    case WRITE_FRAME: write_frame(bad, in); break;
    case WRITE_BYTES: write_bytes(bad, in); break;
    case SET_INDEX: { /* of the four in the two rings, each in a cache line of its own at the start of the memory */
      uint64_t which = take(in, 1) % 4, value = take(in, 8);
      memcpy((uint8_t *)bad->shared + which * 64, &value, sizeof value);
      break;
    }
    case PARK:
      ph_link_park(good, take(in, 1) & 1);
      ph_link_wake(good);
      break;
    case WRITE_BACK: write_bytes(good, in); break;
    default: read_all(good); break;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ph_link host, worker;
  struct ph_err err;
  int fds[2];
  struct input in = {data, data + size};
  PH_CHECK(ph_link_open(&host, fds, &err) == 0);
  PH_CHECK(ph_link_attach(&worker, fds[0], fds[1], &err) == 0);
  bool bad_host = take(&in, 1) & 1;
  struct ph_link *good = bad_host ? &worker : &host, *bad = bad_host ? &host : &worker;
  while (in.p < in.end) step(good, bad, &in);
  read_all(good);
  PH_CHECK(ph_link_unpark(good) == 0);
  ph_link_close(&worker);
  ph_link_close(&host);
  return 0;
}
