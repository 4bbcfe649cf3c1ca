/* SPDX-License-Identifier: MIT
 * What the trace and --stats say of tasks on coroutines. A task that is watched has a struct task_trace; a task begins in
 * the trace with its first step. */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/tally.h"
#include "lib/task.h"
#include "vm/run_trace.h"

#define LONG_STEP_NS 1000000 /* a step from here on is an event of its own */

struct task_trace {
  uint64_t id, parent; /* parent 0: plain code has made it */
  unsigned steps;
  int64_t cpu, step_began; /* 0: none is under way */
  bool ended;
  char *name;                  /* as it was at its first step; NULL: not begun, or no memory */
  char place[LUA_IDSIZE + 16]; /* of its function */
};

static void set_place(lua_State *L, struct task_trace *tt) {
  lua_Debug ar;
  lua_getinfo(L, ">S", &ar);
  if (ar.linedefined > 0)
    snprintf(tt->place, sizeof tt->place, "%s:%d", ar.short_src, ar.linedefined);
  else
    snprintf(tt->place, sizeof tt->place, "%s", ar.short_src);
}

void task_trace_created(lua_State *L, const struct sched *s, struct sched_task *t, int task) {
  const struct sched_task *parent = task_current(L, s);
  t->trace = ph_calloc(1, sizeof *t->trace);
  if (t->trace == NULL) return;
  lua_rawgeti(L, task, TASK_COUNT);
  set_place(L, t->trace);
  if (!ph_traced()) return;
  t->trace->id = ph_trace_id();
  if (parent != NULL && parent->trace != NULL) t->trace->parent = parent->trace->id;
  ph_trace_gauge(PH_GAUGE_TASKS, 1);
}

void task_trace_free(struct sched_task *t) {
  if (ph_traced()) ph_trace_gauge(PH_GAUGE_TASKS, -1);
  free(t->trace->name);
  free(t->trace);
  t->trace = NULL;
}

/* task:name(), in protected mode. */
static int get_name(lua_State *L) {
  lua_getfield(L, 1, "name");
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

static const char *name_of(const struct task_trace *tt) {
  return tt->name != NULL ? tt->name : "task";
}

static void write_begin(lua_State *L, const struct sched *s, const struct sched_task *t) {
  struct task_trace *tt = t->trace;
  struct ph_event e;
  if (!lua_checkstack(L, 4)) return;
  lua_pushcfunction(L, get_name);
  task_push(L, s, t);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_type(L, -1) == LUA_TSTRING) tt->name = strdup(lua_tostring(L, -1));
  lua_pop(L, 1);
  if (!ph_traced()) return;
  ph_event_begin_async(&e, 'b', "async", name_of(tt), tt->id);
  if (tt->parent != 0) ph_event_integer(&e, "parent", (int64_t)tt->parent);
  ph_event_string(&e, "at", tt->place);
  ph_event_end(&e);
  ph_event_write(&e);
}

static void write_end(lua_State *L, const struct task_trace *tt, int state, int error) {
  static const char *const names[] = {[STATE_DONE] = "done", [STATE_FAILED] = "failed", [STATE_CANCELLED] = "cancelled"};
  struct ph_event e;
  size_t len;
  ph_event_begin_async(&e, 'e', "async", name_of(tt), tt->id);
  ph_event_string(&e, "state", names[state]);
  if (error != 0 && state == STATE_FAILED) {
    const char *text = ph_trace_push_text(L, error, &len);
    ph_event_text(&e, "error", text, len);
    lua_pop(L, 1);
  }
  if (error != 0 && lua_type(L, error + 1) == LUA_TSTRING) {
    const char *text = lua_tolstring(L, error + 1, &len);
    ph_event_text(&e, "traceback", text, len);
  }
  if (tt->parent != 0) ph_event_integer(&e, "parent", (int64_t)tt->parent);
  ph_event_string(&e, "at", tt->place);
  ph_event_us(&e, "cpu", tt->cpu + (tt->step_began != 0 ? ph_now() - tt->step_began : 0));
  ph_event_integer(&e, "steps", tt->steps);
  ph_event_end(&e);
  ph_event_write(&e);
}

void task_trace_ended(lua_State *L, struct sched_task *t, int state, int error) {
  struct task_trace *tt = t->trace;
  if (tt->ended || !lua_checkstack(L, 4)) return;
  tt->ended = true;
  if (ph_counted()) {
    ph_tally_add(PH_TALLY_TASKS, 1);
    if (state == STATE_FAILED) ph_tally_add(PH_TALLY_TASKS_FAILED, 1);
    if (state == STATE_CANCELLED) ph_tally_add(PH_TALLY_TASKS_CANCELLED, 1);
  }
  if (ph_traced()) write_end(L, tt, state, error);
}

void task_trace_dropped(lua_State *L, const struct sched *s, struct sched_task *t) {
  write_begin(L, s, t);
  task_trace_ended(L, t, STATE_CANCELLED, 0);
}

/* --- steps -------------------------------------------------------------------------------------------------- */

void task_trace_step(lua_State *L, const struct sched *s, struct sched_task *t) {
  if (t->trace->steps++ == 0) write_begin(L, s, t);
  t->trace->step_began = ph_now();
}

/* Where the task has parked, in code of the program. */
static void find_place(const struct sched_task *t, char *place, size_t size) {
  lua_Debug ar;
  snprintf(place, size, "%s", t->trace->place);
  if (t->state != TASK_PARKED && t->state != TASK_READY) return;
  for (int level = 0; lua_getstack(t->parked_in, level, &ar); level++) {
    lua_getinfo(t->parked_in, "Sl", &ar);
    if (*ar.what == 'C' || strncmp(ar.source, "@lua/", 5) == 0) continue;
    snprintf(place, size, "%s:%d", ar.short_src, ar.currentline);
    return;
  }
}

static void tell_step(const struct sched_task *t, int64_t ns) {
  struct ph_event e;
  char place[LUA_IDSIZE + 16];
  find_place(t, place, sizeof place);
  if (ph_counted()) ph_tally_step(ns, name_of(t->trace), place);
  if (!ph_traced()) return;
  ph_event_init(&e);
  ph_event_begin(&e, 'X', "step", t->trace->step_began);
  ph_event_us(&e, "dur", ns);
  ph_event_string(&e, "name", name_of(t->trace));
  ph_event_here(&e);
  ph_event_args(&e);
  ph_event_string(&e, "at", place);
  ph_event_integer(&e, "task", (int64_t)t->trace->id);
  ph_event_end(&e);
  ph_event_write(&e);
}

void task_trace_stepped(struct sched_task *t) {
  struct task_trace *tt = t->trace;
  int64_t ns = ph_now() - tt->step_began;
  tt->cpu += ns;
  if (ns >= LONG_STEP_NS) tell_step(t, ns);
  tt->step_began = 0;
}
