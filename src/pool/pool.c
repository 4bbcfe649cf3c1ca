/* SPDX-License-Identifier: MIT
 * The owner's side of the executor core: making a pool, submitting, cancelling, taking what is done. */
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/tally.h"
#include "pool/pool_int.h"

const struct ph_backend ph_backend_inline = {.name = "inline"};

/* --- life ------------------------------------------------------------------------------------------------ */

static int copy_setup(struct ph_pool *p) {
  p->setup = ph_malloc(p->config.setup_len + 1);
  p->workers = ph_calloc(p->config.max_workers, sizeof(struct ph_worker *));
  if (p->setup == NULL || p->workers == NULL || ph__map_grow(p) != 0) return -1;
  if (p->config.setup_len > 0) memcpy(p->setup, p->config.setup, p->config.setup_len);
  p->config.setup = p->setup;
  return 0;
}

static void free_memory(struct ph_pool *p) {
  for (uint32_t i = 0; i < p->n_blobs; i++) free(p->blobs[i]);
  free(p->blob_map);
  free(p->map);
  free(p->workers);
  free(p->setup);
  free(p->broken.error_bytes);
  ph_heap_deinit(&p->deadlines);
  ph_heap_deinit(&p->queue.urgent);
  ph_heap_deinit(&p->queue.lazy);
  ph__client_deinit(&p->owner);
  pthread_mutex_destroy(&p->lock);
  pthread_mutex_destroy(&p->intake_lock);
  pthread_mutex_destroy(&p->blob_lock);
  free(p);
}

struct ph_pool *ph_pool_new(const struct ph_backend *backend, const struct ph_pool_config *config, struct ph_err *err) {
  struct ph_pool *p = ph_malloc(sizeof *p);
  if (p == NULL) {
    ph_err_set(err, "os", ENOMEM, "not enough memory for a pool");
    return NULL;
  }
  memset(p, 0, offsetof(struct ph_pool, blobs));
  atomic_init(&p->refs, 1);
  p->backend = backend;
  p->config = *config;
  p->average_run = -1;
  p->tally.opened = ph_watched() ? ph_now() : 0;
  p->now = p->next_timer = p->steal_at = p->spawn_retry_at = PH_NEVER;
  ph_list_init(&p->queue.plain);
  ph_list_init(&p->queue.ranked);
  ph_list_init(&p->intake);
  ph_list_init(&p->unrecorded);
  pthread_mutex_init(&p->lock, NULL);
  pthread_mutex_init(&p->intake_lock, NULL);
  pthread_mutex_init(&p->blob_lock, NULL);
  if (ph__client_init(&p->owner, p) != 0 || copy_setup(p) != 0) {
    ph_err_set(err, "os", ENOMEM, "not enough memory for a pool");
    free_memory(p);
    return NULL;
  }
  if (ph__dispatch_open(p, err) != 0) {
    free_memory(p);
    return NULL;
  }
  if (backend->open != NULL && backend->open(p, err) != 0) {
    ph__dispatch_close(p);
    free_memory(p);
    return NULL;
  }
  ph__pool_enter(p);
  if (ph_traced()) ph__trace_pool(p, "open");
  if (p->config.min_workers > 0) ph_pool_warm_up(p, p->config.min_workers);
  return p;
}

/* Guests are told that their tasks are cancelled. The workers are gone, so nothing is handed. */
static void drop_tasks(struct ph_pool *p) {
  ph__take_intake(p);
  for (size_t i = 0; i < p->map_size; i++) {
    for (struct ph_task *t = p->map[i], *next; t != NULL; t = next) {
      next = t->next_in_map;
      if (t->state == PH_TASK_ENDED) continue;
      if (t->state == PH_TASK_QUEUED) ph__queue_remove(&p->queue, t);
      t->worker = NULL;
      ph__finish_rest(p, t, PH_DONE_CANCELLED, PH_SOURCE_SHUTDOWN);
    }
  }
  ph__record_ended(p);
  for (struct ph_list *n; (n = ph_list_pop_front(&p->unrecorded)) != NULL;) /* still without memory: nobody is told */
    ph_task_unref(ph_list_entry(n, struct ph_task, node));
  ph__publish(p);
}

static void drop_workers(struct ph_pool *p) {
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    struct ph_worker *w = p->workers[i];
    if (w == NULL) continue;
    ph_link_close(&w->link);
    ph_buf_deinit(&w->sent_blobs);
    ph__drop_backlog(w);
    p->workers[i] = NULL;
    free(w);
  }
}

void ph_pool_free(struct ph_pool *p) {
  ph__pool_leave(p);
  ph__dispatch_stop(p);
  pthread_mutex_lock(&p->lock);
  if (p->state == PH_POOL_OPEN) __atomic_store_n(&p->state, PH_POOL_CLOSED, __ATOMIC_RELEASE);
  p->over = p->quit = true;
  pthread_mutex_unlock(&p->lock);
  if (p->backend->close != NULL) p->backend->close(p);
  pthread_mutex_lock(&p->lock);
  drop_workers(p);
  drop_tasks(p);
  ph__dispatch_close(p);
  if (ph_traced()) {
    ph__trace_counters(p, true);
    ph__trace_pool(p, "close");
  }
  if (ph_counted()) ph__tally_keep(p);
  pthread_mutex_unlock(&p->lock);
  ph_pool_unref(p);
}

void ph_pool_ref(struct ph_pool *p) {
  atomic_fetch_add(&p->refs, 1);
}

void ph_pool_unref(struct ph_pool *p) {
  if (atomic_fetch_sub(&p->refs, 1) == 1) free_memory(p);
}

/* --- submitting ------------------------------------------------------------------------------------------ */

bool ph__has_room(const struct ph_pool *p) {
  uint64_t waiting = p->n_tasks;
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    const struct ph_worker *w = p->workers[i];
    if (w != NULL && w->n_handed > 0) waiting--;
  }
  uint64_t free_places = p->config.max_workers - p->n_workers;
  return waiting < p->config.max_queue + free_places;
}

/* The state may change right behind the look: a task that slips in is ended by the pump like any other. */
enum ph_submit_result ph_pool_admits(struct ph_pool *p) {
  uint8_t state = __atomic_load_n(&p->state, __ATOMIC_ACQUIRE);
  if (state != PH_POOL_OPEN) return state == PH_POOL_CLOSED ? PH_SUBMIT_CLOSED : PH_SUBMIT_BROKEN;
  if (p->config.max_queue == 0) return PH_SUBMIT_OK;
  pthread_mutex_lock(&p->lock);
  ph__pump(p);
  bool room = ph__has_room(p);
  pthread_mutex_unlock(&p->lock);
  return room ? PH_SUBMIT_OK : PH_SUBMIT_FULL;
}

#define GATHER 8
#define SAMPLED 16 /* of many short tasks, so many in a row: one tells how long they wait */

/* While every worker is busy with short tasks, new ones are handed out a few at a time. None is forgotten: a worker that
 * is busy replies, and the pump that takes the reply takes them, too. */
static bool may_gather(struct ph_pool *p, size_t n) {
  return n < GATHER && atomic_load(&p->busy) && p->has_dispatcher && !atomic_load(&p->asleep);
}

enum ph_submit_result ph_client_submit(struct ph_client *c, struct ph_task *t) {
  struct ph_pool *p = c->pool;
  uint8_t state = __atomic_load_n(&p->state, __ATOMIC_ACQUIRE);
  if (state != PH_POOL_OPEN) return state == PH_POOL_CLOSED ? PH_SUBMIT_CLOSED : PH_SUBMIT_BROKEN;
  if (!atomic_load_explicit(&p->busy, memory_order_relaxed) || t->id % SAMPLED == 0 || ph_watched()) t->submitted = ph_now();
  t->client = c;
  atomic_fetch_add(&c->outstanding, 1);
  atomic_fetch_add(&p->outstanding, 1);
  pthread_mutex_lock(&p->intake_lock);
  ph_list_push_back(&p->intake, &t->node);
  size_t n = atomic_fetch_add(&p->n_intake, 1) + 1;
  pthread_mutex_unlock(&p->intake_lock);
  if (!may_gather(p, n)) ph__nudge(p, true);
  return PH_SUBMIT_OK;
}

/* -1 without memory. */
static int take_in(struct ph_pool *p, struct ph_task *t) {
  int64_t deadline = ph_task_options(t)->deadline;
  if (deadline != PH_NEVER) {
    t->special->deadline.when = deadline;
    if (ph_heap_add(&p->deadlines, &t->special->deadline) != 0) return -1;
    ph__set_timer(p, deadline);
  }
  if (ph_task_options(t)->priority != 0) p->has_priorities = true;
  return ph__queue_put(&p->queue, t, false);
}

void ph__take_intake(struct ph_pool *p) {
  if (atomic_load_explicit(&p->n_intake, memory_order_acquire) == 0) return;
  struct ph_list taken;
  ph_list_init(&taken);
  pthread_mutex_lock(&p->intake_lock);
  ph_list_splice(&taken, &p->intake);
  atomic_store_explicit(&p->n_intake, 0, memory_order_relaxed);
  pthread_mutex_unlock(&p->intake_lock);
  for (struct ph_list *n; (n = ph_list_pop_front(&taken)) != NULL;) {
    struct ph_task *t = ph_list_entry(n, struct ph_task, node);
    ph__map_add(p, t);
    if (take_in(p, t) != 0) ph__finish_rest(p, t, PH_DONE_LOST, 0);
  }
}

/* Where the blob is in the map, or is to go. */
static uint32_t *blob_place(struct ph_pool *p, const uint8_t hash[16]) {
  uint64_t start;
  memcpy(&start, hash, sizeof start);
  const uint32_t mask = p->blob_map_size - 1;
  uint32_t place = (uint32_t)start & mask;
  while (p->blob_map[place] != 0 && memcmp(p->blobs[p->blob_map[place] - 1]->hash, hash, 16) != 0)
    place = (place + 1) & mask;
  return &p->blob_map[place];
}

/* Half of it stays free. */
static int grow_blob_map(struct ph_pool *p) {
  uint32_t size = p->blob_map_size == 0 ? 64 : 4 * p->blob_map_size, *map = ph_calloc(size, sizeof *map);
  if (map == NULL) return -1;
  free(p->blob_map);
  p->blob_map = map;
  p->blob_map_size = size;
  for (uint32_t i = 0; i < p->n_blobs; i++) *blob_place(p, p->blobs[i]->hash) = i + 1;
  return 0;
}

static int64_t intern(struct ph_pool *p, const uint8_t hash[16], const void *bytes, size_t len) {
  if (p->blob_map_size <= 2 * p->n_blobs && grow_blob_map(p) != 0) return -1;
  uint32_t *place = blob_place(p, hash);
  if (*place != 0) return *place - 1;
  if (p->n_blobs == PH_BLOBS_MAX || len > PH_BLOB_BYTES_MAX - p->blob_bytes) return -1;
  struct ph_blob *b = ph_malloc(sizeof *b + len);
  if (b == NULL) return -1;
  memcpy(b->hash, hash, 16);
  memcpy(b->bytes, bytes, len);
  b->len = len;
  p->blobs[p->n_blobs] = b;
  p->blob_bytes += len;
  *place = p->n_blobs + 1;
  __atomic_store_n(&p->n_blobs, p->n_blobs + 1, __ATOMIC_RELEASE);
  return p->n_blobs - 1;
}

int64_t ph_pool_intern_blob(struct ph_pool *p, const uint8_t hash[16], const void *bytes, size_t len) {
  pthread_mutex_lock(&p->blob_lock);
  int64_t number = intern(p, hash, bytes, len);
  pthread_mutex_unlock(&p->blob_lock);
  return number;
}

int ph_pool_blob(struct ph_pool *p, uint64_t number, const void **bytes, size_t *len) {
  if (number >= __atomic_load_n(&p->n_blobs, __ATOMIC_ACQUIRE)) return -1;
  *bytes = p->blobs[number]->bytes;
  *len = p->blobs[number]->len;
  return 0;
}

/* --- cancelling and ending ------------------------------------------------------------------------------- */

/* Takes a task that has not begun out of wherever it waits. */
static bool withdraw(struct ph_pool *p, struct ph_task *t) {
  if (t->state == PH_TASK_ENDED) return false;
  if (t->state == PH_TASK_QUEUED) {
    ph__queue_remove(&p->queue, t);
    return true;
  }
  return ph__revoke(t);
}

/* Of a chunk that has begun: the items that have not. */
static void stop_rest(struct ph_task *t) {
  struct ph_slot *s = ph_link_slot(&t->worker->link, t->slot);
  unsigned none = 0;
  atomic_compare_exchange_strong(&s->stop, &none, PH_STOP_REST);
}

bool ph_pool_cancel(struct ph_pool *p, uint64_t id, bool force, int64_t grace_ns, uint8_t source) {
  bool cancelled = false;
  pthread_mutex_lock(&p->lock);
  ph__pump(p);
  struct ph_task *t = ph__map_find(p, id);
  if (t != NULL && withdraw(p, t)) { /* all of it, or a chunk on its way to another worker after a death */
    ph__finish_rest(p, t, PH_DONE_CANCELLED, source);
    cancelled = true;
  } else if (t != NULL && t->state != PH_TASK_ENDED && force) {
    ph__stop_task(t, source, grace_ns);
    cancelled = true;
  } else if (t != NULL && t->state != PH_TASK_ENDED && t->count > 1) {
    stop_rest(t);
  }
  ph__publish(p);
  pthread_mutex_unlock(&p->lock);
  if (cancelled) ph__nudge(p, false);
  return cancelled;
}

int ph_pool_task_state(struct ph_pool *p, uint64_t id) {
  pthread_mutex_lock(&p->lock);
  ph__pump(p);
  struct ph_task *t = ph__map_find(p, id);
  int state = t == NULL ? -1 : 0;
  if (t != NULL && t->state == PH_TASK_HANDED)
    state = atomic_load(&ph_link_slot(&t->worker->link, t->slot)->claim) == PH_CLAIM_STARTED;
  pthread_mutex_unlock(&p->lock);
  return state;
}

bool ph_pool_task_texts(struct ph_pool *p, uint64_t id, uint32_t *label, uint32_t *site) {
  pthread_mutex_lock(&p->lock);
  ph__take_intake(p);
  const struct ph_task *t = ph__map_find(p, id);
  if (t != NULL) {
    *label = t->label;
    *site = t->site;
  }
  pthread_mutex_unlock(&p->lock);
  return t != NULL;
}

/* Those first that were handed out last: a worker that is about to begin must not find one behind those taken back. */
static void end_handed(struct ph_worker *w, enum ph_outcome outcome, uint8_t source) {
  for (struct ph_list *n = w->handed.prev, *prev; n != &w->handed; n = prev) {
    prev = n->prev;
    struct ph_task *t = ph_list_entry(n, struct ph_task, node);
    if (ph__revoke(t)) ph__finish_rest(w->pool, t, outcome, source);
  }
}

void ph__end_waiting(struct ph_pool *p, enum ph_outcome outcome, uint8_t source) {
  for (struct ph_task *t; (t = ph__queue_first(&p->queue)) != NULL;) {
    ph__queue_remove(&p->queue, t);
    ph__finish_rest(p, t, outcome, source);
  }
  for (unsigned i = 0; i < p->config.max_workers; i++)
    if (p->workers[i] != NULL) end_handed(p->workers[i], outcome, source);
}

void ph_pool_close(struct ph_pool *p, bool cancel_pending) {
  pthread_mutex_lock(&p->lock);
  ph__take_intake(p);
  if (p->state == PH_POOL_OPEN) __atomic_store_n(&p->state, PH_POOL_CLOSED, __ATOMIC_RELEASE);
  if (cancel_pending) ph__end_waiting(p, PH_DONE_CANCELLED, PH_SOURCE_SHUTDOWN);
  ph__pump(p);
  pthread_mutex_unlock(&p->lock);
  ph__nudge(p, false);
}

void ph_pool_terminate(struct ph_pool *p, bool hard) {
  ph_pool_close(p, true);
  pthread_mutex_lock(&p->lock);
  p->terminating = true;
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    struct ph_worker *w = p->workers[i];
    if (w == NULL || w->state == PH_WORKER_GONE) continue;
    for (struct ph_list *n = w->handed.next; n != &w->handed; n = n->next) /* what could not be taken back has begun */
      ph__stop_task(ph_list_entry(n, struct ph_task, node), PH_SOURCE_SHUTDOWN, hard ? 0 : p->config.grace_ns);
    if (hard) {
      w->was_killed = w->terminated = true;
      w->kill_at = ph_now();
      ph__set_timer(p, w->kill_at);
    }
  }
  ph__pump(p);
  pthread_mutex_unlock(&p->lock);
  ph__nudge(p, false);
}

bool ph_pool_finished(struct ph_pool *p) {
  pthread_mutex_lock(&p->lock);
  ph__pump(p);
  bool finished = p->state != PH_POOL_OPEN && p->n_workers == 0 && atomic_load(&p->outstanding) == 0;
  pthread_mutex_unlock(&p->lock);
  return finished;
}

void ph_pool_warm_up(struct ph_pool *p, unsigned n) {
  pthread_mutex_lock(&p->lock);
  if (n > p->config.max_workers) n = p->config.max_workers;
  while (p->state == PH_POOL_OPEN && p->n_workers < n && ph__worker_start(p) != NULL) {
  }
  ph__pump(p);
  pthread_mutex_unlock(&p->lock);
  ph__nudge(p, false);
}

/* --- looking --------------------------------------------------------------------------------------------- */

const struct ph_broken *ph_pool_broken(struct ph_pool *p) {
  return __atomic_load_n(&p->state, __ATOMIC_ACQUIRE) == PH_POOL_BROKEN ? &p->broken : NULL;
}

uint64_t ph_pool_outstanding(struct ph_pool *p) {
  return atomic_load_explicit(&p->outstanding, memory_order_acquire);
}

uint64_t ph__count_running(struct ph_pool *p) {
  uint64_t n = 0;
  for (unsigned i = 0; i < p->config.max_workers; i++)
    if (p->workers[i] != NULL && ph__running_task(p->workers[i]) != NULL) n++;
  return n;
}

uint64_t ph_pool_running(struct ph_pool *p) {
  pthread_mutex_lock(&p->lock);
  ph__pump(p);
  uint64_t n = ph__count_running(p);
  pthread_mutex_unlock(&p->lock);
  return n;
}

static double quantile_ms(const struct ph_histogram *h, double q) {
  double ns = ph_histogram_quantile(h, q);
  return ns < 0 ? (double)NAN : ns / 1e6;
}

/* For who looks: what happened to idle workers is otherwise taken in by the next wait. */
static void look_at_workers(struct ph_pool *p) {
  if (p->over) return;
  if (p->backend->poll != NULL) p->backend->poll(p);
  ph__pump(p);
}

void ph_pool_stats(struct ph_pool *p, struct ph_pool_stats *s) {
  pthread_mutex_lock(&p->lock);
  look_at_workers(p);
  *s = (struct ph_pool_stats){.workers = p->n_workers,
                              .running = ph__count_running(p),
                              .completed = p->completed,
                              .failed = p->failed,
                              .cancelled = p->cancelled,
                              .retried = p->retried,
                              .restarts = p->restarts,
                              .abandoned = p->abandoned};
  for (unsigned i = 0; i < p->config.max_workers; i++)
    if (p->workers[i] != NULL && p->workers[i]->n_handed > 0) s->busy++;
  s->idle = s->workers - s->busy;
  s->queued = p->n_tasks - s->running;
  for (int i = 0; i < 2; i++) {
    s->wait_ms[i] = quantile_ms(&p->wait_times, i == 0 ? 0.5 : 0.99);
    s->run_ms[i] = quantile_ms(&p->run_times, i == 0 ? 0.5 : 0.99);
  }
  pthread_mutex_unlock(&p->lock);
}

void ph_pool_count_retry(struct ph_pool *p) {
  pthread_mutex_lock(&p->lock);
  p->retried++;
  p->failed--;
  pthread_mutex_unlock(&p->lock);
}

static void describe(struct ph_worker *w, struct ph_worker_info *info) {
  static const char *const names[] = {"starting", "idle", "stopping", "stopping"};
  struct ph_task *t = ph__running_task(w);
  *info = (struct ph_worker_info){.index = w->index, .pid = w->pid, .tasks = w->tasks, .since = w->since};
  info->state = t != NULL ? "busy" : names[w->state];
  info->task_id = t != NULL ? t->id : 0;
  if (w->pool->backend->thread_id != NULL) info->tid = w->pool->backend->thread_id(w);
}

unsigned ph_pool_workers(struct ph_pool *p, struct ph_worker_info *infos, unsigned n) {
  unsigned count = 0;
  pthread_mutex_lock(&p->lock);
  look_at_workers(p);
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    if (p->workers[i] == NULL) continue;
    if (count < n) describe(p->workers[i], &infos[count]);
    count++;
  }
  pthread_mutex_unlock(&p->lock);
  return count;
}
