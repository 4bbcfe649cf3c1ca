/* SPDX-License-Identifier: MIT
 * Job logs: a line for each task that has run, in the columns of GNU parallel. Whoever runs a task writes its line, with one
 * write(2) to the end of the file, before anybody can learn of its outcome: the worker; or the pool, when the worker has
 * died.
 *
 * Which log and which key is in the message of the task, behind its payload (PH_TASK_LOGGED):
 *
 *   struct ph__joblog_head, path and '\0', for each item: length (4 bytes) and key, as it will stand in the line;
 *   last, the length of all of this (4 bytes)
 *
 * Locks, of open file descriptions, on bytes that the file need not have: byte 0 is held by the program whose log it is; the
 * byte `host`, a number of its own, as well; and byte 1, shared, by each worker process while it runs a task of the log. So
 * the next program begins when the last one's workers have ended theirs, and workers whose program is gone begin none.
 * Where a file system has no such locks there are none.
 *
 * Any thread; a mutex guards the list of the files that this process has open. */
#ifndef PH_POOL_JOBLOG_H
#define PH_POOL_JOBLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

#define PH_JOBLOG_HEADER "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"

/* --- the program's side ------------------------------------------------------------------------------------- */

struct ph_joblog;

/* Gives a reference to the open file; files are told apart by what they are, not by name. NULL with err, whose code is EBUSY
 * when another program has it. */
struct ph_joblog *ph_joblog_open(const char *path, struct ph_err *err);
void ph_joblog_unref(struct ph_joblog *log);
int ph_joblog_fd(const struct ph_joblog *log);
/* Nobody else in this process had it open. */
bool ph_joblog_is_first(const struct ph_joblog *log);

/* What stands behind the payload of a task: begin, a key for each item, end. `to` has room for so many bytes. */
size_t ph_joblog_size(const struct ph_joblog *log, size_t n_keys, size_t key_bytes);
void ph_joblog_begin(struct ph_buf *to, const struct ph_joblog *log, bool sync, uint64_t seq);
void ph_joblog_add_key(struct ph_buf *to, const char *key, size_t len);
void ph_joblog_end(struct ph_buf *to);

/* --- where tasks run ---------------------------------------------------------------------------------------- */

/* What is known of the item at hand; points into the message. */
struct ph_joblog_item {
  uint64_t dev, ino, host, seq;
  const char *path;
  const uint8_t *key, *end; /* its length comes first */
  bool sync;
  size_t sent; /* bytes of its arguments: the caller's */
  /* from begin to end */
  struct ph_joblog *log; /* of this process, or: */
  int fd;                /* of a worker process, kept open */
  pid_t pid;             /* who has begun it; 0: nobody */
  int64_t started;       /* ns since 1970 */
};

struct ph_joblog_result {
  int64_t run_ns;
  size_t received;
  int exit_code, signal_number;
};

/* Cuts it off the payload, and goes to the item `first`. False: that is no such message. */
bool ph_joblog_split(const uint8_t *payload, size_t *len, uint32_t first, struct ph_joblog_item *item);
void ph_joblog_next(struct ph_joblog_item *item);
/* Before the item runs: opens the file. -1 with err: it must not run. */
int ph_joblog_item_begin(struct ph_joblog_item *item, struct ph_err *err);
/* Writes its line. In a process that the item has forked: nothing. -1 with err. */
int ph_joblog_item_end(struct ph_joblog_item *item, const struct ph_joblog_result *result, struct ph_err *err);

#endif
