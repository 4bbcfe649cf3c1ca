/* SPDX-License-Identifier: MIT */
#include "loop/loop_int.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

struct ph_loop {
  uv_loop_t uv;
  uv_timer_t timer;
  struct ph_loop_watch *wake;
  int wake_fd;
};

struct ph_loop_watch {
  uv_poll_t poll;
  int drain_fd; /* the wake-up descriptor, which is emptied here; -1: the caller's */
};

static atomic_bool used;

bool ph_loop_used(void) {
  return atomic_load(&used);
}

static void on_timer(uv_timer_t *timer) {
  (void)timer;
}

static void on_ready(uv_poll_t *poll, int status, int events) {
  struct ph_loop_watch *w = poll->data;
  uint64_t count;
  (void)status, (void)events;
  if (w->drain_fd >= 0 && read(w->drain_fd, &count, sizeof count) < 0) return;
}

static void on_watch_closed(uv_handle_t *handle) {
  free(handle->data);
}

struct ph_loop *ph_loop_new(struct ph_err *err) {
  struct ph_loop *loop = calloc(1, sizeof *loop);
  atomic_store(&used, true);
  if (loop == NULL || uv_loop_init(&loop->uv) != 0) {
    ph_err_set(err, "os", ENOMEM, "cannot open an event loop");
    free(loop);
    return NULL;
  }
  uv_timer_init(&loop->uv, &loop->timer);
  loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  loop->wake = loop->wake_fd < 0 ? NULL : ph_loop_watch(loop, loop->wake_fd, err);
  if (loop->wake == NULL) {
    if (loop->wake_fd < 0) ph_err_os(err, "cannot open an event loop");
    ph_loop_free(loop);
    return NULL;
  }
  loop->wake->drain_fd = loop->wake_fd;
  return loop;
}

void ph_loop_free(struct ph_loop *loop) {
  if (loop->wake != NULL) ph_loop_unwatch(loop->wake);
  uv_close((uv_handle_t *)&loop->timer, NULL);
  uv_run(&loop->uv, UV_RUN_DEFAULT);
  PH_CHECK(uv_loop_close(&loop->uv) == 0);
  if (loop->wake_fd >= 0) close(loop->wake_fd);
  free(loop);
}

struct ph_loop_watch *ph_loop_watch(struct ph_loop *loop, int fd, struct ph_err *err) {
  struct ph_loop_watch *w = calloc(1, sizeof *w);
  int status = w == NULL ? UV_ENOMEM : uv_poll_init(&loop->uv, &w->poll, fd);
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

void ph_loop_unwatch(struct ph_loop_watch *w) {
  uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

uv_loop_t *ph__loop_uv(struct ph_loop *loop) {
  return &loop->uv;
}

int ph_loop_wake_fd(const struct ph_loop *loop) {
  return loop->wake_fd;
}

/* libuv counts whole milliseconds, from a time that it has cached: both are corrected here. */
void ph_loop_run_once(struct ph_loop *loop, int64_t deadline) {
  int64_t now = ph_now();
  uv_update_time(&loop->uv);
  if (deadline <= now) {
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    return;
  }
  if (deadline != PH_NEVER) {
    int64_t left_ms = (deadline - now + 999999) / 1000000;
    uv_timer_start(&loop->timer, on_timer, (uint64_t)left_ms, 0);
  }
  uv_run(&loop->uv, UV_RUN_ONCE);
  uv_timer_stop(&loop->timer);
}
