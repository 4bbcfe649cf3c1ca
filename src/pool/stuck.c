/* SPDX-License-Identifier: MIT
 * Can anybody end this wait? A blocked state is woken only by what it waits with: tasks that it has submitted, and cells.
 * A task moves while it runs in a worker whose state is not blocked, or can be begun by one; a cell while its owner's state
 * moves, and when it stands for a task, and its owner but waits, while that moves. To begin with all blocked states count
 * as stuck; those that something moving would wake are taken out until nothing changes (a greatest fixed point). Time-outs,
 * deadlines, processes, tasks that were asked to stop, and waits with a limit move by themselves.
 *
 * States go on while it is looked: what one of them has set off must not be missed on its way. So each thing is looked for
 * where it comes from before it is looked for where it goes: tasks that are under way before the records of those that
 * have ended (publish_to in reply.c writes them in the other order). What a pool does, and what comes of that within the
 * pool, is one look, with its lock: tasks that are taken in, handed out, begun, taken back from a worker that is gone, the
 * end of the pool, room in its queue. Cells, and who is blocked, change with the lock of the stations alone, which is held
 * all the time. A blocked state takes nothing before it is taken off the list, so what has come for it can be seen until
 * then. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "pool/backend_thread.h"
#include "pool/link_int.h"
#include "pool/pool_int.h"
#include "pool/station_int.h"

static struct ph_list blocked = {&blocked, &blocked};

/* While a test says so, with its fault point: what else goes on meanwhile must not matter. */
#define PAUSE(point)                                                                                                        \
  while (PH_FAULT(point)) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL)

/* By the memory of its link: the pool may have given up the thread that had the worker's place before. */
static const struct ph_station *blocked_worker(const struct ph_worker *w) {
  for (struct ph_list *n = blocked.next; n != &blocked; n = n->next) {
    const struct ph_station *s = ph_list_entry(n, struct ph_station, blocked);
    if (s->wait->link != NULL && s->wait->link->shared == w->link.shared) return s;
  }
  return NULL;
}

static bool has_limit(const struct ph_worker *w) {
  if (w->kill_at != PH_NEVER) return true;
  for (const struct ph_list *n = w->handed.next; n != &w->handed; n = n->next) {
    const struct ph_task *t = ph_list_entry(n, struct ph_task, node);
    if (ph_task_options(t)->timeout_ns != PH_NEVER || ph__is_to_stop(t)) return true;
  }
  return false;
}

/* With the pool's lock. Are there tasks that nobody has begun? */
static bool any_waiting(struct ph_pool *p) {
  if (p->queue.count > 0) return true;
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    struct ph_worker *w = p->workers[i];
    if (w == NULL || w->state == PH_WORKER_GONE) continue;
    for (const struct ph_list *n = w->handed.next; n != &w->handed; n = n->next) {
      const struct ph_task *t = ph_list_entry(n, struct ph_task, node);
      if (atomic_load(&ph_link_slot(&w->link, t->slot)->claim) == PH_CLAIM_HANDED) return true;
    }
  }
  return false;
}

/* With the pool's lock. Is there a worker of it that is not blocked, and has something to do or could be given it? */
static bool some_worker_moves(struct ph_pool *p) {
  bool waiting = any_waiting(p);
  if (waiting && p->n_workers < p->config.max_workers && !p->terminating) return true;
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    const struct ph_worker *w = p->workers[i];
    if (w == NULL || w->state == PH_WORKER_GONE) continue;
    if (has_limit(w) || ph_link_readable(&w->link)) return true;
    const struct ph_station *s = blocked_worker(w);
    if (s != NULL ? !s->stuck : w->n_handed > 0 || waiting || w->state != PH_WORKER_READY) return true;
  }
  return false;
}

/* With the pool's lock, pumped just now. Records that have found no memory come later, tasks that somebody submits at this
 * moment with the next pump. */
static bool has_news(struct ph_pool *p) {
  return p->over || p->dirty != NULL || !ph_list_empty(&p->unrecorded) || atomic_load(&p->outstanding) > p->n_tasks;
}

/* The same. */
static bool moves_now(struct ph_pool *p) {
  return has_news(p) || p->deadlines.count > 0 || some_worker_moves(p);
}

static bool pool_moves(struct ph_pool *p) {
  if (p->backend != &ph_backend_thread) return true;
  pthread_mutex_lock(&p->lock);
  ph__pump(p);
  bool moves = moves_now(p);
  ph__let_go(p);
  return moves;
}

/* The owner of a closed pool may wait for its workers. */
static bool awaits(struct ph_client *c) {
  if (ph_client_outstanding(c) > 0) return true;
  pthread_mutex_lock(&c->pool->lock);
  bool closing = c == &c->pool->owner && c->pool->state != PH_POOL_OPEN && c->pool->n_workers > 0;
  ph__let_go(c->pool);
  return closing;
}

static bool client_moves(struct ph_client *c) {
  bool moves = awaits(c) && pool_moves(c->pool);
  PAUSE(search_records);
  return moves || ph_client_has_done(c); /* last: see above */
}

/* It can be begun, or what runs it is not stuck. `gone`: it has ended, and what has come of it is with its owner. */
static bool task_moves(struct ph_pool *p, uint64_t id, bool *gone) {
  pthread_mutex_lock(&p->lock);
  ph__pump(p);
  const struct ph_task *t = ph__map_find(p, id);
  *gone = t == NULL;
  bool moves = t == NULL || p->over || t->state == PH_TASK_ENDED || ph_task_options(t)->deadline != PH_NEVER;
  if (!moves && (t->worker == NULL || atomic_load(&ph_link_slot(&t->worker->link, t->slot)->claim) == PH_CLAIM_HANDED)) {
    moves = some_worker_moves(p);
  } else if (!moves) {
    const struct ph_station *s = blocked_worker(t->worker);
    moves = s == NULL || !s->stuck || has_limit(t->worker) || ph_link_readable(&t->worker->link);
  }
  ph__let_go(p);
  return moves;
}

static struct ph_pool *pool_of(const struct ph_cell *c) {
  const struct ph_wait *w = c->owner->wait;
  for (unsigned i = 0; i < w->n_clients && c->id != 0; i++)
    if (w->clients[i]->pool->number == c->pool) return w->clients[i]->pool;
  return NULL;
}

static bool cell_moves(const struct ph_cell *c) {
  if (c->state != PH_CELL_OPEN || c->owner == NULL || ph_list_empty(&c->owner->blocked)) return true;
  struct ph_pool *p = pool_of(c);
  bool gone = true, moves = p != NULL && p->backend == &ph_backend_thread && task_moves(p, c->id, &gone);
  return gone ? !c->owner->stuck : moves; /* perhaps the owner runs it again, as another task */
}

/* With the pool's lock. */
static bool is_there(const struct ph_pool *p, const struct ph_wait *w) {
  if (w->for_room) return !w->client->seeks_room;
  return p->state != PH_POOL_OPEN && p->n_workers == 0 && atomic_load(&p->outstanding) == 0;
}

/* Room in a queue, the end of a pool: it may come, or has come already. One look for both: between two, the last of what
 * moves could get there. */
static bool pool_gets_there(const struct ph_wait *w) {
  if (w->client == NULL) return false;
  struct ph_pool *p = w->client->pool;
  PAUSE(search_pool);
  if (p->backend != &ph_backend_thread) return true;
  pthread_mutex_lock(&p->lock);
  ph__pump(p);
  bool gets_there = is_there(p, w) || moves_now(p);
  ph__let_go(p);
  return gets_there;
}

static bool will_be_woken(struct ph_station *s) {
  PAUSE(search);
  if (!ph_list_empty(&s->mailbox) || pool_gets_there(s->wait)) return true;
  for (unsigned i = 0; i < s->wait->n_clients; i++)
    if (client_moves(s->wait->clients[i])) return true;
  for (struct ph_list *n = s->subscriptions.next; n != &s->subscriptions; n = n->next)
    if (cell_moves(ph_list_entry(n, struct ph_subscription, of_station)->cell)) return true;
  return false;
}

static void search(bool limits_count) {
  bool changed = true;
  for (struct ph_list *n = blocked.next; n != &blocked; n = n->next)
    ph_list_entry(n, struct ph_station, blocked)->stuck = true;
  while (changed) {
    changed = false;
    for (struct ph_list *n = blocked.next; n != &blocked; n = n->next) {
      struct ph_station *s = ph_list_entry(n, struct ph_station, blocked);
      bool ends = limits_count && s->wait->has_limit;
      if (!s->stuck || !(ends || will_be_woken(s))) continue;
      s->stuck = false;
      changed = true;
    }
  }
}

static bool has_waiting(struct ph_pool *p) {
  pthread_mutex_lock(&p->lock);
  bool waiting = !p->over && any_waiting(p);
  ph__let_go(p);
  return waiting;
}

/* A worker that is stuck while tasks of its pool wait. A thread that was given up gets none. */
static bool can_help(const struct ph_station *s) {
  return s->stuck && s->wait->can_help && !ph__link_hung_up(s->wait->link) && has_waiting(s->wait->serves);
}

/* Another one looks again, and runs one. */
static bool wake_helper(void) {
  for (struct ph_list *n = blocked.next; n != &blocked; n = n->next) {
    const struct ph_station *s = ph_list_entry(n, struct ph_station, blocked);
    uint64_t one = 1;
    if (!can_help(s)) continue;
    if (write(s->wait->wake_fd, &one, sizeof one) == (ssize_t)sizeof one) return true;
  }
  return false;
}

/* A task is a better victim than the program, which then goes on with its error: stuck workers look again. */
static bool wake_victims(const struct ph_station *s) {
  bool any = false;
  if (s->wait->serves != NULL && !s->wait->is_lively) return false;
  for (struct ph_list *n = blocked.next; n != &blocked; n = n->next) {
    const struct ph_station *o = ph_list_entry(n, struct ph_station, blocked);
    uint64_t one = 1;
    if (o == s || !o->stuck || o->wait->serves == NULL || o->wait->is_lively) continue;
    if (write(o->wait->wake_fd, &one, sizeof one) == (ssize_t)sizeof one) any = true;
  }
  return any;
}

static void describe(const struct ph_station *first, char *text, size_t size) {
  int at = snprintf(text, size, "%s waits for %s", first->wait->who, first->wait->what);
  for (struct ph_list *n = blocked.next; n != &blocked; n = n->next) {
    const struct ph_station *s = ph_list_entry(n, struct ph_station, blocked);
    if (s == first || !s->stuck || at < 0 || (size_t)at >= size) continue;
    at += snprintf(text + at, size - (size_t)at, "\n%s waits for %s", s->wait->who, s->wait->what);
  }
}

/* Limits do not help: first it is looked for what can be done without them. */
static enum ph_prospect find_prospect(struct ph_station *s, char *text, size_t size) {
  search(false);
  if (can_help(s)) return PH_PROSPECT_HELP;
  if (wake_helper()) return PH_PROSPECT_WAIT;
  search(true);
  bool woken = wake_victims(s);
  if (!s->stuck || woken || s->wait->is_lively) return PH_PROSPECT_WAIT;
  describe(s, text, size);
  return PH_PROSPECT_STUCK;
}

enum ph_prospect ph_station_block(struct ph_station *s, const struct ph_wait *wait, char *text, size_t size) {
  pthread_mutex_lock(&ph__stations_lock);
  s->wait = wait;
  ph_list_push_front(&blocked, &s->blocked);
  enum ph_prospect prospect = find_prospect(s, text, size);
  if (prospect != PH_PROSPECT_WAIT) ph_list_remove(&s->blocked);
  pthread_mutex_unlock(&ph__stations_lock);
  return prospect;
}

void ph_station_unblock(struct ph_station *s) {
  pthread_mutex_lock(&ph__stations_lock);
  ph_list_remove(&s->blocked);
  s->wait = NULL;
  pthread_mutex_unlock(&ph__stations_lock);
}
