/* SPDX-License-Identifier: MIT
 * A look at a pool, for people: it changes nothing, waits for nobody, and hands nothing out. */
#ifndef PH_POOL_INSPECT_H
#define PH_POOL_INSPECT_H

#include "pool/pool.h"

struct ph_inspect_pool {
  const char *kind, *name, *state; /* "open", "closed", "broken" */
  uint64_t number;
  unsigned max_workers, workers, busy;
  uint64_t queued, running, completed, failed, cancelled, restarts;
};

struct ph_inspect_task {
  uint64_t id;
  uint32_t label, site; /* texts of the owner; 0 for tasks of others */
  uint32_t item, count;
  bool stopping;
  int64_t started; /* 0: it is about to */
};

struct ph_inspect_worker {
  uint32_t index;
  pid_t pid, tid;
  const char *state; /* as in ph_worker_info */
  uint64_t done;
  int64_t since;
  bool waits;                          /* its task waits, and it may run others on top */
  const struct ph_inspect_task *tasks; /* that have begun, the outermost one first */
  unsigned n_tasks;
  const char *answer; /* what it said of itself at `answered`, while it ran task `about`; NULL: nothing yet */
  size_t answer_len;
  int64_t answered;
  uint64_t about;
};

/* Is called with the pool's lock held: may not raise, wait, or call anything of the pool. */
struct ph_inspector {
  void (*worker)(void *ud, const struct ph_inspect_worker *w);
  void *ud;
};

void ph_pool_inspect(struct ph_pool *p, struct ph_inspect_pool *info);
/* Also asks the busy ones what they do: their answers are there a little later, for the next call. */
void ph_pool_inspect_workers(struct ph_pool *p, const struct ph_inspector *inspector);

#endif
