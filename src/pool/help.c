/* SPDX-License-Identifier: MIT
 * Tasks for a worker thread that waits inside one of its own: what it waits for, then, when nobody else is left to do
 * it, anything. Such a task is put into a slot of the worker as begun, without a frame. */
#include "pool/pool_int.h"

static bool fits(const struct ph_task *t, const struct ph_client *c) {
  return c == NULL || t->client == c;
}

/* The newest: a task that waits has submitted it, tasks further below the older ones. */
static struct ph_task *last_in_list(struct ph_list *list, const struct ph_client *c) {
  for (struct ph_list *n = list->prev; n != list; n = n->prev) {
    struct ph_task *t = ph_list_entry(n, struct ph_task, node);
    if (fits(t, c)) return t;
  }
  return NULL;
}

static struct ph_task *first_in_heap(struct ph_heap *h, const struct ph_client *c) {
  for (size_t i = 0; i < h->count; i++) {
    struct ph_task *t = ph_list_entry(h->nodes[i], struct ph_task_special, rank)->task;
    if (fits(t, c)) return t;
  }
  return NULL;
}

static struct ph_task *older(struct ph_task *a, struct ph_task *b) {
  return a == NULL || b->id < a->id ? b : a;
}

/* The oldest, whatever its priority: what it waits for was mostly submitted before it, so that is under way. A younger one
 * may come to lie on top of what it waits for. In the lists only what was taken back from workers is out of order. */
static struct ph_task *oldest_in_queue(const struct ph_pool *p) {
  const struct ph_list *lists[] = {&p->queue.plain, &p->queue.ranked};
  struct ph_task *t = NULL;
  for (int i = 0; i < 2; i++) {
    size_t left = (size_t)PH_LINK_SLOTS * p->config.max_workers + 1;
    for (struct ph_list *n = lists[i]->next; n != lists[i] && left > 0; n = n->next, left--)
      t = older(t, ph_list_entry(n, struct ph_task, node));
  }
  return t;
}

/* Taken out of the queue. `c` NULL: anybody's. */
static struct ph_task *take_queued(struct ph_pool *p, const struct ph_client *c) {
  struct ph_task *t = c == NULL ? oldest_in_queue(p) : first_in_heap(&p->queue.urgent, c);
  if (t == NULL && c != NULL) t = last_in_list(&p->queue.plain, c);
  if (t == NULL && c != NULL) t = first_in_heap(&p->queue.lazy, c);
  if (t != NULL) ph__queue_remove(&p->queue, t);
  return t;
}

/* Taken back from a worker that is busy with another: the first one handed runs, or will at once. */
static struct ph_task *take_handed(struct ph_pool *p, const struct ph_client *c) {
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    struct ph_worker *w = p->workers[i];
    if (w == NULL || w->state == PH_WORKER_GONE) continue;
    for (struct ph_list *n = w->handed.prev, *prev; n != &w->handed && n != w->handed.next; n = prev) {
      struct ph_task *t = ph_list_entry(n, struct ph_task, node);
      prev = n->prev;
      if (fits(t, c) && ph__revoke(t)) return t;
    }
  }
  return NULL;
}

/* What was handed to the worker early is not to wait behind a task that waits. */
static void stop_handing(struct ph_pool *p, struct ph_worker *w) {
  w->waits = true;
  atomic_store(&p->busy, false); /* it does not reply before others have worked for it */
  for (struct ph_list *n = w->handed.prev, *prev; n != &w->handed; n = prev) {
    prev = n->prev;
    ph__take_back(p, ph_list_entry(n, struct ph_task, node));
  }
}

static struct ph_task *take(struct ph_pool *p, const struct ph_client *c) {
  struct ph_task *t = p->queue.count > 0 ? take_queued(p, c) : NULL;
  return t != NULL ? t : take_handed(p, c);
}

/* The worker on the other side of this link, unless the pool has given it up. */
static struct ph_worker *asking(struct ph_pool *p, uint32_t worker, const struct ph_link *link) {
  struct ph_worker *w = p->over ? NULL : p->workers[worker];
  return w != NULL && w->link.shared == link->shared && w->state <= PH_WORKER_READY ? w : NULL;
}

static struct ph_task *take_this(struct ph_pool *p, uint64_t id) {
  struct ph_task *t = ph__map_find(p, id);
  if (t == NULL) return NULL;
  if (t->state == PH_TASK_QUEUED) {
    ph__queue_remove(&p->queue, t);
    return t;
  }
  if (t->state == PH_TASK_ENDED) return NULL;
  bool is_first = t->worker->handed.next == &t->node;
  return !is_first && ph__revoke(t) ? t : NULL;
}

static struct ph_task *take_wish(struct ph_pool *p, const struct ph_help_wish *wish) {
  struct ph_client *c = wish->client;
  struct ph_task *t = wish->id != 0 ? take_this(p, wish->id) : NULL;
  if (t == NULL && c != NULL && atomic_load(&c->outstanding) > 0 && !atomic_load(&c->has_done)) t = take(p, c);
  if (t == NULL && wish->any) t = take(p, NULL);
  return t;
}

bool ph_pool_help(struct ph_pool *p, uint32_t worker, const struct ph_link *link, const struct ph_help_wish *wish,
                  struct ph_help *help) {
  pthread_mutex_lock(&p->lock);
  ph__pump(p);
  struct ph_worker *w = asking(p, worker, link);
  struct ph_task *t = NULL;
  bool can = w != NULL && ~w->slots_used != 0;
  if (can) t = take_wish(p, wish);
  if (t != NULL) {
    unsigned slot = (unsigned)__builtin_ctzll(~w->slots_used);
    ph__put_into_slot(w, t, slot, PH_CLAIM_STARTED);
    if (t->flags & PH_TASK_TRACED) ph__note_handed(t);
    *help = (struct ph_help){.slot = slot, .first = t->next_item, .count = t->count, .flags = t->flags, .task = t};
    help->memory_limit = ph_task_memory_limit(t, &p->config);
  }
  ph__let_go(p);
  return t != NULL;
}

void ph_pool_waits(struct ph_pool *p, uint32_t worker, const struct ph_link *link) {
  pthread_mutex_lock(&p->lock);
  struct ph_worker *w = asking(p, worker, link);
  if (w != NULL) stop_handing(p, w);
  ph__let_go(p);
}

void ph_pool_helped(struct ph_pool *p, uint32_t worker, const struct ph_link *link) {
  pthread_mutex_lock(&p->lock);
  struct ph_worker *w = asking(p, worker, link);
  if (w != NULL) w->waits = false;
  ph__pump(p);
  ph__let_go(p);
}
