/* SPDX-License-Identifier: MIT */
#include "pool/tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/tally.h"
#include "pool/pool_int.h"
#include "pool/task_trace.h"

struct kept {
  struct kept *next;
  struct ph_pool_tally tally;
};

static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER; /* the next two */
static struct kept *first_kept, **end_of_kept = &first_kept;
static atomic_int n_workers, most_workers; /* of all pools */

/* --- while it is open ---------------------------------------------------------------------------------------- */

void ph__tally_worker(struct ph_pool *p, int change) {
  int n = atomic_fetch_add(&n_workers, change) + change, most = atomic_load(&most_workers);
  while (n > most && !atomic_compare_exchange_weak(&most_workers, &most, n)) continue;
  if (p->n_workers > p->tally.most_workers) p->tally.most_workers = p->n_workers;
}

void ph__tally_item(struct ph_pool *p, struct ph_task *t, const struct ph_done *done) {
  if (done->run_ns <= 0 && done->outcome > PH_DONE_ERROR) return; /* has not run */
  bool is_inline = p->backend == &ph_backend_inline;
  p->tally.items++;
  p->tally.run_ns += done->run_ns;
  if (done->run_ns > p->tally.longest_run_ns) p->tally.longest_run_ns = done->run_ns;
  p->tally.out += done->len;
  if (is_inline) ph_histogram_add(&p->run_times, done->run_ns);
  if (!done->last) return;
  p->tally.messages++;
  p->tally.in += ph__len_without_note(t);
}

static unsigned count_with_work(const struct ph_pool *p) {
  unsigned n = 0;
  for (unsigned i = 0; i < p->config.max_workers; i++) n += p->workers[i] != NULL && p->workers[i]->n_handed > 0;
  return n;
}

void ph__tally_work(struct ph_pool *p) {
  int64_t now = ph_now();
  if (p->work.busy > 0) {
    p->tally.active_ns += now - p->work.seen;
    p->work.last = now;
    if (p->work.busy >= p->tally.most_workers) p->work.last_full = now;
  }
  p->work.busy = count_with_work(p);
  p->work.seen = now;
}

/* --- looking -------------------------------------------------------------------------------------------------- */

static double quantile_ms(const struct ph_histogram *h, double q) {
  double ns = ph_histogram_quantile(h, q);
  return ns < 0 ? (double)NAN : ns / 1e6;
}

/* With the lock held. */
static void take(struct ph_pool *p, struct ph_pool_tally *t) {
  *t = p->tally;
  memcpy(t->name, p->config.name, sizeof t->name);
  t->kind = p->backend->name;
  t->max_workers = p->config.max_workers;
  t->completed = p->completed;
  t->failed = p->failed;
  t->cancelled = p->cancelled;
  t->restarts = p->restarts;
  t->open_ns = ph_now() - t->opened;
  t->tail_ns = p->work.last_full != 0 ? p->work.last - p->work.last_full : 0;
  for (int i = 0; i < 2; i++) {
    t->wait_ms[i] = quantile_ms(&p->wait_times, i == 0 ? 0.5 : 0.99);
    t->run_ms[i] = quantile_ms(&p->run_times, i == 0 ? 0.5 : 0.99);
  }
}

void ph__tally_keep(struct ph_pool *p) {
  struct kept *k = ph_calloc(1, sizeof *k);
  if (k == NULL) return;
  take(p, &k->tally);
  pthread_mutex_lock(&kept_lock);
  *end_of_kept = k;
  end_of_kept = &k->next;
  pthread_mutex_unlock(&kept_lock);
}

struct look {
  void (*see)(void *ud, const struct ph_pool_tally *t);
  void *ud;
};

static void see_open(void *ud, struct ph_pool *p) {
  const struct look *look = ud;
  struct ph_pool_tally t;
  pthread_mutex_lock(&p->lock);
  take(p, &t);
  pthread_mutex_unlock(&p->lock);
  look->see(look->ud, &t);
}

void ph_pool_tallies(void (*see)(void *ud, const struct ph_pool_tally *t), void *ud) {
  struct look look = {see, ud};
  pthread_mutex_lock(&kept_lock);
  const struct kept *k = first_kept;
  pthread_mutex_unlock(&kept_lock);
  for (; k != NULL; k = k->next) see(ud, &k->tally);
  ph__pools_each(see_open, &look);
}

unsigned ph_pool_most_workers(void) {
  return (unsigned)atomic_load(&most_workers);
}
