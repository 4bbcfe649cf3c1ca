/* SPDX-License-Identifier: MIT
 * The one clock: CLOCK_MONOTONIC in nanoseconds, the same for every process of the machine. */
#ifndef PH_BASE_CLOCK_H
#define PH_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define PH_NEVER INT64_MAX

static inline int64_t ph_now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Processor time of the calling thread: what it takes to wait for the processor does not count. */
static inline int64_t ph_thread_time(void) {
  struct timespec ts;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Seconds to nanoseconds, rounded up and clamped: a wait is never shorter than what was asked for. */
int64_t ph_seconds_to_ns(double seconds);

/* now + seconds, PH_NEVER when that is out of range. */
int64_t ph_deadline_in(double seconds);

#endif
