/* SPDX-License-Identifier: MIT
 * A timer signal that looks whether the same step has been running for too long. No thread, and no signals while the loop
 * sleeps: the timer is armed again by the first step after it found nothing running. One for each thread. */
#ifndef PH_LOOP_WATCHDOG_H
#define PH_LOOP_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct ph_watchdog {
  timer_t timer;
  bool on;
  volatile bool armed, busy; /* busy: a step runs. The owner's, like steps */
  int64_t limit;             /* ns */
  volatile uint64_t steps;   /* counts the steps */
  uint64_t seen, told;
  void (*tell)(void *arg); /* in a signal handler, once for each step that takes longer than the limit */
  void *arg;
};

/* Nothing happens where the system does not allow it, or the signal is in use. */
void ph_watchdog_start(struct ph_watchdog *w, int64_t limit_ns, void (*tell)(void *arg), void *arg);
void ph_watchdog_stop(struct ph_watchdog *w);
void ph_watchdog_arm(struct ph_watchdog *w);

static inline void ph_watchdog_step(struct ph_watchdog *w) {
  w->steps++;
  if (w->on && !w->armed) ph_watchdog_arm(w);
}

/* SIGQUIT calls tell(arg), in the handler, until tell is NULL; only when nobody else handles it. */
void ph_watch_quit(void (*tell)(void *arg), void *arg);

#endif
