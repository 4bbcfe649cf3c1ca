/* SPDX-License-Identifier: MIT
 * Workers from start to end: starting, stopping, timing out, dying; and what their death means for tasks.
 *
 * A death fails the item that was running and nothing else: what was handed but not begun goes back to the queue, in
 * its old order. The link is read to its end first, so a reply that was written before the death counts. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "pool/joblog.h"
#include "pool/pool_int.h"

#include "base/mem.h"
#include "base/tally.h"

#define KILL_AFTER_TERM_NS 250000000 /* between SIGTERM and SIGKILL */
#define DEAF_AGAIN_NS 100000000
#define SPAWN_RETRY_NS 100000000 /* after a failed start, while other workers go on */

void ph__set_timer(struct ph_pool *p, int64_t when) {
  if (when < p->next_timer) p->next_timer = when;
}

/* --- starting --------------------------------------------------------------------------------------------- */

static struct ph_worker *new_worker(struct ph_pool *p, unsigned index) {
  struct ph_worker *w = ph_calloc(1, sizeof *w);
  if (w == NULL) return NULL;
  w->pool = p;
  w->index = index;
  w->kill_at = w->grace_ns = w->deaf_at = PH_NEVER;
  w->since = w->spawned = ph_now();
  ph_list_init(&w->handed);
  return w;
}

static void discard(struct ph_worker *w) {
  struct ph_pool *p = w->pool;
  if (w->bell_watched && !w->link.is_local) ph__unwatch(p, w->link.bell);
  ph_link_close(&w->link);
  ph_buf_deinit(&w->sent_blobs);
  ph__drop_backlog(w);
  p->workers[w->index] = NULL;
  p->n_workers--;
  if (ph_counted()) ph__tally_worker(p, -1);
  p->news = true;
  free(w);
  ph__wake_owner(p);
}

static bool any_worker_alive(const struct ph_pool *p) {
  for (unsigned i = 0; i < p->config.max_workers; i++)
    if (p->workers[i] != NULL && p->workers[i]->state <= PH_WORKER_READY) return true;
  return false;
}

/* No worker could be started. With others alive the work goes on, and a start is tried again later. */
static void start_failed(struct ph_pool *p, const struct ph_err *err) {
  if (any_worker_alive(p)) {
    p->spawn_retry_at = ph_now() + SPAWN_RETRY_NS;
    ph__set_timer(p, p->spawn_retry_at);
    return;
  }
  if (p->state == PH_POOL_BROKEN) return;
  ph_err_set(&p->broken.err, "broken_pool", err->code, "a worker could not be started: %s", err->message);
  ph__break(p);
}

static void abandon(struct ph_worker *w) {
  w->state = PH_WORKER_STOPPING;
  w->was_killed = true;
  w->pool->backend->kill(w->pool, w, true);
}

/* What there is to do once the worker is being forked. */
static int open_worker(struct ph_pool *p, struct ph_worker *w, struct ph_err *err) {
  struct ph_frame f = {.len = (uint32_t)p->config.setup_len, .type = PH_FRAME_SETUP};
  if (ph__write_frame(w, &f, NULL, 0, p->setup, p->config.setup_len) != 0)
    return ph_err_set(err, "os", ENOMEM, "not enough memory");
  w->bell_watched = w->link.is_local || ph__watch(p, w->link.bell, w, err) == 0;
  if (w->bell_watched) ph_link_park(&w->link, false); /* whoever waits already looks at its bell, too */
  return w->bell_watched ? 0 : -1;
}

struct ph_worker *ph__worker_start(struct ph_pool *p) {
  if (p->state == PH_POOL_BROKEN || p->terminating || p->spawn_retry_at != PH_NEVER) return NULL;
  unsigned index = 0;
  while (p->workers[index] != NULL) index++;
  struct ph_worker *w = new_worker(p, index);
  struct ph_err err;
  ph_err_set(&err, "os", ENOMEM, "not enough memory");
  if (w == NULL) {
    start_failed(p, &err);
    return NULL;
  }
  w->link.bell = -1;
  p->workers[index] = w;
  p->n_workers++;
  if (ph_counted()) ph__tally_worker(p, 1);
  bool spawned = p->backend->spawn(p, w, &err) == 0;
  if (spawned && open_worker(p, w, &err) == 0) return w;
  if (spawned)
    abandon(w); /* its place stays taken until the zygote says that it is gone */
  else
    discard(w);
  start_failed(p, &err);
  return NULL;
}

void ph__worker_started(struct ph_worker *w, pid_t pid) {
  w->pid = pid;
}

/* --- tasks of a worker that is gone ----------------------------------------------------------------------- */

static void release_all(struct ph_worker *w) {
  struct ph_list *n;
  while ((n = w->handed.prev) != &w->handed) { /* from the back, so that the order in the queue is the old one */
    struct ph_task *t = ph_list_entry(n, struct ph_task, node);
    ph_list_remove(n);
    w->n_handed--;
    w->pool->n_handed--;
    t->worker = NULL;
    if (t->stop != 0)
      ph__finish_rest(w->pool, t, PH_DONE_CANCELLED, t->stop);
    else if (atomic_load(&ph_link_slot(&w->link, t->slot)->stop) == PH_STOP_REST)
      ph__finish_rest(w->pool, t, PH_DONE_CANCELLED, PH_SOURCE_EXPLICIT);
    else if (t->flags & PH_TASK_EXPIRED)
      ph__finish_rest(w->pool, t, PH_DONE_TIMEOUT, PH_SOURCE_DEADLINE);
    else
      ph__requeue(w->pool, t);
  }
}

static uint8_t death_outcome(const struct ph_worker *w, const struct ph_task *t) {
  if (t->stop != 0) return PH_DONE_CANCELLED;
  if (t->flags & (PH_TASK_TIMED_OUT | PH_TASK_EXPIRED)) return PH_DONE_TIMEOUT;
  if (w->pool->bereft && w->pool->state == PH_POOL_BROKEN) return PH_DONE_BROKEN;
  return w->was_killed ? PH_DONE_CANCELLED : PH_DONE_DIED;
}

/* The line that the worker has not written. A task that ends its worker by exit(0) has failed as well. */
static void log_death(struct ph_task *t, const struct ph_done *done) {
  struct ph_joblog_item item;
  size_t len = ph__len_without_note(t);
  struct ph_joblog_result result = {.run_ns = done->run_ns, .signal_number = done->signal_number};
  if (done->signal_number == 0) result.exit_code = done->exit_code != 0 ? done->exit_code : -1;
  if (!ph_joblog_split(ph_task_bytes(t), &len, t->next_item, &item)) return;
  item.sent = len;
  if (ph_joblog_item_begin(&item, NULL) != 0) return;
  item.started -= done->run_ns;
  ph_joblog_item_end(&item, &result, NULL);
}

static void fail_running(struct ph_worker *w, struct ph_task *t, const struct ph_exit *how) {
  struct ph_pool *p = w->pool;
  const struct ph_slot *s = ph_link_slot(&w->link, t->slot);
  uint8_t outcome = death_outcome(w, t);
  if (t->flags & PH_TASK_TRACED) ph__trace_gone(w, t, outcome, how);
  if (outcome == PH_DONE_DIED && ph_task_options(t)->retries > 0) {
    t->special->options.retries--;
    p->retried++;
    if (t->flags & PH_TASK_TRACED) ph__note_retry(t);
    return;
  }
  int64_t started = atomic_load(&s->started);
  struct ph_done done = {.outcome = outcome,
                         .exit_code = how->exit_code,
                         .signal_number = how->signal_number,
                         .max_rss = how->max_rss,
                         .run_ns = started > 0 ? ph_now() - started : 0};
  done.source = t->stop != 0 ? t->stop : PH_SOURCE_SHUTDOWN;
  done.limit = ph__limit_of(p, t, outcome);
  t->flags &= (uint8_t)~PH_TASK_TIMED_OUT;
  if (t->flags & PH_TASK_LOGGED) log_death(t, &done);
  ph__finish(t, &done, NULL);
}

/* Has the worker begun an item of it that has no reply? */
static bool is_interrupted(struct ph_worker *w, const struct ph_task *t) {
  const struct ph_slot *s = ph_link_slot(&w->link, t->slot);
  return atomic_load(&s->claim) == PH_CLAIM_STARTED && atomic_load(&s->item) == t->next_item;
}

/* More than one only in threads, where a task that waits runs others. */
static void fail_interrupted(struct ph_worker *w, const struct ph_exit *how) {
  for (struct ph_list *n = w->handed.next, *next; n != &w->handed; n = next) {
    struct ph_task *t = ph_list_entry(n, struct ph_task, node);
    next = n->next;
    if (is_interrupted(w, t)) fail_running(w, t, how);
  }
}

void ph__kill_later(struct ph_worker *w, int64_t grace_ns) {
  int64_t now = ph_now(), kill_at = grace_ns >= PH_NEVER - now ? PH_NEVER : now + grace_ns;
  if (kill_at < w->kill_at) {
    w->kill_at = kill_at;
    w->grace_ns = grace_ns;
  }
  ph__set_timer(w->pool, w->kill_at);
}

/* --- the end ---------------------------------------------------------------------------------------------- */

static bool counts_as_death(const struct ph_worker *w) {
  return w->state != PH_WORKER_STOPPING && !w->was_killed;
}

static void note_death(struct ph_worker *w, const struct ph_exit *how, bool during_setup) {
  struct ph_pool *p = w->pool;
  p->restarts_in_row++;
  bool initializer = during_setup && p->config.has_initializer;
  if (p->state == PH_POOL_BROKEN) return;
  if (!initializer && !p->config.break_on_death && p->restarts_in_row <= p->config.max_restarts) return;
  p->broken.initializer = initializer;
  p->broken.death = (struct ph_done){.outcome = PH_DONE_DIED,
                                     .worker = w->index + 1,
                                     .pid = w->pid,
                                     .exit_code = how->exit_code,
                                     .signal_number = how->signal_number,
                                     .max_rss = how->max_rss};
  if (!initializer)
    ph_err_set(&p->broken.err, "broken_pool", 0, p->config.break_on_death ? "a worker died" : "%u workers in a row died",
               p->restarts_in_row);
  ph__break(p);
}

void ph__worker_gone(struct ph_worker *w, const struct ph_exit *how) {
  ph__read_replies(w); /* which may say more of its end than its exit code */
  if (w->state == PH_WORKER_STARTING && how->exit_code == PH_WORKER_EXIT_NO_MEMORY) {
    ph__worker_spawn_failed(w, ENOMEM);
    return;
  }
  if (ph_traced()) ph__trace_exit(w, how);
  bool death = counts_as_death(w), during_setup = w->state == PH_WORKER_STARTING;
  fail_interrupted(w, how);
  if (w->state != PH_WORKER_STOPPING && !w->pool->terminating) w->pool->restarts++;
  w->state = PH_WORKER_GONE;
  release_all(w);
  if (death) note_death(w, how, during_setup);
  discard(w);
}

unsigned ph__worker_disown(struct ph_worker *w, struct ph_task **begun) {
  unsigned n_begun = 0;
  w->was_killed = true;
  for (struct ph_list *n = w->handed.next; n != &w->handed; n = n->next) {
    struct ph_task *t = ph_list_entry(n, struct ph_task, node);
    struct ph_slot *s = ph_link_slot(&w->link, t->slot);
    unsigned expected = PH_CLAIM_HANDED;
    if (atomic_compare_exchange_strong(&s->claim, &expected, PH_CLAIM_REVOKED)) continue;
    atomic_store(&s->stop, PH_STOP_ALL); /* no further item of a chunk */
    atomic_fetch_add(&t->refs, 1);
    begun[n_begun++] = t;
  }
  return n_begun;
}

void ph__worker_spawn_failed(struct ph_worker *w, int error) {
  struct ph_pool *p = w->pool;
  struct ph_err err;
  ph_err_set(&err, "os", error, "%s", strerror(error));
  w->state = PH_WORKER_GONE;
  release_all(w);
  discard(w);
  start_failed(p, &err);
}

void ph__worker_stop(struct ph_worker *w) {
  struct ph_frame f = {.type = PH_FRAME_STOP};
  if (w->state >= PH_WORKER_STOPPING) return;
  bool in_setup = w->state == PH_WORKER_STARTING;
  w->state = PH_WORKER_STOPPING;
  w->since = ph_now();
  if (ph__write_frame(w, &f, NULL, 0, NULL, 0) != 0) w->pool->backend->kill(w->pool, w, true);
  if (w->pool->backend->expect_end != NULL) w->pool->backend->expect_end(w->pool);
  if (in_setup || w->pool->terminating || w->pool->state == PH_POOL_BROKEN) ph__kill_later(w, w->pool->config.grace_ns);
}

/* It writes nonsense: not to be trusted any more. Its death is then an ordinary one. */
void ph__worker_corrupt(struct ph_worker *w) {
  if (!w->link.corrupt) w->pool->backend->kill(w->pool, w, true);
  w->link.corrupt = w->retire = true;
}

/* --- stopping a task, timers ------------------------------------------------------------------------------ */

static void ask_to_stop(struct ph_task *t, uint8_t source, uint32_t what, int64_t grace_ns) {
  struct ph_worker *w = t->worker;
  struct ph_slot *s = ph_link_slot(&w->link, t->slot);
  atomic_store(&s->stop_source, source);
  atomic_store(&s->stop, what);
  w->pool->backend->interrupt(w->pool, w);
  ph__kill_later(w, grace_ns);
}

void ph__stop_task(struct ph_task *t, uint8_t source, int64_t grace_ns) {
  if (t->stop == 0) t->stop = source;
  ask_to_stop(t, t->stop, PH_STOP_ALL, grace_ns);
}

static void check_timeout(struct ph_worker *w, struct ph_task *t, int64_t now) {
  struct ph_slot *s = ph_link_slot(&w->link, t->slot);
  unsigned item = atomic_load(&s->item);      /* first: what begins meanwhile is not due */
  int64_t started = atomic_load(&s->started); /* of the worker's memory: anything */
  int64_t due = (started > 0 && started < now ? started : now) + ph_task_options(t)->timeout_ns;
  if (now < due) {
    ph__set_timer(w->pool, due);
    return;
  }
  t->flags |= PH_TASK_TIMED_OUT;
  ask_to_stop(t, PH_SOURCE_DEADLINE, item + 1, w->pool->config.grace_ns);
}

/* A handed task that has not begun yet may begin any moment: its timeout is looked at again no later than that. */
static void check_handed_timeouts(struct ph_worker *w, int64_t now) {
  for (struct ph_list *n = w->handed.next; n != &w->handed; n = n->next) {
    struct ph_task *t = ph_list_entry(n, struct ph_task, node);
    if (ph_task_options(t)->timeout_ns == PH_NEVER || (t->flags & PH_TASK_TIMED_OUT) || t->stop != 0) continue;
    if (atomic_load(&ph_link_slot(&w->link, t->slot)->claim) == PH_CLAIM_STARTED)
      check_timeout(w, t, now);
    else
      ph__set_timer(w->pool, now + ph_task_options(t)->timeout_ns);
  }
}

bool ph__is_to_stop(const struct ph_task *t) {
  return t->stop != 0 || (t->flags & (PH_TASK_TIMED_OUT | PH_TASK_EXPIRED)) != 0;
}

/* In a thread another task may lie on top of the one that is to stop, which cannot do so before that has ended. What has
 * not begun is taken back. */
static bool is_covered(const struct ph_worker *w) {
  return w->handed.prev != &w->handed && !ph__is_to_stop(ph_list_entry(w->handed.prev, struct ph_task, node));
}

/* Before a worker is killed for the task that it runs: the tasks behind that one go elsewhere, and what it has finished
 * meanwhile counts. False when the task has ended after all, or cannot yet (take_reply gives it time once it can). */
static bool give_up(struct ph_worker *w) {
  for (struct ph_list *n = w->handed.prev, *prev; n != &w->handed; n = prev) {
    prev = n->prev;
    struct ph_task *t = ph_list_entry(n, struct ph_task, node);
    ph__take_back(w->pool, t);
  }
  ph__read_replies(w);
  if (is_covered(w)) w->kill_at = PH_NEVER;
  if (w->kill_at == PH_NEVER) return false;
  w->retire = true;
  return true;
}

static void check_kill(struct ph_worker *w, int64_t now) {
  if (w->kill_at == PH_NEVER) return;
  if (now >= w->kill_at && give_up(w)) {
    w->was_killed = true;
    w->pool->backend->kill(w->pool, w, w->terminated);
    w->kill_at = now + KILL_AFTER_TERM_NS; /* again, should it live on */
    w->terminated = true;
  }
  ph__set_timer(w->pool, w->kill_at);
}

/* A process that nothing wakes any more: it may finish what it runs, which is looked at from time to time. */
static void check_deaf(struct ph_worker *w, int64_t now) {
  if (w->deaf_at == PH_NEVER) return;
  if (now >= w->deaf_at) {
    w->deaf_at = now + DEAF_AGAIN_NS;
    if (ph__running_task(w) == NULL) ph__worker_corrupt(w);
  }
  ph__set_timer(w->pool, w->deaf_at);
}

/* How many workers min_workers leaves to idle out: those that have been told to stop do not count as there. */
static unsigned count_spare(const struct ph_pool *p) {
  unsigned n = 0;
  if (p->config.idle_timeout_ns == PH_NEVER) return 0;
  for (unsigned i = 0; i < p->config.max_workers; i++)
    if (p->workers[i] != NULL && p->workers[i]->state < PH_WORKER_STOPPING) n++;
  return n > p->config.min_workers ? n - p->config.min_workers : 0;
}

static void check_idle(struct ph_worker *w, int64_t now, unsigned *spare) {
  if (*spare == 0 || w->state != PH_WORKER_READY || w->n_handed > 0) return;
  int64_t due = w->since + w->pool->config.idle_timeout_ns;
  if (now < due) {
    ph__set_timer(w->pool, due);
    return;
  }
  --*spare;
  ph__worker_stop(w);
}

static void check_deadlines(struct ph_pool *p, int64_t now) {
  struct ph_heap_node *node;
  while ((node = ph_heap_first(&p->deadlines)) != NULL && node->when <= now) {
    struct ph_task *t = ph_list_entry(node, struct ph_task_special, deadline)->task;
    ph_heap_remove(&p->deadlines, node);
    if (t->state == PH_TASK_ENDED) continue;
    if (t->state == PH_TASK_QUEUED) {
      ph__queue_remove(&p->queue, t);
      ph__finish_rest(p, t, PH_DONE_TIMEOUT, PH_SOURCE_DEADLINE);
    } else if (ph__revoke(t)) {
      ph__finish_rest(p, t, PH_DONE_TIMEOUT, PH_SOURCE_DEADLINE);
    } else {
      t->flags |= PH_TASK_EXPIRED;
      ask_to_stop(t, PH_SOURCE_DEADLINE, PH_STOP_ALL, p->config.grace_ns);
    }
  }
  if (node != NULL) ph__set_timer(p, node->when);
}

void ph__check_timers(struct ph_pool *p, int64_t now) {
  p->next_timer = PH_NEVER;
  if (now >= p->spawn_retry_at)
    p->spawn_retry_at = PH_NEVER;
  else
    ph__set_timer(p, p->spawn_retry_at);
  ph__record_ended(p);
  check_deadlines(p, now);
  unsigned spare = count_spare(p);
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    struct ph_worker *w = p->workers[i];
    if (w == NULL || w->state == PH_WORKER_GONE) continue;
    check_handed_timeouts(w, now);
    check_kill(w, now);
    check_deaf(w, now);
    check_idle(w, now, &spare);
  }
}

/* --- a broken pool ---------------------------------------------------------------------------------------- */

/* Every task that is left fails, what runs is given up; workers stop. Also called for what slipped in later. */
void ph__break(struct ph_pool *p) {
  __atomic_store_n(&p->state, PH_POOL_BROKEN, __ATOMIC_RELEASE);
  ph__end_waiting(p, PH_DONE_BROKEN, 0); /* what runs in another worker may finish */
  for (unsigned i = 0; i < p->config.max_workers; i++)
    if (p->workers[i] != NULL && p->workers[i]->n_handed == 0) ph__worker_stop(p->workers[i]);
}
