/* SPDX-License-Identifier: MIT
 * What --stats counts of the pools of this process. A pool counts while it is open; what it has come to is kept when it is
 * freed. */
#ifndef PH_POOL_TALLY_H
#define PH_POOL_TALLY_H

#include "pool/pool.h"

struct ph_pool_tally {
  char name[64];
  const char *kind;
  unsigned max_workers, most_workers; /* most: that there were at once */
  uint64_t completed, failed, cancelled, restarts;
  uint64_t items, messages; /* tasks that have run, and in how many messages they came */
  uint64_t in, out;         /* bytes */
  int64_t run_ns, longest_run_ns;
  int64_t opened, open_ns; /* until it was freed, or now */
  int64_t active_ns;       /* some worker had work */
  int64_t tail_ns;         /* at the end of that: since all workers had */
  double wait_ms[2], run_ms[2];
};

/* All of them: those that are over, then those that are open. `see` must not make pools, nor end any. */
void ph_pool_tallies(void (*see)(void *ud, const struct ph_pool_tally *t), void *ud);
/* The most workers of all pools that there were at once. */
unsigned ph_pool_most_workers(void);

#endif
