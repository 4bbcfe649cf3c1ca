/* SPDX-License-Identifier: MIT
 * Workers as processes: forked from the zygote, or (start method "fork") from a zygote of the pool's own, which is a
 * copy of the calling process at the moment the pool was made. */
#include "pool/backend_proc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "pool/pool_int.h"
#include "pool/zygote.h"

struct proc_backend {
  int connection;
  struct ph_fd_mark mark; /* of it */
  pid_t own_zygote;       /* start method "fork", else 0 */
  bool lost;
};

static void proc_close(struct ph_pool *p) {
  struct proc_backend *b = p->backend_data;
  ph_zygote_disconnect(b->connection);
  if (b->own_zygote != 0) ph_zygote_reap(b->own_zygote);
  free(b);
}

static int proc_open(struct ph_pool *p, struct ph_err *err) {
  struct proc_backend *b = ph_calloc(1, sizeof *b);
  if (b == NULL) return ph_err_set(err, "os", ENOMEM, "not enough memory for a pool");
  const struct ph_proc_start *start = p->config.backend_options;
  if (start->fork)
    b->connection = ph_zygote_fork(&start->program, start->allowed_threads, &b->own_zygote, err);
  else
    b->connection = ph_zygote_start(&start->program, err) == 0 ? ph_zygote_connect(err) : -1;
  if (b->connection < 0) {
    free(b);
    return -1;
  }
  b->mark = ph_fd_mark(b->connection);
  p->backend_data = b;
  if (ph__watch_backend(p, b->connection, err) == 0) return 0;
  proc_close(p);
  return -1;
}

/* What is asked of the zygote, it is to do. */
static void proc_expect_end(struct ph_pool *p) {
  const struct proc_backend *b = p->backend_data;
  ph_zygote_continue(b->own_zygote);
}

static int proc_spawn(struct ph_pool *p, struct ph_worker *w, struct ph_err *err) {
  struct proc_backend *b = p->backend_data;
  int fds[2];
  char name[16];
  if (ph_link_open(&w->link, fds, err) != 0) return -1;
  snprintf(name, sizeof name, "%.11s_%u", p->config.name, w->index + 1);
  int status = ph_zygote_spawn(b->connection, w->index, name, fds[0], fds[1], err);
  close(fds[0]);
  close(fds[1]);
  ph_zygote_continue(b->own_zygote);
  return status;
}

static void proc_interrupt(struct ph_pool *p, struct ph_worker *w) {
  struct proc_backend *b = p->backend_data;
  ph_zygote_signal(b->connection, w->index, PH_STOP_SIGNAL_NUMBER, false);
  ph_zygote_continue(b->own_zygote);
}

static void proc_poke(struct ph_pool *p, struct ph_worker *w, bool asleep) {
  const struct proc_backend *b = p->backend_data;
  ph_zygote_poke(b->connection, w->index, asleep);
}

static void proc_kill(struct ph_pool *p, struct ph_worker *w, bool hard) {
  struct proc_backend *b = p->backend_data;
  ph_zygote_signal(b->connection, w->index, hard ? SIGKILL : SIGTERM, hard);
  ph_zygote_continue(b->own_zygote);
}

/* The zygote is gone, or cannot be reached, and its workers go with it. */
static void lost_zygote(struct ph_pool *p, struct proc_backend *b, const char *why) {
  struct ph_exit how = {.exit_code = -1, .signal_number = SIGKILL};
  if (b->lost) return;
  b->lost = true;
  ph__unwatch(p, b->connection);
  if (p->state != PH_POOL_BROKEN) ph_err_set(&p->broken.err, "broken_pool", 0, "%s", why);
  __atomic_store_n(&p->state, PH_POOL_BROKEN, __ATOMIC_RELEASE);
  for (unsigned i = 0; i < p->config.max_workers; i++)
    if (p->workers[i] != NULL) ph__worker_gone(p->workers[i], &how);
  ph__break(p);
}

static void proc_poll(struct ph_pool *p) {
  struct proc_backend *b = p->backend_data;
  struct ph_zygote_event e;
  int status;
  if (b->lost) return;
  while ((status = ph_zygote_receive(b->connection, &e)) > 0) {
    struct ph_worker *w = e.index < p->config.max_workers ? p->workers[e.index] : NULL;
    if (w == NULL) continue;
    if (e.type == PH_ZYGOTE_SPAWNED)
      ph__worker_started(w, e.pid);
    else if (e.type == PH_ZYGOTE_SPAWN_FAILED)
      ph__worker_spawn_failed(w, e.error);
    else
      ph__worker_gone(w, &(struct ph_exit){e.exit_code, e.signal_number, e.max_rss});
  }
  if (status < 0) lost_zygote(p, b, "the fork server of the pool died");
}

static bool has_own_bell(const struct ph_worker *w) {
  return !w->bell_watched || ph_fd_is(w->link.bell, w->link.bell_mark);
}

static bool proc_is_intact(struct ph_pool *p) {
  const struct proc_backend *b = p->backend_data;
  if (b->lost) return true;
  for (unsigned i = 0; i < p->config.max_workers; i++)
    if (p->workers[i] != NULL && !has_own_bell(p->workers[i])) return false;
  return ph_fd_is(b->connection, b->mark);
}

/* The end of the connection is the end of the workers, should they still be there. */
static void proc_bereave(struct ph_pool *p) {
  struct proc_backend *b = p->backend_data;
  for (unsigned i = 0; i < p->config.max_workers; i++) {
    struct ph_worker *w = p->workers[i];
    if (w == NULL || has_own_bell(w)) continue;
    w->link.bell = -1;
    w->bell_watched = false;
  }
  if (ph_fd_is(b->connection, b->mark)) ph_zygote_disconnect(b->connection);
  b->connection = -1;
  lost_zygote(p, b, "something in this process has closed its descriptors");
}

const struct ph_backend ph_backend_proc = {
    .name = "proc_pool",
    .starts_in_crowds = true,
    .open = proc_open,
    .spawn = proc_spawn,
    .interrupt = proc_interrupt,
    .kill = proc_kill,
    .poke = proc_poke,
    .expect_end = proc_expect_end,
    .poll = proc_poll,
    .is_intact = proc_is_intact,
    .bereave = proc_bereave,
    .close = proc_close,
};
