/* SPDX-License-Identifier: MIT */
#include "base/place.h"

#include <sched.h>
#include <stdbool.h>

/* With more processors than a cpu_set_t has, sched_getaffinity fails, and all is left to the scheduler. */
static bool send_away(pid_t pid, cpu_set_t *before) {
  int here = sched_getcpu();
  if (here < 0 || sched_getaffinity(pid, sizeof *before, before) != 0) return false;
  cpu_set_t others = *before;
  CPU_CLR((size_t)here, &others);
  return CPU_COUNT(&others) > 0 && sched_setaffinity(pid, sizeof others, &others) == 0;
}

void ph_place_child(pid_t pid) {
  cpu_set_t before;
  if (send_away(pid, &before)) sched_setaffinity(pid, sizeof before, &before);
}

void ph_place_last(pid_t pid) {
  cpu_set_t before;
  send_away(pid, &before);
}
