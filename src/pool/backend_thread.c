/* SPDX-License-Identifier: MIT
 * Workers as threads of this process, a Lua state in each.
 *
 * A thread cannot be killed. One that does not stop when it is asked is abandoned: its link is hung up, so that it ends by
 * itself as soon as it comes back from wherever it is, and the pool goes on without it. What such a thread may still touch
 * is kept for it by references: its side of the link, the bell, the pool's blobs, the payloads of the tasks it had begun.
 *
 * Whether a thread has ended or was abandoned first is decided by one compare-exchange on `fate`. */
#include "pool/backend_thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/eventfd.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/poke.h"
#include "pool/backend_proc.h"
#include "pool/pool_int.h"

#define MERCY_NS 100000000 /* that a hard kill gives running code to unwind */

enum fate { RUNS, ENDED, ABANDONED };

/* Shared by the pool and its threads. */
struct bell {
  atomic_uint refs;
  atomic_int fd; /* -1 once it is somebody else's */
};

struct thread_worker {
  atomic_uint refs; /* the pool, the thread */
  atomic_int fate;
  atomic_int tid;
  int exit_code; /* once ENDED */
  bool begged;   /* by a hard kill */
  bool given_up; /* to be abandoned by the next poll */
  uint32_t index;
  int wake_fd; /* guarded by the pool's lock */
  pthread_t thread;
  struct ph_link link; /* the worker's side */
  struct bell *bell;
  struct ph_pool *pool;
  ph_thread_main *main;
  sigset_t mask;
  char name[16];
  struct ph_task *begun[PH_LINK_SLOTS]; /* once ABANDONED: kept for the thread */
  unsigned n_begun;
};

struct thread_backend {
  struct bell *bell;
  ph_thread_main *main;
  sigset_t mask; /* of who made the pool: for code that the workers run */
};

static atomic_uint n_running, n_abandoned;
static atomic_int stop_signal = PH_STOP_SIGNAL_NUMBER;
static atomic_int inspect_signal;
static _Thread_local struct thread_worker *current; /* of worker threads */

unsigned ph_threads_running(void) {
  return atomic_load(&n_running);
}

unsigned ph_threads_abandoned(void) {
  return atomic_load(&n_abandoned);
}

void ph_threads_stop_by(int number) {
  atomic_store(&stop_signal, number);
}

int ph_threads_stop_signal(void) {
  return atomic_load(&stop_signal);
}

void ph_threads_inspect_by(int number) {
  atomic_store(&inspect_signal, number);
}

int ph_threads_inspect_signal(void) {
  return atomic_load(&inspect_signal);
}

void ph_thread_wake_by(int fd) {
  if (current == NULL) return;
  pthread_mutex_lock(&current->pool->lock);
  current->wake_fd = fd;
  pthread_mutex_unlock(&current->pool->lock);
}

/* --- shared parts ----------------------------------------------------------------------------------------- */

static struct bell *new_bell(struct ph_err *err) {
  struct bell *b = ph_malloc(sizeof *b);
  int fd = b == NULL || PH_FAULT(eventfd) ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) {
    ph_err_os(err, "cannot make the bell of a pool");
    free(b);
    return NULL;
  }
  atomic_init(&b->refs, 1);
  atomic_init(&b->fd, fd);
  return b;
}

static void unref_bell(struct bell *b) {
  if (atomic_fetch_sub(&b->refs, 1) != 1) return;
  close(b->fd);
  free(b);
}

static void unref_worker(struct thread_worker *t) {
  if (atomic_fetch_sub(&t->refs, 1) != 1) return;
  for (unsigned i = 0; i < t->n_begun; i++) ph_task_unref(t->begun[i]);
  unref_bell(t->bell);
  ph_pool_unref(t->pool);
  free(t);
}

/* --- the thread ------------------------------------------------------------------------------------------- */

static void end_thread(struct thread_worker *t, int exit_code) {
  int fate = RUNS;
  uint64_t one = 1;
  atomic_fetch_sub(&n_running, 1);
  ph_link_close(&t->link);
  t->exit_code = exit_code;
  if (atomic_compare_exchange_strong(&t->fate, &fate, ENDED)) {
    ssize_t n = write(t->bell->fd, &one, sizeof one);
    (void)n; /* full: it is ringing already */
  } else {
    atomic_fetch_sub(&n_abandoned, 1);
  }
  unref_worker(t);
}

static void *run_thread(void *arg) {
  struct thread_worker *t = arg;
  atomic_store(&t->tid, (int)syscall(SYS_gettid));
  PH_FAULT_BECOME_THREAD();
  prctl(PR_SET_NAME, t->name);
  pthread_sigmask(SIG_SETMASK, &t->mask, NULL);
  current = t;
  end_thread(t, t->main(&t->link, t->pool, t->index));
  return NULL;
}

/* --- the backend ------------------------------------------------------------------------------------------ */

static int thread_open(struct ph_pool *p, struct ph_err *err) {
  const struct ph_thread_start *start = p->config.backend_options;
  struct thread_backend *b = ph_calloc(1, sizeof *b);
  if (b == NULL) return ph_err_set(err, "os", ENOMEM, "not enough memory for a pool");
  b->bell = new_bell(err);
  if (b->bell == NULL) {
    free(b);
    return -1;
  }
  b->main = start->main;
  pthread_sigmask(SIG_SETMASK, NULL, &b->mask);
  if (ph_threads_stop_signal() != 0) sigdelset(&b->mask, ph_threads_stop_signal());
  p->backend_data = b;
  if (ph__watch_backend(p, b->bell->fd, err) == 0) return 0;
  unref_bell(b->bell);
  free(b);
  return -1;
}

static struct thread_worker *new_worker(struct ph_pool *p, struct ph_worker *w, struct ph_err *err) {
  const struct thread_backend *b = p->backend_data;
  struct thread_worker *t = ph_calloc(1, sizeof *t);
  if (t == NULL) {
    ph_err_set(err, "os", ENOMEM, "not enough memory");
    return NULL;
  }
  if (ph_link_open_local(&w->link, &t->link, b->bell->fd, err) != 0) {
    free(t);
    return NULL;
  }
  atomic_init(&t->refs, 1);
  t->index = w->index;
  t->wake_fd = -1;
  t->main = b->main;
  t->mask = b->mask;
  t->bell = b->bell;
  atomic_fetch_add(&b->bell->refs, 1);
  t->pool = p;
  ph_pool_ref(p);
  int digits = snprintf(NULL, 0, "%u", w->index + 1);
  snprintf(t->name, sizeof t->name, "%.*s_%u", (int)sizeof t->name - 2 - digits, p->config.name, w->index + 1);
  return t;
}

/* With every signal blocked, until the thread has its own mask. */
static int start_thread(struct thread_worker *t) {
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  atomic_fetch_add(&t->refs, 1);
  int status = PH_FAULT(pthread_create) ? errno : pthread_create(&t->thread, NULL, run_thread, t);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (status != 0) atomic_fetch_sub(&t->refs, 1);
  if (status == 0) atomic_fetch_add(&n_running, 1);
  return status;
}

static int thread_spawn(struct ph_pool *p, struct ph_worker *w, struct ph_err *err) {
  struct thread_worker *t = new_worker(p, w, err);
  if (t == NULL) return -1;
  int status = start_thread(t);
  if (status != 0) {
    ph_link_close(&t->link);
    unref_worker(t);
    return ph_err_set(err, "os", status, "cannot start a thread: %s", strerror(status));
  }
  w->backend_data = t;
  return 0;
}

static void thread_interrupt(struct ph_pool *p, struct ph_worker *w) {
  struct thread_worker *t = w->backend_data;
  uint64_t one = 1;
  int number = ph_threads_stop_signal();
  (void)p;
  if (number != 0) {
    pthread_kill(t->thread, number); /* not joined yet, so it still exists for us */
  } else if (t->wake_fd >= 0) {
    ssize_t n = write(t->wake_fd, &one, sizeof one);
    (void)n; /* full: it is awake */
  }
}

/* Only notes what is to be done, as the caller goes on with `w`. */
static void thread_kill(struct ph_pool *p, struct ph_worker *w, bool hard) {
  struct thread_worker *t = w->backend_data;
  bool has_work = w->n_handed > 0 || w->state != PH_WORKER_READY;
  if (hard && !t->begged) {
    t->begged = true;
    w->kill_at = ph_now() + MERCY_NS;
    ph__set_timer(p, w->kill_at);
    if (!has_work) ph__worker_stop(w);
    return;
  }
  t->given_up = p->poll_soon = true;
}

/* Not joined yet, so it still exists for us. */
static void thread_poke(struct ph_pool *p, struct ph_worker *w, bool asleep) {
  const struct thread_worker *t = w->backend_data;
  pid_t tid = atomic_load(&t->tid);
  (void)p;
  if (tid != 0 && ph_threads_inspect_signal() != 0) ph_poke(getpid(), tid, ph_threads_inspect_signal(), asleep);
}

static pid_t thread_thread_id(const struct ph_worker *w) {
  const struct thread_worker *t = w->backend_data;
  return atomic_load(&t->tid);
}

static void reap(struct ph_worker *w) {
  struct thread_worker *t = w->backend_data;
  pthread_join(t->thread, NULL); /* it is past its last line */
  ph__worker_gone(w, &(struct ph_exit){.exit_code = t->exit_code});
  unref_worker(t);
}

/* False when it has ended after all. */
static bool abandon(struct ph_pool *p, struct ph_worker *w) {
  struct thread_worker *t = w->backend_data;
  int fate = RUNS;
  t->n_begun = ph__worker_disown(w, t->begun);
  pthread_t thread = t->thread;
  atomic_fetch_add(&n_abandoned, 1);
  if (!atomic_compare_exchange_strong(&t->fate, &fate, ABANDONED)) {
    atomic_fetch_sub(&n_abandoned, 1);
    return false;
  }
  pthread_detach(thread);
  ph_link_hang_up(&w->link);
  p->abandoned++;
  ph__worker_gone(w, &(struct ph_exit){.exit_code = -1});
  unref_worker(t);
  return true;
}

static void poll_worker(struct ph_pool *p, struct ph_worker *w) {
  struct thread_worker *t = w->backend_data;
  ph_link_clear_parked(&w->link);
  if (t->given_up && abandon(p, w)) return;
  if (atomic_load(&t->fate) == ENDED) reap(w);
}

static void thread_poll(struct ph_pool *p) {
  struct thread_backend *b = p->backend_data;
  ph_eventfd_empty(atomic_load(&b->bell->fd));
  for (unsigned i = 0; i < p->config.max_workers; i++)
    if (p->workers[i] != NULL && p->workers[i]->backend_data != NULL) poll_worker(p, p->workers[i]);
}

/* --- the end ---------------------------------------------------------------------------------------------- */

static bool wait_for_bell(struct thread_backend *b, int64_t until) {
  int64_t left = until - ph_now();
  struct pollfd fd = {.fd = b->bell->fd, .events = POLLIN};
  if (left <= 0) return false;
  poll(&fd, 1, (int)(left / 1000000 + 1));
  return true;
}

static void thread_close(struct ph_pool *p) {
  struct thread_backend *b = p->backend_data;
  int64_t until = ph_now() + MERCY_NS;
  pthread_mutex_lock(&p->lock);
  p->terminating = true;
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    struct ph_worker *w = p->workers[i];
    if (w == NULL) continue;
    struct ph_task *t = ph__running_task(w);
    if (t != NULL) ph__stop_task(t, PH_SOURCE_SHUTDOWN, PH_NEVER);
    ph__worker_stop(w);
    ph__flush_backlog(w);
    ph_link_wake(&w->link);
  }
  do thread_poll(p);
  while (p->n_workers > 0 && wait_for_bell(b, until));
  for (unsigned i = 0; i < p->config.max_workers; i++)
    if (p->workers[i] != NULL && !abandon(p, p->workers[i])) reap(p->workers[i]);
  pthread_mutex_unlock(&p->lock);
  unref_bell(b->bell);
  free(b);
}

static bool thread_is_intact(struct ph_pool *p) {
  const struct thread_backend *b = p->backend_data;
  return ph__still_watches_backend(p, atomic_load(&b->bell->fd));
}

/* From here on the threads are looked at by each pump. */
static void thread_bereave(struct ph_pool *p) {
  struct thread_backend *b = p->backend_data;
  if (thread_is_intact(p)) return;
  atomic_store(&b->bell->fd, -1);
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    struct thread_worker *t = p->workers[i] != NULL ? p->workers[i]->backend_data : NULL;
    if (t != NULL) __atomic_store_n(&t->link.bell, -1, __ATOMIC_RELAXED);
  }
}

const struct ph_backend ph_backend_thread = {
    .name = "thread_pool",
    .open = thread_open,
    .spawn = thread_spawn,
    .interrupt = thread_interrupt,
    .kill = thread_kill,
    .thread_id = thread_thread_id,
    .poke = thread_poke,
    .poll = thread_poll,
    .is_intact = thread_is_intact,
    .bereave = thread_bereave,
    .close = thread_close,
};
