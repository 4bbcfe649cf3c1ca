/* SPDX-License-Identifier: MIT
 * What the trace says of a task that runs here: gathered while its items run, written before the last one is answered. */
#ifndef PH_VM_RUN_TRACE_H
#define PH_VM_RUN_TRACE_H

#include <lua.h>

#include "pool/task_trace.h"
#include "pool/wire.h"

struct ph_run;
struct ph_slot;

struct ph_run_trace {
  struct ph_task_about about;
  size_t in, out;
  int64_t started;
  uint32_t failed;
  const char *state;              /* of the first item that has not gone well; NULL: all have */
  struct ph_buf error, traceback; /* of that item */
};

/* Takes the note off the payload of `r`. */
void ph_run_trace_begin(struct ph_run *r, struct ph_run_trace *t);
void ph_run_trace_end(struct ph_run *r);
/* An error value and a traceback on the stack, which stays as it is. May run __tostring of the value; never raises. */
void ph_run_trace_error(struct ph_run *r, lua_State *L, int error, int traceback);
/* An item has ended so; the last one makes the event. */
void ph_run_trace_item(struct ph_run *r, enum ph_reply reply, size_t out);

/* The text of a value, which tostring may have to make. Pushes one value; never raises. */
const char *ph_trace_push_text(lua_State *L, int idx, size_t *len);

/* The thread (or, process) becomes a worker: its names, and the event of its start. */
void ph_trace_worker(const char *pool, lua_Integer index, bool is_thread);

#endif
