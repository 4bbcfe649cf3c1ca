/* SPDX-License-Identifier: MIT
 * Who keeps a pool going.
 *
 * Anybody who holds the lock may pump. The owner pumps when it submits something that a worker could begin at once, and
 * while it waits. When the owner has not been seen for a tick, the dispatcher thread drives: it sleeps in epoll on the
 * workers' bells and pumps when one rings. While the owner is active or waits, the dispatcher stays away, so that a
 * message wakes one thread and not two; after a quiet tick it sleeps until it is signalled.
 *
 * The epoll descriptor of a pool serves both: the dispatcher waits in it, and the owner's loop polls it. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "pool/pool_int.h"

#include "base/cpu.h"
#include "base/eventfd.h"
#include "base/fault.h"
#include "base/relax.h"

#define TICK_NS 1000000
#define PULSE_NS 1000000000
#define NAP_NS 50000
#define DEAF_NS 1000000000
#define SPIN_NS 40000 /* about what waking a parked thread costs */
#define SPIN_CREDIT_MAX 8
#define SPIN_RETRY 16 /* waits between two tries when spinning has not paid */

/* --- descriptors ------------------------------------------------------------------------------------------ */

static char backend_tag; /* the kick has the address of its number, which tells whose it is: see descriptors.c */

int ph__watch(struct ph_pool *p, int fd, void *tag, struct ph_err *err) {
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = tag};
  int status = PH_FAULT(epoll_ctl) ? -1 : epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, fd, &e);
  return status == 0 ? 0 : ph_err_os(err, "cannot watch a descriptor");
}

void ph__unwatch(struct ph_pool *p, int fd) {
  epoll_ctl(p->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static void kick(struct ph_pool *p) {
  uint64_t one = 1;
  ssize_t n = write(p->kick_fd, &one, sizeof one);
  (void)n; /* full: it is awake already */
}

void ph__wake_owner(struct ph_pool *p) {
  if (p->owner_asleep) kick(p);
}

static void bell_rang(struct ph_worker *w) {
  if (ph_link_unpark(&w->link) == 0) return;
  ph__unwatch(w->pool, w->link.bell); /* gone: the backend will say how, unless it has but closed its descriptors */
  w->bell_watched = false;
  w->deaf_at = ph_now() + DEAF_NS;
  ph__set_timer(w->pool, w->deaf_at);
}

static void handle_event(struct ph_pool *p, void *tag) {
  uint64_t count;
  if (tag == &p->kick_fd) {
    ssize_t n = read(p->kick_fd, &count, sizeof count);
    (void)n;
  } else if (tag == &backend_tag) {
    p->backend->poll(p);
  } else {
    for (unsigned i = 0; i < p->config.max_workers; i++) /* it may have been discarded by an event before */
      if (p->workers[i] != NULL && p->workers[i] == tag) bell_rang(p->workers[i]);
  }
}

static void handle_events(struct ph_pool *p, struct epoll_event *events, int n) {
  for (int i = 0; i < n; i++) handle_event(p, events[i].data.ptr);
}

/* True when every worker will ring; false when there is something to do already. */
static bool park_all(struct ph_pool *p) {
  bool parked = true;
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    struct ph_worker *w = p->workers[i];
    if (w == NULL || w->state == PH_WORKER_GONE || !w->bell_watched) continue;
    if (!ph_link_park(&w->link, ph__backlog(w) > 0)) parked = false;
  }
  return parked;
}

static void clear_parked(struct ph_pool *p) {
  for (unsigned i = 0; i < p->config.max_workers; i++)
    if (p->workers[i] != NULL && p->workers[i]->state != PH_WORKER_GONE) ph_link_clear_parked(&p->workers[i]->link);
}

/* --- the dispatcher thread -------------------------------------------------------------------------------- */

static bool any_stopping(const struct ph_pool *p) {
  for (unsigned i = 0; i < p->config.max_workers; i++)
    if (p->workers[i] != NULL && p->workers[i]->state == PH_WORKER_STOPPING) return true;
  return false;
}

static bool needs_watching(struct ph_pool *p) {
  if (p->n_workers > 0 && any_stopping(p)) return true;
  return atomic_load(&p->outstanding) > 0 || p->next_timer != PH_NEVER || (p->state != PH_POOL_OPEN && p->n_workers > 0);
}

static void tick(struct ph_pool *p) {
  int64_t until = ph_now() + TICK_NS;
  struct timespec ts = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
  pthread_cond_timedwait(&p->wake_dispatcher, &p->lock, &ts);
}

static bool intake_wants_us(struct ph_pool *p) {
  return atomic_load(&p->n_intake) > 0 && atomic_load(&p->hungry);
}

/* `left`: nanoseconds. Where there is no epoll_pwait2 (valgrind, old kernels), milliseconds must do. */
static int wait_for_events(int fd, struct epoll_event *events, int n, int64_t left) {
  struct timespec ts = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
  int got = PH_FAULT(epoll_wait) ? -1 : epoll_pwait2(fd, events, n, &ts, NULL);
  if (got >= 0 || errno != ENOSYS) return got;
  return epoll_wait(fd, events, n, (int)((left + 999999) / 1000000));
}

/* Not for ever: when somebody closes the descriptors of this process meanwhile, nothing wakes us. */
static void sleep_in_epoll(struct ph_pool *p) {
  struct epoll_event events[16];
  int64_t now = ph_now(), left = PULSE_NS;
  if (p->next_timer < now + left) left = p->next_timer > now ? p->next_timer - now : 0;
  int fd = p->epoll_fd;
  pthread_mutex_unlock(&p->lock);
  atomic_thread_fence(memory_order_seq_cst); /* as in ph__let_go */
  if (intake_wants_us(p)) left = 0;
  int n = wait_for_events(fd, events, 16, left);
  bool lost = n < 0 && errno != EINTR;
  pthread_mutex_lock(&p->lock);
  clear_parked(p);
  handle_events(p, events, n);
  if (lost) tick(p);
}

/* Replies come one by one, faster than a thread goes to sleep: a moment later there are many. */
static void nap(struct ph_pool *p) {
  const struct timespec ts = {.tv_nsec = NAP_NS};
  pthread_mutex_unlock(&p->lock);
  nanosleep(&ts, NULL);
  pthread_mutex_lock(&p->lock);
}

static void drive(struct ph_pool *p) {
  unsigned seen = atomic_load(&p->owner_activity);
  p->driving = true;
  for (;;) {
    ph__pump(p);
    bool owner_active = p->waiting_guests == 0 && atomic_load(&p->owner_activity) != seen;
    if (p->quit || p->owner_waiting || !needs_watching(p) || owner_active) break;
    if (park_all(p))
      sleep_in_epoll(p);
    else
      nap(p);
  }
  p->driving = false;
}

static void *dispatch(void *arg) {
  struct ph_pool *p = arg;
  unsigned seen = atomic_load(&p->owner_activity) - 1; /* the owner, who has just made us, is active */
  prctl(PR_SET_NAME, "ph-dispatch");
  prctl(PR_SET_TIMERSLACK, 1);
  pthread_mutex_lock(&p->lock);
  while (!p->quit) {
    if (p->owner_waiting || !needs_watching(p)) {
      unsigned activity = atomic_load(&p->owner_activity);
      if (activity != seen) { /* it comes and goes: a signal each time would cost it more than our ticks */
        seen = activity;
        tick(p);
        continue;
      }
      atomic_store(&p->asleep, true);
      if (p->owner_waiting || !needs_watching(p)) /* again: from here on a submit sees that we sleep */
        pthread_cond_wait(&p->wake_dispatcher, &p->lock);
      atomic_store(&p->asleep, false);
    } else if (p->waiting_guests == 0 && atomic_load(&p->owner_activity) != seen) {
      seen = atomic_load(&p->owner_activity);
      tick(p);
    } else {
      drive(p);
      if (p->owner_waiting) kick(p); /* what we have read will not ring again */
    }
  }
  pthread_mutex_unlock(&p->lock);
  return NULL;
}

/* With the lock. The thread is made with every signal blocked: they are for the owner's code. */
static void start_dispatcher(struct ph_pool *p) {
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int error = PH_FAULT(pthread_create) ? errno : pthread_create(&p->dispatcher, NULL, dispatch, p);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  p->has_dispatcher = error == 0;
  if (error != 0 && !p->dispatcher_failed) atomic_store(&p->dispatcher_error, error);
  p->dispatcher_failed = error != 0;
}

int ph__dispatch_open(struct ph_pool *p, struct ph_err *err) {
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&p->wake_dispatcher, &attr);
  pthread_condattr_destroy(&attr);
  p->kick_fd = PH_FAULT(eventfd) ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  p->epoll_fd = p->kick_fd < 0 || PH_FAULT(epoll_create) ? -1 : epoll_create1(EPOLL_CLOEXEC);
  if (p->epoll_fd < 0) ph_err_os(err, "cannot open a pool");
  if (p->epoll_fd >= 0 && ph__watch(p, p->kick_fd, &p->kick_fd, err) == 0) return 0;
  ph__dispatch_close(p);
  return -1;
}

int ph__watch_backend(struct ph_pool *p, int fd, struct ph_err *err) {
  return ph__watch(p, fd, &backend_tag, err);
}

bool ph__still_watches_backend(struct ph_pool *p, int fd) {
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = &backend_tag};
  return epoll_ctl(p->epoll_fd, EPOLL_CTL_MOD, fd, &e) == 0;
}

/* Signalled with the lock, it would wake up only to wait for us. */
void ph__dispatch_stop(struct ph_pool *p) {
  if (!p->has_dispatcher) return;
  pthread_mutex_lock(&p->lock);
  p->quit = true;
  bool driving = p->driving;
  pthread_mutex_unlock(&p->lock);
  pthread_cond_signal(&p->wake_dispatcher);
  if (driving) kick(p);
  pthread_join(p->dispatcher, NULL);
  p->has_dispatcher = false;
}

void ph__dispatch_close(struct ph_pool *p) {
  ph__dispatch_stop(p);
  if (p->epoll_fd >= 0) close(p->epoll_fd);
  if (p->kick_fd >= 0) close(p->kick_fd);
  p->epoll_fd = p->kick_fd = -1;
  pthread_cond_destroy(&p->wake_dispatcher); /* nobody signals it when the pool is over */
}

/* --- the owner -------------------------------------------------------------------------------------------- */

static void rouse(struct ph_pool *p) {
  if (p->over) return;
  if (!p->has_dispatcher && !p->quit) start_dispatcher(p);
  if (atomic_load(&p->asleep) && needs_watching(p)) pthread_cond_signal(&p->wake_dispatcher);
}

/* When somebody else holds the lock, that one lets go with ph__let_go, or is the dispatcher, who looks at the intake before
 * it sleeps in epoll, or the dispatcher is awake and will look. A trylock that fails orders nothing: behind the fence either
 * the lock is seen to be free, or who lets go of it sees what is in the intake. A dispatcher that is about to sleep until it
 * is signalled may have looked already. */
static bool take_lock(struct ph_pool *p) {
  if (pthread_mutex_trylock(&p->lock) == 0) return true;
  atomic_thread_fence(memory_order_seq_cst);
  if (!atomic_load(&p->asleep)) return pthread_mutex_trylock(&p->lock) == 0;
  pthread_mutex_lock(&p->lock);
  return true;
}

void ph__nudge(struct ph_pool *p, bool submits) {
  do {
    if (!atomic_load(&p->hungry) && p->has_dispatcher && !atomic_load(&p->asleep)) return;
    if (!take_lock(p)) return;
    atomic_fetch_add(&p->owner_activity, 1);
    p->submits = submits;
    ph__pump(p);
    p->submits = false;
    rouse(p);
    if (submits && !p->has_dispatcher) ph__pump(p);                   /* nobody else would start what was put off */
    if (!p->over && p->driving && p->next_timer != PH_NEVER) kick(p); /* it may have to wake earlier than it thought */
    pthread_mutex_unlock(&p->lock);
    atomic_thread_fence(memory_order_seq_cst);
  } while (intake_wants_us(p)); /* submitted while we held the lock, and after our last look */
}

void ph__let_go(struct ph_pool *p) {
  pthread_mutex_unlock(&p->lock);
  atomic_thread_fence(memory_order_seq_cst);
  if (intake_wants_us(p)) ph__nudge(p, false);
}

int ph_pool_trouble(struct ph_pool *p) {
  return atomic_load_explicit(&p->dispatcher_error, memory_order_relaxed) != 0 ? atomic_exchange(&p->dispatcher_error, 0)
                                                                               : 0;
}

int ph_client_fd(const struct ph_client *c) {
  return c->is_guest ? c->fd : c->pool->epoll_fd;
}

int ph_client_poll_fd(struct ph_client *c) {
  if (c->fd < 0) c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return c->fd;
}

/* A guest does not drive, nor does an owner who sleeps elsewhere: the dispatcher does, unless the owner waits. */
bool ph_client_poll_begin(struct ph_client *c) {
  struct ph_pool *p = c->pool;
  pthread_mutex_lock(&p->lock);
  if (!c->waiting) p->waiting_guests++;
  c->waiting = true;
  ph__pump(p);
  if (!p->over) rouse(p);
  bool room = c->has_room;
  c->has_room = false;
  ph__let_go(p);
  return !atomic_load(&c->has_done) && !room;
}

void ph_client_poll_end(struct ph_client *c) {
  pthread_mutex_lock(&c->pool->lock);
  if (c->waiting) c->pool->waiting_guests--;
  c->waiting = false;
  ph__let_go(c->pool);
  if (c->fd >= 0) ph_eventfd_empty(c->fd);
}

bool ph_client_wait_begin(struct ph_client *c, int64_t *deadline) {
  struct ph_pool *p = c->pool;
  if (c->is_guest) return ph_client_poll_begin(c);
  pthread_mutex_lock(&p->lock);
  p->owner_waiting = true;
  do ph__pump(p);
  while (!atomic_load(&c->has_done) && !park_all(p));
  bool wait = !atomic_load(&c->has_done) && !p->news && !c->has_room;
  p->news = c->has_room = false;
  if (!wait) p->owner_waiting = false;
  p->owner_asleep = wait;
  if (p->next_timer < *deadline) *deadline = p->next_timer;
  ph__let_go(p); /* of a guest that has found the lock taken nobody else may hear, while we sleep */
  return wait;
}

void ph_client_wait_end(struct ph_client *c) {
  struct epoll_event events[16];
  struct ph_pool *p = c->pool;
  if (c->is_guest) {
    ph_client_poll_end(c);
    return;
  }
  pthread_mutex_lock(&p->lock);
  p->owner_asleep = false;
  clear_parked(p);
  int n = epoll_wait(p->epoll_fd, events, 16, 0);
  handle_events(p, events, n);
  p->owner_waiting = false;
  atomic_fetch_add(&p->owner_activity, 1);
  ph__pump(p);
  rouse(p);
  if (p->driving) kick(p); /* nobody rings for it any more */
  pthread_mutex_unlock(&p->lock);
}

static unsigned count_busy(const struct ph_pool *p) {
  unsigned n = 0;
  for (unsigned i = 0; i < p->config.max_workers; i++)
    if (p->workers[i] != NULL && p->workers[i]->n_handed > 0) n++;
  return n;
}

static bool any_readable(const struct ph_pool *p) {
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    const struct ph_worker *w = p->workers[i];
    if (w != NULL && w->n_handed > 0 && ph_link_readable(&w->link)) return true;
  }
  return false;
}

/* With more busy workers than other processors, spinning would take time from them. */
static bool may_spin(struct ph_pool *p) {
  static atomic_long known;
  if (p->spin_credit == 0 && ++p->spin_skipped % SPIN_RETRY != 0) return false;
  long processors = atomic_load_explicit(&known, memory_order_relaxed);
  if (processors == 0) {
    processors = ph_cpu_allowed();
    atomic_store_explicit(&known, processors, memory_order_relaxed);
  }
  unsigned busy = count_busy(p);
  return busy > 0 && (long)busy < processors;
}

bool ph_client_spin(struct ph_client *c) {
  struct ph_pool *p = c->pool;
  if (c->is_guest) return atomic_load(&c->has_done);
  pthread_mutex_lock(&p->lock);
  bool found = atomic_load(&c->has_done);
  if (!found && may_spin(p)) {
    int64_t end = ph_now() + SPIN_NS;
    while (!found && ph_now() < end) {
      for (int i = 0; i < 32 && !any_readable(p); i++) ph_relax();
      if (!any_readable(p)) continue;
      ph__pump(p);
      found = atomic_load(&c->has_done);
    }
    if (found && p->spin_credit < SPIN_CREDIT_MAX) p->spin_credit += 2;
    if (!found && p->spin_credit > 0) p->spin_credit--;
    atomic_fetch_add(&p->owner_activity, 1);
  }
  pthread_mutex_unlock(&p->lock);
  return found;
}
