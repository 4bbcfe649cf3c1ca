/* SPDX-License-Identifier: MIT
 * Our end of a pipe. Every function makes one step and never waits: when the other side is not ready, the caller
 * arms it and comes again. Bytes are read when they are asked for, so a writer that nobody reads stands still. */
#ifndef PH_LOOP_PIPE_H
#define PH_LOOP_PIPE_H

#include <sys/types.h>

#include "base/buf.h"
#include "loop/oneshot.h"

struct ph_pipe {
  struct ph_oneshot watch;
  int fd;      /* -1: closed */
  pid_t owner; /* this process: in a fork of it, the loop is not there */
  bool at_end, grown;
  bool keeps;          /* what is taken can be put back, from `kept` on */
  struct ph_buf in;    /* read, not taken: from `at` on */
  size_t at, searched; /* no newline before `searched` */
  size_t kept;
};

/* Two ends, neither of which gets into other programs: ours blocks for no one, the child's does. -1 with errno. */
int ph_pipe_make(bool we_write, int *ours, int *theirs);

/* Takes the descriptor. */
void ph_pipe_init(struct ph_pipe *p, int fd, struct ph_loop *loop, struct ph_oneshot_queue *queue);
void ph_pipe_close(struct ph_pipe *p);
/* Also what was read and not taken. */
void ph_pipe_deinit(struct ph_pipe *p);

/* Gives the descriptor away, to a child: it blocks from now on. */
int ph_pipe_detach(struct ph_pipe *p);

/* To be told in the loop when the next step may go on. */
int ph_pipe_arm(struct ph_pipe *p, bool for_writing, struct ph_err *err);
void ph_pipe_disarm(struct ph_pipe *p);

/* Reads once, as much as there is. 1 there was something, 0 nothing yet, -1 the end of the file or an error (errno; 0
 * at the end). */
int ph_pipe_fill(struct ph_pipe *p);
/* Writes once. Gives how many bytes went, 0 for none now, -1 with errno; EPIPE raises no signal. */
ssize_t ph_pipe_write(struct ph_pipe *p, const void *bytes, size_t n);

static inline size_t ph_pipe_buffered(const struct ph_pipe *p) {
  return p->in.len - p->at;
}
/* What has been read and not taken; valid until the next call. */
static inline const char *ph_pipe_bytes(const struct ph_pipe *p) {
  return (const char *)p->in.data + p->at;
}
/* The length of the first line with its newline, 0 when the end of that has not been read. */
size_t ph_pipe_line(struct ph_pipe *p);
void ph_pipe_take(struct ph_pipe *p, size_t n);

/* What is taken between these two is taken for good, or, with `back`, not at all. */
void ph_pipe_keep(struct ph_pipe *p);
void ph_pipe_keep_no_more(struct ph_pipe *p, bool back);

#endif
