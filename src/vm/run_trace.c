/* SPDX-License-Identifier: MIT */
#include "vm/run_trace.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/trace.h"
#include "vm/run.h"

void ph_run_trace_begin(struct ph_run *r, struct ph_run_trace *t) {
  *t = (struct ph_run_trace){.error = PH_BUF_INIT, .traceback = PH_BUF_INIT};
  r->payload_len = ph_task_note_read(r->payload, r->payload_len, &t->about);
  t->started = r->now;
  r->trace = t;
}

void ph_run_trace_end(struct ph_run *r) {
  ph_buf_deinit(&r->trace->error);
  ph_buf_deinit(&r->trace->traceback);
  r->trace = NULL;
}

/* The first error of a chunk is the one that is told. Without memory there is none. */
static void keep(struct ph_buf *to, const char *text, size_t len) {
  if (to->len == 0 && text != NULL) ph_buf_put(to, text, len < PH_TRACE_TEXT_KEPT ? len : PH_TRACE_TEXT_KEPT);
}

static int to_text(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

const char *ph_trace_push_text(lua_State *L, int idx, size_t *len) {
  lua_pushcfunction(L, to_text);
  lua_pushvalue(L, idx);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    const char *none = "(no text for the error value)";
    *len = strlen(none);
    return none; /* what has been raised instead stays on the stack */
  }
  return lua_tolstring(L, -1, len);
}

void ph_run_trace_error(struct ph_run *r, lua_State *L, int error, int traceback) {
  size_t len;
  int top = lua_gettop(L);
  if (!lua_checkstack(L, 4)) return;
  const char *text = ph_trace_push_text(L, error, &len);
  keep(&r->trace->error, text, len);
  if (lua_type(L, traceback) == LUA_TSTRING) {
    text = lua_tolstring(L, traceback, &len);
    keep(&r->trace->traceback, text, len);
  }
  lua_settop(L, top);
}

static const char *state_of(const struct ph_run *r, enum ph_reply reply) {
  if (reply == PH_REPLY_OK) return NULL;
  if (reply != PH_REPLY_STOPPED) return "failed";
  return atomic_load(&r->own_slot->stop_source) == PH_SOURCE_DEADLINE ? "timeout" : "cancelled";
}

/* A thread that the pool has given up while it ran: the pool has told its end. */
static bool was_told(const struct ph_run *r) {
  return atomic_load(&r->own_slot->claim) == PH_CLAIM_REVOKED;
}

void ph_run_trace_item(struct ph_run *r, enum ph_reply reply, size_t out) {
  struct ph_run_trace *t = r->trace;
  const char *state = state_of(r, reply);
  t->out += out;
  t->failed += state != NULL;
  if (t->state == NULL) t->state = state;
  if (reply == PH_REPLY_MEMORY) keep(&t->error, "over the memory limit", 21);
  if (r->item + 1 < r->wire->count || was_told(r)) return;
  ph_trace_settle();
  bool is_chunk = r->wire->flags & PH_TASK_CHUNK;
  struct ph_task_end end = {.state = t->state != NULL ? t->state : "done",
                            .started = t->started,
                            .ended = r->now,
                            .pid = getpid(),
                            .tid = ph_trace_tid(),
                            .worker = r->index + 1,
                            .id = r->wire->id,
                            .items = is_chunk ? r->wire->count - r->wire->first : 0,
                            .failed = t->failed,
                            .in = t->in,
                            .out = t->out};
  if (t->error.len > 0) end.error = (const char *)t->error.data;
  if (t->traceback.len > 0) end.traceback = (const char *)t->traceback.data;
  end.error_len = t->error.len;
  end.traceback_len = t->traceback.len;
  ph_trace_ran(&t->about, &end);
}

static void name_it(struct ph_event *e, const char *what, const char *name) {
  ph_event_begin(e, 'M', NULL, ph_trace_origin());
  ph_event_string(e, "name", what);
  ph_event_here(e);
  ph_event_args(e);
  ph_event_string(e, "name", name);
  ph_event_end(e);
}

void ph_trace_worker(const char *pool, lua_Integer index, bool is_thread) {
  struct ph_event e;
  char name[96];
  snprintf(name, sizeof name, "%s/%lld", pool, (long long)index);
  ph_event_init(&e);
  if (!is_thread) name_it(&e, "process_name", name);
  name_it(&e, "thread_name", name);
  ph_event_begin(&e, 'i', "worker", ph_now());
  ph_event_string(&e, "s", "t");
  ph_event_string(&e, "name", "start");
  ph_event_here(&e);
  ph_event_args(&e);
  ph_event_string(&e, "pool", pool);
  ph_event_integer(&e, "worker", index);
  ph_event_integer(&e, "pid", is_thread ? ph_trace_tid() : getpid());
  ph_event_end(&e);
  ph_event_write(&e);
}
