/* SPDX-License-Identifier: MIT
 * What --stats counts beyond pools, over all processes of the program: tasks on coroutines, requests, other programs. Only
 * where ph_counted. */
#ifndef PH_BASE_TALLY_H
#define PH_BASE_TALLY_H

#include <stdatomic.h>

#include "base/trace.h"

static inline bool ph_counted(void) {
  return __builtin_expect((ph_observed & PH_OBSERVE_STATS) != 0, 0);
}

enum ph_tally_of {
  PH_TALLY_TASKS,
  PH_TALLY_TASKS_FAILED,
  PH_TALLY_TASKS_CANCELLED,
  PH_TALLY_REQUESTS,
  PH_TALLY_REQUESTS_FAILED,
  PH_TALLY_REQUEST_BYTES,
  PH_TALLY_REQUEST_NS,
  PH_TALLY_PROGRAMS,
  PH_TALLIES
};

/* Begins to count; -1 with err. Before there are other threads and processes. */
int ph_tally_open(struct ph_err *err);
void ph_tally_add(enum ph_tally_of what, int64_t n);
int64_t ph_tally_get(enum ph_tally_of what);

/* The step of a task that has held the loop of this process longest: texts are copied. */
struct ph_tally_step {
  int64_t ns; /* 0: there was none */
  char name[64], place[96];
};
void ph_tally_step(int64_t ns, const char *name, const char *place);
void ph_tally_longest_step(struct ph_tally_step *step);

#endif
