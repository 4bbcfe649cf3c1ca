/* SPDX-License-Identifier: MIT
 * Which worker gets which task.
 *
 * A worker is handed more than it runs, so that it need not wait for the host between short tasks: enough for about a
 * millisecond, at most PH_LINK_SLOTS. What was handed early stays the pool's: it can be taken back (revoked) until the
 * worker has claimed it, by one compare-exchange on its slot, and is taken back when it is cancelled, when a more
 * urgent task comes, and when another worker has nothing to do. */
#include <stdlib.h>
#include <string.h>

#include "base/tally.h"
#include "pool/pool_int.h"

#define AHEAD_NS 1000000       /* run time to hand out ahead */
#define AHEAD_MIN 2            /* handed at least, the running one included */
#define GATHER_RUN_NS 20000    /* tasks that run for less may gather: see pool->busy */
#define STEAL_AFTER_NS 100000  /* a task that runs this long does not keep others waiting behind it */
#define LATE_NS 2000000        /* a worker that has begun nothing for so long is busy otherwise: its setup, a finalizer */
#define LEND_MIN (1u << 16)    /* bytes of a payload that goes out from where it lies, without another copy */
#define BACKLOG_MAX (1u << 20) /* bytes beyond the ring, above which nothing more is handed to a worker */

/* --- writing to a worker ---------------------------------------------------------------------------------- */

size_t ph__backlog(const struct ph_worker *w) {
  return w->backlog.len - w->backlog_at + (w->lent != NULL ? w->lent->len - w->lent_at : 0);
}

static void give_back_lent(struct ph_worker *w) {
  if (w->lent != NULL) ph_task_unref(w->lent);
  w->lent = NULL;
}

void ph__drop_backlog(struct ph_worker *w) {
  give_back_lent(w);
  ph_buf_deinit(&w->backlog);
}

static void flush_lent(struct ph_worker *w) {
  w->touched = true;
  w->lent_at += ph_link_write(&w->link, ph_task_bytes(w->lent) + w->lent_at, w->lent->len - w->lent_at);
  if (w->lent_at == w->lent->len) give_back_lent(w);
}

void ph__flush_backlog(struct ph_worker *w) {
  if (w->lent != NULL) flush_lent(w);
  if (w->lent != NULL || w->backlog_at == w->backlog.len) return;
  w->touched = true;
  w->backlog_at += ph_link_write(&w->link, w->backlog.data + w->backlog_at, w->backlog.len - w->backlog_at);
  if (w->backlog_at < w->backlog.len) return;
  ph_buf_reset(&w->backlog, 4096);
  w->backlog_at = 0;
}

static int write_bytes(struct ph_worker *w, const void *bytes, size_t len) {
  size_t done = ph__backlog(w) > 0 ? 0 : ph_link_write(&w->link, bytes, len);
  return done < len ? ph_buf_put(&w->backlog, (const uint8_t *)bytes + done, len - done) : 0;
}

int ph__write_frame(struct ph_worker *w, const struct ph_frame *frame, const void *head, size_t head_len, const void *body,
                    size_t body_len) {
  size_t total = sizeof *frame + head_len + body_len;
  if (ph__backlog(w) > 0 || ph_link_room(&w->link) < total) {
    if (ph_buf_reserve(&w->backlog, total) != 0) return -1; /* before the first byte is out */
  }
  w->touched = true;
  write_bytes(w, frame, sizeof *frame);
  write_bytes(w, head, head_len);
  write_bytes(w, body, body_len);
  return 0;
}

/* --- handing out ------------------------------------------------------------------------------------------ */

static int send_blob(struct ph_worker *w, uint32_t number) {
  struct ph_buf *sent = &w->sent_blobs;
  size_t byte = number / 8;
  uint8_t bit = (uint8_t)(1u << (number % 8));
  if (byte >= sent->len) {
    if (ph_buf_reserve(sent, byte + 1 - sent->len) != 0) return -1;
    memset(sent->data + sent->len, 0, byte + 1 - sent->len);
    sent->len = byte + 1;
  }
  if (sent->data[byte] & bit) return 0;
  const struct ph_blob *b = w->pool->blobs[number];
  struct ph_frame f = {.len = (uint32_t)b->len, .type = PH_FRAME_BLOB, .item = number};
  if (ph__write_frame(w, &f, NULL, 0, b->bytes, b->len) != 0) return -1;
  sent->data[byte] |= bit;
  return 0;
}

/* To a thread: it reads the payload and the blobs where they are. */
static int send_here(struct ph_worker *w, struct ph_task *t, unsigned slot, const struct ph_task_wire *wire) {
  const struct ph_bytes_here here = {ph_task_bytes(t), t->len};
  struct ph_frame f = {.len = sizeof *wire + sizeof here, .slot = (uint16_t)slot, .type = PH_FRAME_TASK_HERE};
  return ph__write_frame(w, &f, wire, sizeof *wire, &here, sizeof here);
}

static int send_task(struct ph_worker *w, struct ph_task *t, unsigned slot) {
  const struct ph_pool_config *c = &w->pool->config;
  struct ph_task_wire wire = {
      .id = t->id, .seed = c->seed, .count = t->count, .first = t->next_item, .flags = t->flags, .seeded = c->seeded};
  wire.memory_limit = ph_task_memory_limit(t, c);
  if (t->flags & PH_TASK_TRACED) ph__note_handed(t);
  if (w->link.is_local) return send_here(w, t, slot, &wire);
  struct ph_frame f = {.len = (uint32_t)(sizeof wire + t->len), .slot = (uint16_t)slot, .type = PH_FRAME_TASK};
  for (uint32_t i = 0; i < t->n_blobs; i++)
    if (send_blob(w, t->blobs[i]) != 0) return -1;
  if (t->len < LEND_MIN || ph__backlog(w) > 0 || ph_link_room(&w->link) < sizeof f + sizeof wire)
    return ph__write_frame(w, &f, &wire, sizeof wire, ph_task_bytes(t), t->len);
  ph__write_frame(w, &f, &wire, sizeof wire, NULL, 0);
  atomic_fetch_add(&t->refs, 1);
  w->lent = t;
  w->lent_at = 0;
  flush_lent(w);
  return 0;
}

static void arm_timeout(struct ph_pool *p, struct ph_task *t) {
  if (ph_task_options(t)->timeout_ns != PH_NEVER) ph__set_timer(p, ph_now() + ph_task_options(t)->timeout_ns);
}

static void prepare_slot(struct ph_worker *w, const struct ph_task *t, unsigned slot, enum ph_claim claim) {
  struct ph_slot *s = ph_link_slot(&w->link, slot);
  atomic_store_explicit(&s->stop, 0, memory_order_relaxed);
  atomic_store_explicit(&s->started, 0, memory_order_relaxed);
  atomic_store_explicit(&s->item, t->next_item, memory_order_relaxed);
  atomic_store_explicit(&s->claim, claim, memory_order_release);
}

static void enter_slot(struct ph_worker *w, struct ph_task *t, unsigned slot) {
  struct ph_pool *p = w->pool;
  t->state = PH_TASK_HANDED;
  t->worker = w;
  t->slot = (uint8_t)slot;
  w->slots[slot] = t;
  w->slots_used |= 1ull << slot;
  ph_list_push_back(&w->handed, &t->node);
  w->started_tasks++;
  if (w->n_handed++ == 0) w->since = ph__pool_now(p);
  p->n_handed++;
  arm_timeout(p, t);
  if (p->config.max_tasks_per_worker != 0 && w->started_tasks >= p->config.max_tasks_per_worker) w->retire = true;
}

void ph__put_into_slot(struct ph_worker *w, struct ph_task *t, unsigned slot, enum ph_claim claim) {
  prepare_slot(w, t, slot, claim);
  enter_slot(w, t, slot);
}

/* -1 without memory: the task stays in the queue. */
static int hand(struct ph_worker *w, struct ph_task *t) {
  unsigned slot = (unsigned)__builtin_ctzll(~w->slots_used);
  prepare_slot(w, t, slot, PH_CLAIM_HANDED);
  if (send_task(w, t, slot) != 0) return -1;
  ph__queue_remove(&w->pool->queue, t);
  enter_slot(w, t, slot);
  return 0;
}

static bool accepts(const struct ph_worker *w, unsigned limit) {
  return w != NULL && w->state <= PH_WORKER_READY && !w->retire && !w->waits && w->n_handed < limit && ~w->slots_used != 0 &&
         ph__backlog(w) < BACKLOG_MAX;
}

static unsigned ahead(const struct ph_pool *p) {
  if (p->average_run < 0) return AHEAD_MIN;
  int64_t n = AHEAD_NS / (p->average_run + 1);
  return n < AHEAD_MIN ? AHEAD_MIN : n > (int64_t)PH_LINK_SLOTS ? PH_LINK_SLOTS : (unsigned)n;
}

/* Tasks that were taken back from the worker, without it having looked so far. */
static unsigned unseen(const struct ph_worker *w) {
  return (unsigned)__builtin_popcountll(w->slots_used) - w->n_handed;
}

/* What speaks against giving a worker the next task, 0: it waits for one. What it has in hand counts most. */
static unsigned burden(const struct ph_worker *w) {
  return w->n_handed * 4 * PH_LINK_SLOTS + unseen(w) + (w->state == PH_WORKER_STARTING ? 2 * PH_LINK_SLOTS : 0);
}

/* Workers that are asked for one by one, between submits, get into each other's way: the first takes the processor from who
 * asks for the second. The next pump of anybody starts them: of the owner that waits, or of the dispatcher. */
static bool starts_later(const struct ph_pool *p) {
  return p->submits && p->backend->starts_in_crowds && p->queue.count < p->config.max_workers - p->n_workers;
}

/* The worker that is to have the next task: one with nothing to do, a new one, the one with least in hand. None is to have
 * more than `limit`. */
static struct ph_worker *choose(struct ph_pool *p, unsigned limit) {
  struct ph_worker *best = NULL;
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    struct ph_worker *w = p->workers[i];
    if (accepts(w, limit) && (best == NULL || burden(w) < burden(best))) best = w;
    if (best != NULL && burden(best) == 0) return best;
  }
  if (best != NULL && best->n_handed == 0 && unseen(best) == 0) return best; /* it is starting */
  if (p->n_workers < p->config.max_workers) {
    if (starts_later(p)) return NULL;
    struct ph_worker *fresh = ph__worker_start(p);
    if (fresh != NULL) return fresh;
  }
  return best;
}

static void hand_out(struct ph_pool *p) {
  struct ph_task *t;
  unsigned limit = ahead(p);
  while ((t = ph__queue_first(&p->queue)) != NULL) {
    struct ph_worker *w = choose(p, limit);
    if (w == NULL || hand(w, t) != 0) break;
  }
}

/* --- taking back ------------------------------------------------------------------------------------------ */

bool ph__revoke(struct ph_task *t) {
  struct ph_worker *w = t->worker;
  unsigned expected = PH_CLAIM_HANDED;
  if (!atomic_compare_exchange_strong(&ph_link_slot(&w->link, t->slot)->claim, &expected, PH_CLAIM_REVOKED)) return false;
  w->slots[t->slot] = NULL; /* in use still, until the worker says that it skipped it */
  w->started_tasks--;
  if (w->pool->config.max_tasks_per_worker != 0) w->retire = w->started_tasks >= w->pool->config.max_tasks_per_worker;
  ph_list_remove(&t->node);
  w->n_handed--;
  w->pool->n_handed--;
  t->worker = NULL;
  return true;
}

struct ph_task *ph__running_task(struct ph_worker *w) {
  if (w->n_handed == 0 || w->state == PH_WORKER_GONE) return NULL;
  for (struct ph_list *n = w->handed.next; n != &w->handed; n = n->next) {
    struct ph_task *t = ph_list_entry(n, struct ph_task, node);
    if (atomic_load(&ph_link_slot(&w->link, t->slot)->claim) == PH_CLAIM_STARTED) return t;
  }
  return NULL;
}

void ph__requeue(struct ph_pool *p, struct ph_task *t) {
  if (ph__queue_put(&p->queue, t, true) != 0) ph__finish_rest(p, t, PH_DONE_LOST, 0);
}

bool ph__take_back(struct ph_pool *p, struct ph_task *t) {
  if (!ph__revoke(t)) return false;
  ph__requeue(p, t);
  return true;
}

/* A task more urgent than some that were handed early: those wait again. */
static void reclaim_less_urgent(struct ph_pool *p) {
  struct ph_task *first = ph__queue_first(&p->queue);
  if (first == NULL || p->n_handed == 0) return;
  int32_t priority = ph_task_options(first)->priority;
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    struct ph_worker *w = p->workers[i];
    if (w == NULL || w->n_handed < 2) continue;
    for (struct ph_list *n = w->handed.prev, *prev; n != &w->handed; n = prev) {
      prev = n->prev;
      struct ph_task *t = ph_list_entry(n, struct ph_task, node);
      if (ph_task_options(t)->priority < priority) ph__take_back(p, t);
    }
  }
}

/* Takes `give` tasks back that have not begun; gives how many. */
static unsigned take_some_back(struct ph_worker *w, unsigned give) {
  unsigned taken = 0;
  for (struct ph_list *n = w->handed.prev, *prev; n != &w->handed && give > 0; n = prev, give--) {
    prev = n->prev;
    struct ph_task *t = ph_list_entry(n, struct ph_task, node);
    if (ph__take_back(w->pool, t)) taken++;
  }
  return taken;
}

/* How many tasks a worker should give to `idle` others: its share of what lies behind a long task; all of it when it has
 * not even begun, but then only to those that wait. */
static unsigned share(struct ph_worker *w, int64_t now, unsigned idle, unsigned waiting) {
  struct ph_task *running = ph__running_task(w);
  if (running == NULL ? waiting == 0 : w->n_handed < 2) return 0;
  int64_t started = running == NULL ? w->since : atomic_load(&ph_link_slot(&w->link, running->slot)->started);
  int64_t due = (started > 0 ? started : now) + (running == NULL ? LATE_NS : STEAL_AFTER_NS);
  if (now < due) {
    ph__set_timer(w->pool, due);
    return 0;
  }
  if (running == NULL) return w->n_handed < waiting ? w->n_handed : waiting;
  unsigned fair = (w->n_handed - 1 + idle) / (idle + 1);
  return fair < idle ? fair : idle;
}

static void steal(struct ph_pool *p, int64_t now, unsigned idle, unsigned waiting) {
  for (unsigned i = 0; i < p->config.max_workers && idle > 0; i++) {
    struct ph_worker *w = p->workers[i];
    if (w == NULL || w->n_handed == 0) continue;
    unsigned taken = take_some_back(w, share(w, now, idle, waiting));
    idle -= taken;
    waiting -= taken < waiting ? taken : waiting;
  }
}

/* Could a task that is submitted now be handed out at once? */
static bool any_accepts(struct ph_pool *p) {
  unsigned limit = ahead(p);
  if (p->n_workers < p->config.max_workers) return true;
  for (unsigned i = 0; i < p->config.max_workers; i++)
    if (accepts(p->workers[i], limit)) return true;
  return false;
}

/* Will each worker reply soon, so that somebody pumps then? */
static bool all_are_busy(const struct ph_pool *p) {
  if (p->average_run < 0 || p->average_run > GATHER_RUN_NS || p->n_workers < p->config.max_workers) return false;
  for (unsigned i = 0; i < p->config.max_workers; i++)
    if (p->workers[i] == NULL || p->workers[i]->n_handed == 0 || p->workers[i]->waits) return false;
  return true;
}

/* Gives the workers that could take a task now, places for new ones included; *waiting: those of them that wait for one. */
static unsigned count_idle(struct ph_pool *p, unsigned *waiting) {
  unsigned idle = 0;
  *waiting = 0;
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    struct ph_worker *w = p->workers[i];
    if (w == NULL ? p->spawn_retry_at != PH_NEVER : !accepts(w, 1)) continue;
    idle++;
    if (w != NULL && burden(w) == 0) ++*waiting;
  }
  return idle;
}

static void balance(struct ph_pool *p) {
  if (p->queue.count > 0 || p->n_handed == 0) return;
  unsigned busy = 0, waiting, idle = count_idle(p, &waiting);
  for (unsigned i = 0; i < p->config.max_workers; i++)
    if (p->workers[i] != NULL && p->workers[i]->n_handed > 0) busy++;
  if (idle == 0 || (p->n_handed == busy && waiting == 0)) return;
  steal(p, ph_now(), idle, waiting);
  hand_out(p);
}

int64_t ph__pool_now(struct ph_pool *p) {
  if (p->now == PH_NEVER) return ph_now();
  if (p->now == 0) p->now = ph_now();
  return p->now;
}

/* --- the pump --------------------------------------------------------------------------------------------- */

static void retire_idle(struct ph_pool *p) {
  bool over = p->state != PH_POOL_OPEN && p->n_tasks == 0;
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    struct ph_worker *w = p->workers[i];
    if (w != NULL && w->state <= PH_WORKER_READY && w->n_handed == 0 && (w->retire || over)) ph__worker_stop(w);
  }
}

static void pump_once(struct ph_pool *p) {
  if (p->over) return;
  p->now = 0;
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    struct ph_worker *w = p->workers[i];
    if (w == NULL || w->state == PH_WORKER_GONE) continue;
    ph__read_replies(w);
  }
  ph__take_intake(p);
  if (p->next_timer != PH_NEVER) {
    int64_t now = ph__pool_now(p);
    if (now >= p->next_timer) ph__check_timers(p, now);
  }
  if (p->poll_soon || p->bereft) {
    p->poll_soon = false;
    p->backend->poll(p);
  }
  if (p->state == PH_POOL_BROKEN) ph__break(p);
  if (p->queue.count > 0) {
    if (p->has_priorities) reclaim_less_urgent(p);
    hand_out(p);
  }
  balance(p);
  retire_idle(p);
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    struct ph_worker *w = p->workers[i];
    if (w == NULL || w->state == PH_WORKER_GONE) continue;
    ph__flush_backlog(w);
    if (w->touched) ph_link_wake(&w->link);
    w->touched = false;
  }
  ph__publish(p);
  if (p->seekers != NULL) ph__tell_seekers(p);
  p->now = PH_NEVER;
  if (ph_watched()) {
    if (ph_counted()) ph__tally_work(p);
    if (ph_traced()) ph__trace_counters(p, false);
  }
  bool hungry = (p->queue.count == 0 || starts_later(p)) && any_accepts(p); /* the next submit may complete the crowd */
  atomic_store_explicit(&p->hungry, hungry, memory_order_relaxed);
  atomic_store_explicit(&p->busy, all_are_busy(p), memory_order_relaxed);
  atomic_thread_fence(memory_order_seq_cst);
}

/* Who submits reads `busy` and `hungry` behind its task in the intake; we look at the intake behind what we say of that. */
void ph__pump(struct ph_pool *p) {
  do pump_once(p);
  while (!atomic_load(&p->busy) && atomic_load(&p->hungry) && atomic_load(&p->n_intake) > 0);
}
