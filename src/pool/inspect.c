/* SPDX-License-Identifier: MIT */
#include "pool/inspect.h"

#include "pool/pool_int.h"

#define POKE_AGAIN_NS 1000000 /* between two signals for one worker */

static bool is_running(struct ph_worker *w, const struct ph_task *t) {
  return atomic_load(&ph_link_slot(&w->link, t->slot)->claim) == PH_CLAIM_STARTED;
}

void ph_pool_inspect(struct ph_pool *p, struct ph_inspect_pool *info) {
  static const char *const states[] = {"open", "closed", "broken"};
  pthread_mutex_lock(&p->lock);
  *info = (struct ph_inspect_pool){.kind = p->backend->name,
                                   .name = p->config.name,
                                   .state = states[p->state],
                                   .number = p->number,
                                   .max_workers = p->config.max_workers,
                                   .workers = p->n_workers,
                                   .completed = p->completed,
                                   .failed = p->failed,
                                   .cancelled = p->cancelled,
                                   .restarts = p->restarts};
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    struct ph_worker *w = p->workers[i];
    if (w == NULL || w->state == PH_WORKER_GONE) continue;
    uint64_t before = info->running;
    for (struct ph_list *n = w->handed.next; n != &w->handed; n = n->next)
      info->running += is_running(w, ph_list_entry(n, struct ph_task, node));
    info->busy += info->running > before;
  }
  uint64_t outstanding = atomic_load(&p->outstanding);
  info->queued = outstanding > info->running ? outstanding - info->running : 0;
  ph__let_go(p);
}

/* The worker's memory is its own: what is there is looked at before it is believed. */
static void take_answer(const struct ph_worker *w, struct ph_inspect_worker *info) {
  struct ph_question *q = ph_link_question(&w->link);
  unsigned wanted = atomic_load(&q->wanted), len = atomic_load(&q->len);
  if (wanted == 0 || atomic_load(&q->given) != wanted || len > PH_LINK_ANSWER) return;
  info->answer = (const char *)w->link.answer;
  info->answer_len = len;
  info->answered = atomic_load(&q->at);
  info->about = atomic_load(&q->task);
}

/* A new question only when the last one is answered: until then its answer is the worker's to write. */
static void ask(struct ph_pool *p, struct ph_worker *w) {
  struct ph_question *q = ph_link_question(&w->link);
  int64_t now = ph_now();
  if (p->backend->poke == NULL || now - w->poked < POKE_AGAIN_NS || atomic_load(&q->hears) == 0) return;
  if (atomic_load(&q->given) == atomic_load(&q->wanted)) atomic_fetch_add(&q->wanted, 1);
  w->poked = now;
  p->backend->poke(p, w, atomic_load(&q->resting) != 0);
}

static unsigned list_tasks(struct ph_worker *w, struct ph_inspect_task *tasks) {
  unsigned n = 0;
  for (struct ph_list *at = w->handed.next; at != &w->handed && n < PH_LINK_SLOTS; at = at->next) {
    const struct ph_task *t = ph_list_entry(at, struct ph_task, node);
    const struct ph_slot *s = ph_link_slot(&w->link, t->slot);
    if (!is_running(w, t)) continue;
    bool own = t->client == &w->pool->owner;
    tasks[n++] = (struct ph_inspect_task){.id = t->id,
                                          .label = own ? t->label : 0,
                                          .site = own ? t->site : 0,
                                          .item = atomic_load(&s->item),
                                          .count = t->count,
                                          .stopping = atomic_load(&s->stop) != 0,
                                          .started = atomic_load(&s->started)};
  }
  return n;
}

static void inspect(struct ph_pool *p, struct ph_worker *w, const struct ph_inspector *inspector) {
  static const char *const names[] = {"starting", "idle", "stopping", "stopping"};
  struct ph_inspect_task tasks[PH_LINK_SLOTS];
  struct ph_inspect_worker info = {.index = w->index, .pid = w->pid, .done = w->tasks, .since = w->since, .waits = w->waits};
  if (w->state != PH_WORKER_GONE) info.n_tasks = list_tasks(w, tasks);
  info.tasks = tasks;
  info.state = info.n_tasks > 0 ? "busy" : names[w->state];
  if (p->backend->thread_id != NULL && w->backend_data != NULL) info.tid = p->backend->thread_id(w);
  if (info.n_tasks > 0) take_answer(w, &info);
  inspector->worker(inspector->ud, &info);
  if (info.n_tasks > 0) ask(p, w);
}

void ph_pool_inspect_workers(struct ph_pool *p, const struct ph_inspector *inspector) {
  pthread_mutex_lock(&p->lock);
  for (unsigned i = 0; i < p->config.max_workers; i++)
    if (p->workers[i] != NULL) inspect(p, p->workers[i], inspector);
  ph__let_go(p);
}
