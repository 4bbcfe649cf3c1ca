/* SPDX-License-Identifier: MIT */
#include "loop/watchdog.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"

#define TIMER_SIGNAL (SIGRTMAX - 3)

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static _Thread_local struct ph_watchdog *watchdog; /* of this thread */

void ph_watchdog_arm(struct ph_watchdog *w) {
  struct itimerspec after = {{0, 0}, {w->limit / 1000000000, w->limit % 1000000000}};
  w->seen = w->steps;
  w->armed = true;
  timer_settime(w->timer, 0, &after, NULL);
}

static void on_timer(int number) {
  int saved = errno;
  struct ph_watchdog *w = watchdog;
  (void)number;
  if (w == NULL || !w->on) return;
  if (!w->busy) {
    w->armed = false;
  } else {
    if (w->steps == w->seen && w->told != w->seen) {
      w->told = w->seen;
      w->tell(w->arg);
    }
    ph_watchdog_arm(w);
  }
  errno = saved;
}

static bool take_signal(void) {
  struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART}, old;
  sigemptyset(&action.sa_mask);
  if (sigaction(TIMER_SIGNAL, NULL, &old) != 0) return false;
  if (old.sa_handler == on_timer) return true;
  return old.sa_handler == SIG_DFL && sigaction(TIMER_SIGNAL, &action, NULL) == 0;
}

void ph_watchdog_start(struct ph_watchdog *w, int64_t limit_ns, void (*tell)(void *arg), void *arg) {
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = TIMER_SIGNAL;
  event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
  w->on = false;
  if (limit_ns <= 0 || (watchdog != NULL && watchdog->on) || !take_signal()) return;
  if (PH_FAULT(timer_create) || timer_create(CLOCK_MONOTONIC, &event, &w->timer) != 0) return;
  w->limit = limit_ns;
  w->tell = tell;
  w->arg = arg;
  w->armed = false;
  w->told = 0;
  watchdog = w;
  w->on = true;
}

void ph_watchdog_stop(struct ph_watchdog *w) {
  if (!w->on) return;
  w->on = false;
  watchdog = NULL;
  timer_delete(w->timer);
}

/* --- SIGQUIT ---------------------------------------------------------------------------------------------- */

static void (*volatile quit_tell)(void *arg);
static void *volatile quit_arg;

static void on_quit(int number) {
  int saved = errno;
  void (*tell)(void *arg) = quit_tell;
  (void)number;
  if (tell != NULL) tell(quit_arg);
  errno = saved;
}

void ph_watch_quit(void (*tell)(void *arg), void *arg) {
  struct sigaction action = {.sa_handler = on_quit, .sa_flags = SA_RESTART}, old;
  sigemptyset(&action.sa_mask);
  if (sigaction(SIGQUIT, NULL, &old) != 0) return;
  if (tell != NULL && old.sa_handler == SIG_DFL) {
    quit_arg = arg;
    quit_tell = tell;
    sigaction(SIGQUIT, &action, NULL);
  } else if (tell == NULL && old.sa_handler == on_quit) {
    action.sa_handler = SIG_DFL;
    sigaction(SIGQUIT, &action, NULL);
    quit_tell = NULL;
  }
}
