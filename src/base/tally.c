/* SPDX-License-Identifier: MIT */
#include "base/tally.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

static atomic_int_least64_t *counts; /* shared by all processes */

static pthread_mutex_t step_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ph_tally_step longest; /* of this process */

int ph_tally_open(struct ph_err *err) {
  void *memory = mmap(NULL, PH_TALLIES * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return ph_err_os(err, "cannot count for --stats");
  counts = memory;
  ph_trace_set_origin();
  ph_observed |= PH_OBSERVE_STATS;
  return 0;
}

void ph_tally_add(enum ph_tally_of what, int64_t n) {
  atomic_fetch_add_explicit(&counts[what], n, memory_order_relaxed);
}

int64_t ph_tally_get(enum ph_tally_of what) {
  return atomic_load(&counts[what]);
}

void ph_tally_step(int64_t ns, const char *name, const char *place) {
  pthread_mutex_lock(&step_lock);
  if (ns > longest.ns) {
    longest.ns = ns;
    snprintf(longest.name, sizeof longest.name, "%s", name);
    snprintf(longest.place, sizeof longest.place, "%s", place);
  }
  pthread_mutex_unlock(&step_lock);
}

void ph_tally_longest_step(struct ph_tally_step *step) {
  pthread_mutex_lock(&step_lock);
  *step = longest;
  pthread_mutex_unlock(&step_lock);
}
