/* SPDX-License-Identifier: MIT
 * A pool with workers that are hostile: they write any frames, and anything into the memory that they share with the
 * pool; they die, or are killed as corrupt. Whatever they do, each item of each task ends in exactly one done record, and
 * the pool touches no memory but its own.
 *
 * The input is a program: each step is a byte, and what it needs. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "pool/pool_int.h"
#include "support.h"

#define WORKERS 2u
#define TASKS_MAX 40u
#define ITEMS_MAX 4u

enum { SUBMIT, FRAME, CLAIM, SLOT_WORDS, SET_INDEX, CANCEL, DIE, PUMP, TAKE, STEPS };

struct input {
  const uint8_t *p, *end;
};

static struct ph_link ends[WORKERS]; /* the workers' */
static uint64_t first_id;            /* ids go on from input to input */
static unsigned n_submitted;
static uint8_t counts[TASKS_MAX], ended[TASKS_MAX][ITEMS_MAX];

static uint64_t take(struct input *in, size_t n) {
  uint64_t v = 0;
  if (n > (size_t)(in->end - in->p)) n = (size_t)(in->end - in->p);
  memcpy(&v, in->p, n);
  in->p += n;
  return v;
}

/* --- workers ------------------------------------------------------------------------------------------------ */

static int spawn(struct ph_pool *p, struct ph_worker *w, struct ph_err *err) {
  int fds[2];
  (void)p;
  if (ph_link_open(&w->link, fds, err) != 0) return -1;
  return ph_link_attach(&ends[w->index], fds[0], fds[1], err);
}

static void ignore(struct ph_pool *p, struct ph_worker *w) {
  (void)p, (void)w;
}

static void kill_worker(struct ph_pool *p, struct ph_worker *w, bool hard) {
  (void)p, (void)w, (void)hard; /* it dies at the DIE step, or in the end: a signal takes time, too */
}

static const struct ph_backend backend = {.name = "fuzz", .spawn = spawn, .interrupt = ignore, .kill = kill_worker};

static void die(struct ph_pool *p, unsigned index, struct input *in) {
  struct ph_exit how = {.exit_code = (int)take(in, 1)};
  pthread_mutex_lock(&p->lock);
  if (p->workers[index] != NULL) {
    ph__worker_gone(p->workers[index], &how);
    ph_link_close(&ends[index]);
    ph__pump(p);
  }
  pthread_mutex_unlock(&p->lock);
}

/* --- steps -------------------------------------------------------------------------------------------------- */

static void submit(struct ph_pool *p, struct input *in) {
  static const uint8_t payload[70000];
  unsigned options = (unsigned)take(in, 1);
  struct ph_task *t = n_submitted < TASKS_MAX ? ph_task_new(ph_pool_owner(p), options & 1 ? sizeof payload : 5, 0) : NULL;
  if (t == NULL) return;
  memset(ph_task_bytes(t), 0, t->len);
  t->count = 1 + (options >> 1) % ITEMS_MAX;
  struct ph_task_options o = ph_task_defaults;
  o.retries = options >> 3 & 1;
  if (options & 16) o.timeout_ns = 1;
  if (options & 32) o.priority = 1;
  if (options & 64) o.deadline = 1;
  if ((options & 0x78) != 0 && ph_task_set_options(t, &o) != 0) abort();
  t->id = ph_pool_take_ids(p, t->count);
  if (n_submitted == 0) first_id = t->id;
  t->tag = (int64_t)n_submitted;
  counts[n_submitted] = (uint8_t)t->count;
  if (ph_client_submit(ph_pool_owner(p), t) == PH_SUBMIT_OK)
    n_submitted++;
  else
    ph_task_unref(t);
}

/* The body begins with what is left of the input, which is not used up by that. */
static void write_body(struct ph_link *end, const struct input *in, size_t n) {
  static uint8_t bytes[300000];
  size_t left = (size_t)(in->end - in->p);
  memcpy(bytes, in->p, left);
  ph_link_write(end, bytes, n < sizeof bytes ? n : sizeof bytes);
}

static void write_frame(struct ph_link *end, struct input *in) {
  struct ph_frame f = {.type = (uint8_t)take(in, 1), .slot = (uint16_t)take(in, 1), .flags = (uint8_t)take(in, 1)};
  f.item = (uint32_t)take(in, 1);
  f.len = (uint32_t)take(in, 3);
  f.reserved = (uint32_t)take(in, 4);
  size_t n = take(in, 2) & 1 ? f.len : take(in, 2);
  ph_link_write(end, &f, sizeof f);
  write_body(end, in, n);
}

static void write_slot(struct ph_link *end, struct input *in) {
  struct ph_slot *s = ph_link_slot(end, (unsigned)take(in, 1) % PH_LINK_SLOTS);
  atomic_store(&s->item, (unsigned)take(in, 4));
  atomic_store(&s->started, (int64_t)take(in, 8));
}

static void set_index(struct ph_link *end, struct input *in) {
  uint64_t which = take(in, 1) % 4, value = take(in, 8);
  memcpy((uint8_t *)end->shared + which * 64, &value, sizeof value);
}

static void note_ends(struct ph_pool *p) {
  static struct ph_buf records;
  static volatile uint8_t sum;
  if (!ph_client_take_done(ph_pool_owner(p), &records)) return;
  for (size_t at = 0; at < records.len;) {
    struct ph_done d = {0};
    memcpy(&d, records.data + at, offsetof(struct ph_done, worker));
    const uint8_t *bytes = d.big != NULL ? d.big : records.data + at + ph_done_head(&d);
    for (size_t i = 0; i < d.len; i++) sum = (uint8_t)(sum + bytes[i]);
    PH_CHECK(d.tag >= 0 && d.tag < (int64_t)n_submitted && d.item < counts[d.tag]);
    PH_CHECK(ended[d.tag][d.item]++ == 0);
    at += ph_done_stride(&d);
    free(d.big);
  }
}

static void step(struct ph_pool *p, struct input *in) {
  unsigned what = (unsigned)take(in, 1);
  unsigned index = what / STEPS % WORKERS;
  struct ph_link *end = &ends[index];
  bool lives = end->shared != NULL;
  switch (what % STEPS) {
    case SUBMIT: submit(p, in); break;
    case FRAME:
      if (lives) write_frame(end, in);
      break;
    case CLAIM:
      if (lives) atomic_store(&ph_link_slot(end, (unsigned)take(in, 1) % PH_LINK_SLOTS)->claim, (unsigned)take(in, 1));
      break;
    case SLOT_WORDS:
      if (lives) write_slot(end, in);
      break;
    case SET_INDEX:
      if (lives) set_index(end, in);
      break;
    case CANCEL: {
      unsigned how = (unsigned)take(in, 1);
      ph_pool_cancel(p, first_id + how % 64, how & 64, 0, PH_SOURCE_EXPLICIT);
      break;
    }
    case DIE: die(p, index, in); break;
    case PUMP: ph_pool_running(p); break;
    default: note_ends(p); break;
  }
}

/* Nothing is left: every worker dies, as often as it is replaced, and the rest is cancelled. */
static void end(struct ph_pool *p, struct input *in) {
  ph_pool_terminate(p, true);
  while (!ph_pool_finished(p))
    for (unsigned i = 0; i < WORKERS; i++) die(p, i, in);
  note_ends(p);
  for (unsigned i = 0; i < n_submitted; i++)
    for (unsigned k = 0; k < counts[i]; k++) PH_CHECK(ended[i][k] == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ph_pool_config config = {
      .name = "fuzz", .max_workers = WORKERS, .setup = "", .idle_timeout_ns = PH_NEVER, .grace_ns = 0, .max_restarts = 1000};
  struct input in = {data, data + size};
  struct ph_err err;
  unsigned options = (unsigned)take(&in, 1);
  config.break_on_death = options & 1;
  config.has_initializer = options & 2;
  config.max_tasks_per_worker = options & 4 ? 1 : 0;
  memset(ends, 0, sizeof ends);
  memset(ended, 0, sizeof ended);
  n_submitted = 0;
  struct ph_pool *p = ph_pool_new(&backend, &config, &err);
  PH_CHECK(p != NULL);
  p->quit = true; /* no dispatcher thread: what happens is the input's doing alone */
  while (in.p < in.end) step(p, &in);
  end(p, &in);
  ph_pool_free(p);
  return 0;
}
