/* SPDX-License-Identifier: MIT
 * A worker, and a host that writes any frames to it and anything into the memory that both share. The worker trusts the
 * bytes of values, which are this build's own, so those come from a list; frames, lengths, slots, claims and indices are
 * the input's. The worker ends when the host is gone, with an exit code, and writes nothing outside of its memory.
 *
 * The input is a program: each step is a byte, and what it needs. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/codec.h"
#include "pool/link.h"
#include "pool/wire.h"
#include "support.h"
#include "vm/worker.h"

#define MESSAGES 8
#define BODY_MAX 4096

enum { FRAME, TASK, CLAIM, SET_INDEX, PART, STEPS };

struct input {
  const uint8_t *p, *end;
};

struct message {
  uint8_t bytes[256];
  uint32_t len;
};

static struct message messages[MESSAGES];
static uint8_t body[BODY_MAX];
static size_t body_len;

static uint64_t take(struct input *in, size_t n) {
  uint64_t v = 0;
  if (n > (size_t)(in->end - in->p)) n = (size_t)(in->end - in->p);
  memcpy(&v, in->p, n);
  in->p += n;
  return v;
}

/* What tasks, items and setups are made of: each line gives the values of one message. */
static int make_messages(lua_State *L) {
  static const char *const values[MESSAGES] = {
      "return math.abs, -1", "return error, 'x'", "return 'math:abs', -2", "return 'no.such.module:f'",
      "return -3",           "return { 1, 2 }",   "return { depth = 0 }",  "return { preload = {}, init_args = {} }"};
  for (int i = 0; i < MESSAGES; i++) {
    struct ph_encoded e;
    struct ph_err err;
    const struct ph_encode_options options = {.root = "value", .externs = LUA_NOREF};
    lua_settop(L, 0);
    PH_CHECK(luaL_dostring(L, values[i]) == LUA_OK);
    PH_CHECK(ph_encode(L, &options, 1, lua_gettop(L), &e, &err) == 0 && e.len <= sizeof messages[i].bytes);
    memcpy(messages[i].bytes, e.data, e.len);
    messages[i].len = (uint32_t)e.len;
  }
  return 0;
}

static void add(const void *bytes, size_t n) {
  if (n > BODY_MAX - body_len) n = BODY_MAX - body_len;
  memcpy(body + body_len, bytes, n);
  body_len += n;
}

/* A message of the list, behind its length, which may be wrong. */
static void add_part(struct input *in) {
  unsigned how = (unsigned)take(in, 1);
  const struct message *m = &messages[how % MESSAGES];
  uint32_t len = m->len;
  if (how & 0x80) len = (uint32_t)take(in, 4);
  if (!(how & 0x40)) add(&len, sizeof len);
  add(m->bytes, how & 0x20 ? m->len / 2 : m->len);
}

static void write_frame(struct ph_link *host, struct ph_frame f, const void *head, size_t head_len, struct input *in) {
  f.len = (uint32_t)(head_len + body_len);
  if (take(in, 1) & 1) f.len = (uint32_t)take(in, 3);
  ph_link_write(host, &f, sizeof f);
  ph_link_write(host, head, head_len);
  ph_link_write(host, body, body_len);
  body_len = 0;
}

static void write_task(struct ph_link *host, struct input *in) {
  unsigned slot = (unsigned)take(in, 1);
  struct ph_frame f = {.type = PH_FRAME_TASK, .slot = (uint16_t)(slot == 255 ? take(in, 2) : slot % PH_LINK_SLOTS)};
  struct ph_task_wire wire = {.id = 1, .count = 1 + (uint32_t)take(in, 1) % 4, .first = (uint32_t)take(in, 1) % 4};
  wire.flags = (uint32_t)take(in, 1);
  wire.seeded = (uint32_t)take(in, 1) & 1;
  if (f.slot < PH_LINK_SLOTS) atomic_store(&ph_link_slot(host, f.slot)->claim, PH_CLAIM_HANDED);
  write_frame(host, f, &wire, sizeof wire, in);
}

static void step(struct ph_link *host, struct input *in) {
  switch (take(in, 1) % STEPS) {
    case FRAME: {
      struct ph_frame f = {.type = (uint8_t)take(in, 1), .slot = (uint16_t)take(in, 2), .item = (uint32_t)take(in, 4)};
      write_frame(host, f, NULL, 0, in);
      break;
    }
    case TASK: write_task(host, in); break;
    case CLAIM: {
      struct ph_slot *s = ph_link_slot(host, (unsigned)take(in, 1) % PH_LINK_SLOTS);
      atomic_store(&s->claim, (unsigned)take(in, 1));
      atomic_store(&s->stop, (unsigned)take(in, 4));
      break;
    }
    case SET_INDEX: { /* of the four in the two rings, each in a cache line of its own at the start of the memory */
      uint64_t which = take(in, 1) % 4, value = take(in, 8);
      memcpy((uint8_t *)host->shared + which * 64, &value, sizeof value);
      break;
    }
    default: add_part(in); break;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ph_link host, worker;
  struct ph_err err;
  struct input in = {data, data + size};
  int fds[2];
  lua_State *L = fuzz_state();
  if (messages[0].len == 0) make_messages(L);
  lua_settop(L, 0);
  PH_CHECK(ph_link_open(&host, fds, &err) == 0);
  PH_CHECK(ph_link_attach(&worker, fds[0], fds[1], &err) == 0);
  body_len = 0;
  while (in.p < in.end) step(&host, &in);
  ph_link_close(&host);
  const struct ph_worker_place place = {.externs = LUA_NOREF, .L = L};
  int code = ph_worker_run(&worker, &place);
  PH_CHECK(code == EXIT_SUCCESS || code == EXIT_FAILURE || code == PH_WORKER_EXIT_NO_MEMORY);
  ph_link_close(&worker);
  lua_settop(L, 0);
  return 0;
}
