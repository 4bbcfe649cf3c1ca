/* SPDX-License-Identifier: MIT */
#include "loop/loop_int.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"

/* How late a sleep may end that is made up for. What is more was not the wake-up, but others who had the processor. */
#define LATENESS_MAX_NS 150000

/* Deadlines are a timerfd: libuv's own timers count whole milliseconds, from a time that it has cached. It goes off earlier
 * than it is wanted, by as much as the system has lately been late in waking us (on virtual machines up to 100 us). */
struct ph_loop {
  uv_loop_t uv;
  struct ph_loop_watch *wake, *timer;
  int wake_fd, timer_fd;
  int64_t armed;    /* when the timer goes off; PH_NEVER: it does not */
  int64_t deadline; /* and what for */
  int64_t lateness; /* of waking, averaged */
  unsigned events;  /* callbacks so far */
  unsigned seen;    /* of them at the last pulse */
  uv_timer_t pulse; /* libuv's own: it needs no descriptor */
  bool gives_way, lost, pulses, of_threads, pulsed;
  bool has_run;       /* the wake-up is in its epoll */
  atomic_bool robbed; /* another loop has the number of its epoll */
  struct ph_loop *next_open, *next_left;
};

struct ph_loop_watch {
  uv_poll_t poll;
  void (*call)(void *arg); /* or NULL */
  void *arg;
  int drain_fd; /* a descriptor of the loop itself, which is emptied here; -1: the caller's */
};

static atomic_bool used;
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER; /* the list */
static struct ph_loop *open_loops;

bool ph_loop_used(void) {
  return atomic_load(&used);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
  struct ph_loop_watch *w = poll->data;
  uint64_t count;
  (void)status, (void)events;
  ph__loop_note_event(poll->loop);
  if (w->call != NULL) w->call(w->arg);
  if (w->drain_fd >= 0 && read(w->drain_fd, &count, sizeof count) < 0) return;
}

static void on_watch_closed(uv_handle_t *handle) {
  free(handle->data);
}

static struct ph_loop_watch *watch_own(struct ph_loop *loop, int fd, struct ph_err *err) {
  struct ph_loop_watch *w = ph_loop_watch(loop, fd, err);
  if (w != NULL) w->drain_fd = fd;
  return w;
}

static void on_timer(void *arg) {
  struct ph_loop *loop = arg;
  int64_t late = ph_now() - loop->armed;
  if (loop->armed == PH_NEVER || late < 0) return;
  loop->lateness += ((late < LATENESS_MAX_NS ? late : LATENESS_MAX_NS) - loop->lateness) / 4;
  loop->armed = loop->deadline = PH_NEVER;
}

static struct ph_loop_watch *watch_timer(struct ph_loop *loop, struct ph_err *err) {
  struct ph_loop_watch *w = watch_own(loop, loop->timer_fd, err);
  if (w == NULL) return NULL;
  w->call = on_timer;
  w->arg = loop;
  return w;
}

enum { LOOP_FDS = 4, FIRST_LOOP_FDS = 6, PULSE_MS = 1000 };

/* libuv (1.44) leaves its epoll open when it finds no more descriptors for a loop, and aborts without those of a pipe that
 * it makes with the first one. */
static int check_descriptors(int needed) {
  int fds[FIRST_LOOP_FDS], n = 0, status = 0;
  while (n < needed && (fds[n] = eventfd(0, EFD_CLOEXEC)) >= 0) n++;
  if (n < needed) status = -errno;
  while (n > 0) close(fds[--n]);
  return status;
}

static int open_uv(uv_loop_t *uv) {
  static atomic_bool opened;
  int status = check_descriptors(atomic_load(&opened) ? LOOP_FDS : FIRST_LOOP_FDS);
  if (status == 0) status = uv_loop_init(uv);
  if (status == 0) atomic_store(&opened, true);
  return status;
}

/* The number is this one's now. Who had it before, and does not know, must not touch it any more. */
static void enter(struct ph_loop *loop) {
  pthread_mutex_lock(&open_lock);
  for (struct ph_loop *o = open_loops; o != NULL; o = o->next_open)
    if (uv_backend_fd(&o->uv) == uv_backend_fd(&loop->uv)) atomic_store(&o->robbed, true);
  loop->next_open = open_loops;
  open_loops = loop;
  pthread_mutex_unlock(&open_lock);
}

static void leave(struct ph_loop *loop) {
  pthread_mutex_lock(&open_lock);
  struct ph_loop **place = &open_loops;
  while (*place != loop) place = &(*place)->next_open;
  *place = loop->next_open;
  pthread_mutex_unlock(&open_lock);
}

struct ph_loop *ph_loop_new(struct ph_err *err) {
  struct ph_loop *loop = ph_calloc(1, sizeof *loop);
  atomic_store(&used, true);
  int status = loop == NULL ? UV_ENOMEM : PH_FAULT(uv_loop) ? -errno : open_uv(&loop->uv);
  if (status != 0) {
    ph_err_set(err, "os", -status, "cannot open an event loop: %s", uv_strerror(status));
    free(loop);
    return NULL;
  }
  loop->uv.data = loop;
  loop->seen = UINT_MAX;
  enter(loop);
  uv_timer_init(&loop->uv, &loop->pulse);
  loop->wake_fd = PH_FAULT(eventfd) ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  loop->timer_fd = PH_FAULT(timerfd) ? -1 : timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  loop->armed = loop->deadline = PH_NEVER;
  if (loop->wake_fd < 0 || loop->timer_fd < 0)
    ph_err_os(err, "cannot open an event loop");
  else if ((loop->wake = watch_own(loop, loop->wake_fd, err)) != NULL)
    loop->timer = watch_timer(loop, err);
  if (loop->timer == NULL) {
    ph_loop_free(loop);
    return NULL;
  }
  ph_loop_turn(loop); /* from here on the epoll is known by what lies in it */
  return loop;
}

/* libuv aborts when it finds its epoll closed, or something else in its place. In another epoll the wake-up does not lie. */
static bool is_intact(struct ph_loop *loop) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = loop->wake_fd};
  int fd = uv_backend_fd(&loop->uv);
  if (atomic_load_explicit(&loop->robbed, memory_order_relaxed)) return false;
  if (loop->has_run) return epoll_ctl(fd, EPOLL_CTL_MOD, loop->wake_fd, &event) == 0;
  return epoll_wait(fd, &event, 1, 0) >= 0 || errno == EINTR;
}

/* The descriptors may be somebody else's by now, and libuv frees nothing without them. */
static void leave_for_good(struct ph_loop *loop) {
  static _Atomic(struct ph_loop *) left;
  loop->next_left = atomic_exchange(&left, loop); /* to a leak checker they are not lost */
}

void ph_loop_free(struct ph_loop *loop) {
  leave(loop);
  if (!is_intact(loop)) {
    leave_for_good(loop);
    return;
  }
  if (loop->wake != NULL) ph_loop_unwatch(loop->wake);
  if (loop->timer != NULL) ph_loop_unwatch(loop->timer);
  uv_close((uv_handle_t *)&loop->pulse, NULL);
  uv_run(&loop->uv, UV_RUN_DEFAULT);
  PH_CHECK(uv_loop_close(&loop->uv) == 0);
  if (loop->wake_fd >= 0) close(loop->wake_fd);
  if (loop->timer_fd >= 0) close(loop->timer_fd);
  free(loop);
}

struct ph_loop_watch *ph_loop_watch(struct ph_loop *loop, int fd, struct ph_err *err) {
  struct ph_loop_watch *w = ph_calloc(1, sizeof *w);
  int status = w == NULL || PH_FAULT(uv_poll) ? UV_ENOMEM : uv_poll_init(&loop->uv, &w->poll, fd);
  if (status != 0) {
    ph_err_set(err, "os", -status, "cannot watch a descriptor: %s", uv_strerror(status));
    free(w);
    return NULL;
  }
  w->poll.data = w;
  w->drain_fd = -1;
  uv_poll_start(&w->poll, UV_READABLE, on_ready);
  return w;
}

struct ph_loop_watch *ph_loop_watch_by(struct ph_loop *loop, int fd, void (*call)(void *arg), void *arg,
                                       struct ph_err *err) {
  struct ph_loop_watch *w = ph_loop_watch(loop, fd, err);
  if (w == NULL) return NULL;
  w->call = call;
  w->arg = arg;
  return w;
}

void ph_loop_unwatch(struct ph_loop_watch *w) {
  uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

uv_loop_t *ph__loop_uv(struct ph_loop *loop) {
  return &loop->uv;
}

int ph_loop_wake_fd(const struct ph_loop *loop) {
  return loop->wake_fd;
}

/* Left armed it ends a later wait early at worst, so it is set only when it is wanted for another moment. */
static void arm_timer(struct ph_loop *loop, int64_t deadline, int64_t early) {
  if (deadline == loop->deadline) return;
  loop->deadline = deadline;
  loop->armed = deadline - early;
  struct itimerspec when = {{0, 0}, {loop->armed / 1000000000, loop->armed % 1000000000}};
  timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void ph_loop_give_way(struct ph_loop *loop) {
  loop->gives_way = true;
}

void ph__loop_note_event(uv_loop_t *uv) {
  struct ph_loop *loop = uv->data;
  loop->events++;
}

bool ph_loop_turn(struct ph_loop *loop) {
  unsigned before = loop->events;
  uv_run(&loop->uv, UV_RUN_NOWAIT);
  loop->has_run = true;
  return loop->events != before;
}

/* libuv goes on sleeping after a signal. (One that comes right before the sleep is seen when that ends.) */
static void sleep_lightly(struct ph_loop *loop) {
  struct pollfd fd = {.fd = uv_backend_fd(&loop->uv), .events = POLLIN};
  if (ph_loop_turn(loop)) return;
  if (poll(&fd, 1, uv_backend_timeout(&loop->uv)) >= 0) ph_loop_turn(loop);
}

bool ph_loop_is_lost(const struct ph_loop *loop) {
  return loop->lost;
}

static void set_pulse(struct ph_loop *loop, bool on);

/* Without other threads, nobody closes anything while the loop sleeps: one look is enough, until something has happened. */
static void on_pulse(uv_timer_t *timer) {
  struct ph_loop *loop = timer->loop->data;
  loop->pulsed = true;
  loop->seen = loop->events;
  if (!loop->of_threads) set_pulse(loop, false);
}

static void set_pulse(struct ph_loop *loop, bool on) {
  if (loop->pulses == on) return;
  loop->pulses = on;
  if (on)
    uv_timer_start(&loop->pulse, on_pulse, PULSE_MS, PULSE_MS);
  else
    uv_timer_stop(&loop->pulse);
}

void ph_loop_beware(struct ph_loop *loop, bool of_threads, bool once) {
  loop->of_threads = of_threads;
  if (loop->pulses ? !of_threads && !once : of_threads || (once && loop->events != loop->seen))
    set_pulse(loop, !loop->pulses);
}

bool ph_loop_take_pulse(struct ph_loop *loop) {
  bool pulsed = loop->pulsed;
  loop->pulsed = false;
  return pulsed;
}

static void sleep_once(struct ph_loop *loop) {
  if (loop->gives_way)
    sleep_lightly(loop);
  else
    uv_run(&loop->uv, UV_RUN_ONCE);
}

/* Spins for what waking up has left of the time that the timer has gone off early. */
static void sleep_until(struct ph_loop *loop, int64_t deadline, int64_t now) {
  int64_t early = loop->lateness;
  if (early > (deadline - now) / 4) early = (deadline - now) / 4; /* many short sleeps are not to become one spin */
  arm_timer(loop, deadline, early);
  unsigned before = loop->events;
  sleep_once(loop);
  if (loop->deadline != PH_NEVER || loop->events != before + 1) return;
  while (ph_now() < deadline && !ph_loop_turn(loop)) continue;
}

void ph_loop_run_once(struct ph_loop *loop, int64_t deadline) {
  int64_t now = deadline != PH_NEVER ? ph_now() : 0;
  loop->lost = !is_intact(loop);
  if (loop->lost) return;
  if (deadline <= now)
    uv_run(&loop->uv, UV_RUN_NOWAIT);
  else if (deadline == PH_NEVER)
    sleep_once(loop);
  else
    sleep_until(loop, deadline, now);
}

int ph_loop_fd(const struct ph_loop *loop) {
  return uv_backend_fd(&loop->uv);
}

int64_t ph_loop_arm(struct ph_loop *loop, int64_t deadline) {
  int64_t now = ph_now();
  ph_loop_beware(loop, false, false); /* whoever sleeps looks after itself */
  uv_update_time(&loop->uv);
  int own = uv_backend_timeout(&loop->uv);
  if (own >= 0 && now + own * INT64_C(1000000) < deadline) deadline = now + own * INT64_C(1000000);
  if (deadline != PH_NEVER && deadline > now) arm_timer(loop, deadline, 0);
  return deadline;
}
