/* SPDX-License-Identifier: MIT */
#include "loop/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"

#define READ_SIZE ((size_t)64 << 10) /* what a fresh pipe holds */
#define BIG_PIPE (1 << 20)

int ph_pipe_make(bool we_write, int *ours, int *theirs) {
  int ends[2];
  if (PH_FAULT(pipe) || pipe2(ends, O_CLOEXEC) != 0) return -1;
  *ours = ends[we_write];
  *theirs = ends[!we_write];
  return fcntl(*ours, F_SETFL, O_NONBLOCK);
}

void ph_pipe_init(struct ph_pipe *p, int fd, struct ph_loop *loop, struct ph_oneshot_queue *queue) {
  *p = (struct ph_pipe){.fd = fd, .owner = getpid(), .in = PH_BUF_INIT};
  ph_oneshot_init(&p->watch, loop, queue, fd);
}

static bool is_ours(const struct ph_pipe *p) {
  return p->owner == getpid();
}

int ph_pipe_detach(struct ph_pipe *p) {
  int fd = p->fd;
  if (is_ours(p)) ph_oneshot_close(&p->watch);
  p->fd = -1;
  if (fd >= 0) fcntl(fd, F_SETFL, 0);
  return fd;
}

void ph_pipe_close(struct ph_pipe *p) {
  if (p->fd < 0) return;
  if (is_ours(p)) ph_oneshot_close(&p->watch);
  close(p->fd);
  p->fd = -1;
}

void ph_pipe_deinit(struct ph_pipe *p) {
  ph_pipe_close(p);
  ph_buf_deinit(&p->in);
  p->at = p->searched = 0;
}

int ph_pipe_arm(struct ph_pipe *p, bool for_writing, struct ph_err *err) {
  if (p->fd < 0) return ph_err_set(err, "closed", 0, "the stream is closed");
  if (!is_ours(p)) return ph_err_set(err, "nested", 0, "the stream belongs to the parent of this worker");
  return ph_oneshot_arm(&p->watch, for_writing, err);
}

void ph_pipe_disarm(struct ph_pipe *p) {
  if (p->fd >= 0 && is_ours(p)) ph_oneshot_disarm(&p->watch);
}

/* A pipe that was full is worth more room: each exchange then moves more. Beyond the user's limit it stays as it is. */
static void grow_pipe(struct ph_pipe *p) {
  if (p->grown) return;
  p->grown = true;
  int ignored = fcntl(p->fd, F_SETPIPE_SZ, BIG_PIPE);
  (void)ignored;
}

/* Room for one read: what was taken goes first. */
static int make_room(struct ph_pipe *p) {
  size_t gone = p->keeps ? p->kept : p->at;
  if (gone > 0 && (gone == p->in.len || gone >= READ_SIZE)) {
    memmove(p->in.data, p->in.data + gone, p->in.len - gone);
    p->in.len -= gone;
    p->searched -= gone < p->searched ? gone : p->searched;
    p->at -= gone;
    p->kept = 0;
  }
  return ph_buf_reserve(&p->in, READ_SIZE);
}

int ph_pipe_fill(struct ph_pipe *p) {
  ssize_t n;
  errno = 0;
  if (p->at_end || p->fd < 0) return -1;
  if (make_room(p) != 0) {
    errno = ENOMEM;
    return -1;
  }
  size_t room = p->in.cap - p->in.len;
  if (PH_FAULT(read_short)) room = 1;
  do n = PH_FAULT(read) ? -1 : read(p->fd, p->in.data + p->in.len, room < READ_SIZE * 4 ? room : READ_SIZE * 4);
  while (n < 0 && errno == EINTR);
  if (n < 0) return errno == EAGAIN ? 0 : -1;
  if (n == 0) {
    p->at_end = true;
    errno = 0;
    return -1;
  }
  if ((size_t)n >= READ_SIZE) grow_pipe(p);
  p->in.len += (size_t)n;
  return 1;
}

/* The signal is for this thread alone, and pending by the time write returns. One that was pending before stays. */
static ssize_t write_without_signal(int fd, const void *bytes, size_t n) {
  sigset_t sigpipe, old, pending;
  const struct timespec none = {0, 0};
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &sigpipe, &old);
  ssize_t written;
  do written = PH_FAULT(write) ? -1 : write(fd, bytes, n);
  while (written < 0 && errno == EINTR);
  int saved = errno;
  if (written < 0 && saved == EPIPE && !sigismember(&pending, SIGPIPE)) sigtimedwait(&sigpipe, NULL, &none);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  errno = saved;
  return written;
}

ssize_t ph_pipe_write(struct ph_pipe *p, const void *bytes, size_t n) {
  ssize_t written = write_without_signal(p->fd, bytes, n > 1 && PH_FAULT(write_short) ? 1 : n);
  if (written < 0 && errno == EAGAIN) written = 0;
  if (written >= 0 && n - (size_t)written >= READ_SIZE) grow_pipe(p);
  return written;
}

size_t ph_pipe_line(struct ph_pipe *p) {
  if (p->searched < p->at) p->searched = p->at;
  if (p->in.len == p->searched) return 0;
  const uint8_t *newline = memchr(p->in.data + p->searched, '\n', p->in.len - p->searched);
  p->searched = newline != NULL ? (size_t)(newline - p->in.data) : p->in.len;
  return newline != NULL ? p->searched + 1 - p->at : 0;
}

void ph_pipe_take(struct ph_pipe *p, size_t n) {
  p->at += n;
  if (p->at < p->in.len || p->keeps) return;
  p->at = p->searched = 0;
  ph_buf_reset(&p->in, READ_SIZE * 4);
}

void ph_pipe_keep(struct ph_pipe *p) {
  p->keeps = true;
  p->kept = p->at;
}

void ph_pipe_keep_no_more(struct ph_pipe *p, bool back) {
  p->keeps = false;
  if (back) p->at = p->searched = p->kept;
  ph_pipe_take(p, 0);
}
