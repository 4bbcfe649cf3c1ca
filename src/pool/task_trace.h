/* SPDX-License-Identifier: MIT
 * The events of tasks. While a trace is written, a task carries a note behind its payload: what its events say of it
 * wherever it ends up. Who submits makes it, the pool brings it up to date when it hands the task out, the worker takes it
 * off.
 *
 *   payload | pool's name | name | function | place of submission | struct ph_task_note
 *
 * The keys of a job log (joblog.h) are part of this payload.
 */
#ifndef PH_POOL_TASK_TRACE_H
#define PH_POOL_TASK_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "pool/pool.h"

struct ph_task_note {
  int64_t submitted; /* ph_now() */
  uint64_t flow;     /* ph_trace_id(): joins the submit with the run */
  int32_t tid;       /* of who submitted */
  uint32_t attempt;  /* from 1 on: another one after each death */
  uint32_t first;    /* of a chunk: the item that the worker begins with */
  uint32_t pool_len, name_len, function_len, site_len;
};

/* What a note says, its texts where they lie. */
struct ph_task_about {
  struct ph_task_note note;
  const char *pool, *name, *function, *site;
};

/* How the task, or the part of it that a worker was given, has ended. */
struct ph_task_end {
  const char *state; /* "done", "failed", "cancelled", "died", "timeout" */
  int64_t started, ended;
  int32_t pid, tid;
  uint32_t worker; /* 1-based */
  uint64_t id;
  uint32_t items, failed; /* items: 0 when it is no chunk */
  size_t in, out;
  const char *error, *traceback; /* NULL: none */
  size_t error_len, traceback_len;
};

/* The note of a task to be. `label` is what errors call its function, "f (a.lua:1)"; `name` NULL: the name in that. `site`
 * "a.lua:7: in ...". -1 without memory. */
struct ph_task_texts {
  const char *pool, *name, *label, *site;
  size_t name_len;
};
int ph_task_note_make(struct ph_buf *note, const struct ph_task_texts *texts);
/* Finds the note behind a payload of `len` bytes; gives the length of the payload proper. */
size_t ph_task_note_read(const uint8_t *payload, size_t len, struct ph_task_about *about);

/* On the submitter's thread, before the task can run. */
void ph_trace_submitted(const struct ph_task_about *about, uint64_t id, uint32_t items, size_t bytes);
/* What ran, and the end of its arrow. */
void ph_trace_ran(const struct ph_task_about *about, const struct ph_task_end *end);
/* What will never run. */
void ph_trace_dropped(const struct ph_task_about *about, uint64_t id, enum ph_outcome outcome);

#endif
