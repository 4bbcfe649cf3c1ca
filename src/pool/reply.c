/* SPDX-License-Identifier: MIT
 * What comes back from workers, and how a task ends: every item of every task ends in exactly one done record. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/tally.h"
#include "pool/pool_int.h"

#define RECORDS_KEEP ((size_t)1 << 20) /* bytes of record buffer worth keeping */
#define RETRY_NS 10000000              /* without memory for a record */

/* --- ending ----------------------------------------------------------------------------------------------- */

static void count_outcome(struct ph_pool *p, uint8_t outcome) {
  if (outcome == PH_DONE_OK)
    p->completed++;
  else if (outcome == PH_DONE_CANCELLED)
    p->cancelled++;
  else
    p->failed++;
}

static void forget(struct ph_pool *p, struct ph_task *t) {
  ph__map_remove(p, t);
  if (ph_task_options(t)->deadline != PH_NEVER) ph_heap_remove(&p->deadlines, &t->special->deadline);
  t->client->staged_ends++;
  if ((t->flags & PH_TASK_SPARE) && atomic_load_explicit(&t->refs, memory_order_acquire) == 1)
    ph__give_spare(&t->client->staged_spares, t);
  else
    ph_task_unref(t);
}

static void drop_bytes(struct ph_done *done) {
  free(done->big);
  done->big = NULL;
  done->len = 0;
}

/* Without memory for its bytes, the record says so in place of them. */
static int make_room(struct ph_buf *staged, struct ph_done *done, size_t padded) {
  if (ph_buf_reserve(staged, ph_done_head(done) + padded) == 0) return 0;
  if (done->len == 0 || ph_buf_reserve(staged, sizeof *done) != 0) return -1;
  drop_bytes(done);
  done->outcome = PH_DONE_LOST;
  return 0;
}

int ph__stage(struct ph_pool *p, struct ph_task *t, struct ph_done *done, const void *bytes) {
  size_t padded = done->big != NULL ? 0 : (done->len + 7) / 8 * 8;
  struct ph_client *c = t->client;
  if (make_room(&c->staged, done, padded) != 0) return -1;
  size_t inline_len = done->big != NULL ? 0 : done->len;
  if (!c->is_dirty) {
    c->is_dirty = true;
    c->next_dirty = p->dirty;
    p->dirty = c;
  }
  done->id = t->id;
  done->tag = t->tag;
  done->label = t->label;
  done->site = t->site;
  done->place = t->place;
  done->last = done->item + 1 == t->count;
  count_outcome(p, done->outcome);
  if (ph_counted()) ph__tally_item(p, t, done);
  ph_buf_put(&c->staged, done, ph_done_head(done));
  if (bytes != NULL && inline_len > 0) {
    memcpy(c->staged.data + c->staged.len, bytes, inline_len);
    c->staged.len += padded;
  }
  return 0;
}

/* From now on the worker has nothing to do, unless something was handed to it. */
static void begin_idle(struct ph_worker *w) {
  w->since = ph__pool_now(w->pool);
  if (w->n_handed == 0 && w->pool->config.idle_timeout_ns != PH_NEVER)
    ph__set_timer(w->pool, w->since + w->pool->config.idle_timeout_ns);
}

static void leave_worker(struct ph_task *t) {
  struct ph_worker *w = t->worker;
  if (w == NULL) return;
  ph_list_remove(&t->node);
  w->n_handed--;
  w->pool->n_handed--;
  t->worker = NULL;
  begin_idle(w);
}

static int finish_item(struct ph_pool *p, struct ph_task *t, struct ph_done *done, const void *bytes) {
  const struct ph_worker *w = t->worker;
  done->item = t->next_item;
  if (w != NULL) {
    done->worker = w->index + 1;
    done->pid = p->backend->thread_id != NULL ? p->backend->thread_id(w) : w->pid;
  }
  if (ph__stage(p, t, done, bytes) != 0) return -1;
  t->next_item++;
  if (!done->last) return 0;
  leave_worker(t);
  forget(p, t);
  return 0;
}

/* There was no memory for a record of it: what is left of the task ends by ph__record_ended. */
static void record_later(struct ph_pool *p, struct ph_task *t, uint8_t outcome, uint8_t source) {
  bool can_wait = outcome == PH_DONE_CANCELLED || outcome == PH_DONE_TIMEOUT || outcome == PH_DONE_BROKEN;
  leave_worker(t);
  t->state = PH_TASK_ENDED;
  t->outcome = can_wait ? outcome : PH_DONE_LOST;
  t->stop = source;
  ph_list_push_back(&p->unrecorded, &t->node);
  ph__set_timer(p, ph_now() + RETRY_NS);
}

void ph__record_ended(struct ph_pool *p) {
  struct ph_list ended;
  ph_list_init(&ended);
  ph_list_splice(&ended, &p->unrecorded);
  for (struct ph_list *n; (n = ph_list_pop_front(&ended)) != NULL;) {
    struct ph_task *t = ph_list_entry(n, struct ph_task, node);
    ph__finish_rest(p, t, t->outcome, t->stop);
  }
}

void ph__finish(struct ph_task *t, struct ph_done *done, const void *bytes) {
  struct ph_pool *p = t->worker->pool;
  if (finish_item(p, t, done, bytes) != 0) record_later(p, t, done->outcome, done->source);
}

void ph__finish_rest(struct ph_pool *p, struct ph_task *t, enum ph_outcome outcome, uint8_t source) {
  if (t->flags & PH_TASK_TRACED) ph__trace_dropped(t, outcome);
  for (uint32_t left = t->count - t->next_item; left > 0; left--) {
    struct ph_done done = {.outcome = (uint8_t)outcome, .source = source};
    if (finish_item(p, t, &done, NULL) == 0) continue;
    record_later(p, t, (uint8_t)outcome, source);
    return;
  }
}

/* Without memory they stay where they are, until those before them are taken. */
static void publish_records(struct ph_client *c) {
  pthread_mutex_lock(&c->done_lock);
  if (c->done.len == 0) {
    struct ph_buf emptied = c->done;
    c->done = c->staged;
    c->staged = emptied;
  } else if (ph_buf_put(&c->done, c->staged.data, c->staged.len) == 0) {
    c->staged.len = 0;
  }
  ph__move_spares(&c->spares, &c->staged_spares);
  atomic_store_explicit(&c->has_done, true, memory_order_release);
  pthread_mutex_unlock(&c->done_lock);
}

/* False: not all of it, for now. */
static bool publish_to(struct ph_pool *p, struct ph_client *c) {
  if (c->closed) ph__drop_records(&c->staged);
  if (c->staged.len > 0) publish_records(c);
  p->news = true;
  if (c->staged.len > 0) return false;
  uint64_t ends = c->staged_ends; /* not before: nothing outstanding means nothing more will come */
  c->staged_ends = 0;
  atomic_fetch_sub(&p->outstanding, ends);
  bool last = atomic_fetch_sub(&c->outstanding, ends) == ends;
  ph_buf_reset(&c->staged, RECORDS_KEEP);
  if (c->closed && last)
    ph__free_client(c);
  else
    ph__client_ring(c);
  return true;
}

void ph__publish(struct ph_pool *p) {
  struct ph_client *again = NULL;
  for (struct ph_client *c; (c = p->dirty) != NULL;) {
    p->dirty = c->next_dirty;
    c->is_dirty = false;
    if (publish_to(p, c)) continue;
    c->is_dirty = true;
    c->next_dirty = again;
    again = c;
  }
  p->dirty = again;
}

/* --- replies ---------------------------------------------------------------------------------------------- */

void ph__release_slot(struct ph_worker *w, unsigned slot) {
  atomic_store_explicit(&ph_link_slot(&w->link, slot)->claim, PH_CLAIM_FREE, memory_order_release);
  w->slots[slot] = NULL;
  w->slots_used &= ~(1ull << slot);
}

static void note_times(struct ph_pool *p, struct ph_task *t, const struct ph_slot *s, int64_t run_ns) {
  int64_t started = atomic_load(&s->started);
  if (t->next_item == 0 && t->submitted != 0 && started >= t->submitted)
    ph_histogram_add(&p->wait_times, started - t->submitted);
  ph_histogram_add(&p->run_times, run_ns);
  p->average_run = p->average_run < 0 ? run_ns : p->average_run + (run_ns - p->average_run) / 8;
}

static uint8_t outcome_of(const struct ph_task *t, uint8_t reply) {
  if (t->stop != 0) return PH_DONE_CANCELLED;
  switch (reply) {
    case PH_REPLY_OK: return PH_DONE_OK;
    case PH_REPLY_STOPPED: return t->flags & (PH_TASK_TIMED_OUT | PH_TASK_EXPIRED) ? PH_DONE_TIMEOUT : PH_DONE_CANCELLED;
    case PH_REPLY_MEMORY: return PH_DONE_MEMORY;
    case PH_REPLY_LOST: return PH_DONE_LOST;
    default: return PH_DONE_ERROR;
  }
}

/* LOST, too: a big frame without a body; an error that the worker had no memory for. */
static uint8_t reply_of(const struct ph_frame *f, const uint8_t *body) {
  bool lost = body == NULL || (f->flags == PH_REPLY_ERROR && f->len == 0);
  return lost ? PH_REPLY_LOST : f->flags;
}

int64_t ph__limit_of(const struct ph_pool *p, const struct ph_task *t, uint8_t outcome) {
  const struct ph_task_options *o = ph_task_options(t);
  if (outcome == PH_DONE_TIMEOUT) return o->timeout_ns == PH_NEVER || (t->flags & PH_TASK_EXPIRED) ? 0 : o->timeout_ns;
  if (outcome != PH_DONE_MEMORY) return 0;
  return (int64_t)ph_task_memory_limit(t, &p->config);
}

/* A stop that was asked for concerns the task that runs; that may have begun behind this one's reply, or lie below it. */
static bool others_to_stop(const struct ph_worker *w, const struct ph_task *replied) {
  for (const struct ph_list *n = w->handed.next; n != &w->handed; n = n->next) {
    const struct ph_task *t = ph_list_entry(n, struct ph_task, node);
    if (t != replied && ph__is_to_stop(t)) return true;
  }
  return false;
}

/* The time that the others have begins anew: perhaps this one lay on top of them. */
static void note_stopped(struct ph_worker *w, const struct ph_task *replied) {
  if (w->kill_at == PH_NEVER && w->grace_ns == PH_NEVER) return; /* no stop has a time */
  bool others = others_to_stop(w, replied);
  if (others && w->terminated) return;
  w->kill_at = PH_NEVER;
  if (others)
    ph__kill_later(w, w->grace_ns);
  else
    w->grace_ns = PH_NEVER;
}

static void take_bytes_here(struct ph_done *done, const uint8_t *body) {
  struct ph_bytes_here here;
  memcpy(&here, body, sizeof here);
  done->big = here.data;
  done->len = here.len;
}

/* What a frame turned out to be: nonsense; taken; not to be taken yet, for want of memory. */
enum verdict { WRONG, TAKEN, LATER };

static enum verdict take_reply(struct ph_worker *w, const struct ph_frame *f, const uint8_t *body) {
  struct ph_task *t = f->slot < PH_LINK_SLOTS ? w->slots[f->slot] : NULL;
  bool here = f->type == PH_FRAME_REPLY_HERE;
  if (t == NULL || f->item != t->next_item) return WRONG;
  if (here && (!w->link.is_local || f->len != sizeof(struct ph_bytes_here))) return WRONG; /* an address, from elsewhere */
  if (ph_buf_reserve(&t->client->staged, sizeof(struct ph_done)) != 0) return LATER;
  struct ph_pool *p = w->pool;
  struct ph_done done = {.outcome = outcome_of(t, reply_of(f, body)), .len = f->len};
  if (here && body != NULL) take_bytes_here(&done, body);
  done.run_ns = (int64_t)f->reserved * PH_RUN_TIME_UNIT;
  done.source = t->stop != 0 ? t->stop : PH_SOURCE_EXPLICIT;
  done.limit = ph__limit_of(p, t, done.outcome);
  note_times(p, t, ph_link_slot(&w->link, f->slot), done.run_ns);
  if (done.outcome != PH_DONE_OK && done.outcome != PH_DONE_ERROR) drop_bytes(&done);
  if (done.len > 0 && done.big == NULL) done.big = ph_link_take_big(&w->link);
  w->tasks++;
  p->restarts_in_row = 0;
  note_stopped(w, t);
  t->flags &= (uint8_t)~PH_TASK_TIMED_OUT;
  if (t->next_item + 1 == t->count) ph__release_slot(w, f->slot);
  ph__finish(t, &done, body);
  return TAKEN;
}

/* The worker had no memory for the message: no item of it can run there. */
static enum verdict take_loss(struct ph_worker *w, const struct ph_frame *f) {
  struct ph_task *t = f->slot < PH_LINK_SLOTS ? w->slots[f->slot] : NULL;
  if (t == NULL) return WRONG;
  ph__release_slot(w, f->slot);
  ph__finish_rest(w->pool, t, outcome_of(t, PH_REPLY_LOST), t->stop);
  return TAKEN;
}

static enum verdict take_skip(struct ph_worker *w, const struct ph_frame *f) {
  if (f->slot >= PH_LINK_SLOTS || w->slots[f->slot] != NULL || !(w->slots_used & (1ull << f->slot))) return WRONG;
  ph__release_slot(w, f->slot);
  return TAKEN;
}

void ph__setup_failed(struct ph_pool *p, const void *error, size_t len) {
  if (p->state == PH_POOL_BROKEN) return;
  p->broken.error_bytes = error != NULL ? ph_malloc(len + 1) : NULL;
  if (p->broken.error_bytes != NULL) {
    if (len > 0) memcpy(p->broken.error_bytes, error, len);
    p->broken.error_len = len;
  } else {
    ph_err_set(&p->broken.err, "initializer_failed", ENOMEM, "there is not enough memory for its error");
  }
  p->broken.initializer = true;
  ph__break(p);
}

void ph_pool_fail_setup(struct ph_pool *p, const void *error, size_t len) {
  pthread_mutex_lock(&p->lock);
  ph__setup_failed(p, error, len);
  pthread_mutex_unlock(&p->lock);
}

static enum verdict take_frame(struct ph_worker *w, const struct ph_frame *f, const uint8_t *body) {
  switch (f->type) {
    case PH_FRAME_READY:
      if (w->state == PH_WORKER_STARTING) {
        w->state = PH_WORKER_READY;
        begin_idle(w);
      }
      if (w->pid == 0) w->pid = (pid_t)f->item;
      return TAKEN;
    case PH_FRAME_SETUP_FAILED:
      if (f->flags != 0 && !w->pool->config.has_initializer) return TAKEN; /* its exit code says it */
      ph__worker_stop(w);
      ph__setup_failed(w->pool, body, body != NULL ? f->len : 0);
      return TAKEN;
    case PH_FRAME_REPLY:
    case PH_FRAME_REPLY_HERE: return f->flags == PH_REPLY_LOST ? take_loss(w, f) : take_reply(w, f, body);
    case PH_FRAME_SKIPPED: return take_skip(w, f);
    default: return WRONG;
  }
}

void ph__read_replies(struct ph_worker *w) {
  struct ph_frame f;
  const uint8_t *body;
  enum verdict verdict = TAKEN;
  int status = 0;
  if (!ph_link_readable(&w->link)) return;
  w->touched = true;
  while (verdict == TAKEN && (status = ph_link_read(&w->link, &f, &body)) > 0) verdict = take_frame(w, &f, body);
  if (verdict == LATER) {
    ph_link_unread(&w->link);
    ph__set_timer(w->pool, ph_now() + RETRY_NS);
  }
  if (verdict == WRONG || status < 0) ph__worker_corrupt(w);
}
