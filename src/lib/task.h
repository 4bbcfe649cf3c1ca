/* SPDX-License-Identifier: MIT
 * What the files of the scheduler's binding know of each other, and what loop_lib.c asks of it. */
#ifndef PH_LIB_TASK_H
#define PH_LIB_TASK_H

#include <lauxlib.h>

#include "lib/core.h"
#include "lib/sched.h"

/* Lua functions that C calls, by their place in the table that set_policy was given (lua/async/policy.lua). None may
 * raise or wait. */
enum {
  POLICY_SETTLE =
      1,            /* (task, state, ...): it ends: DONE, values | FAILED, error, traceback | CANCELLED, signal, traceback */
  POLICY_CHILD,     /* (box of the group, task, state): a child has ended */
  POLICY_LEFT_OPEN, /* (task): it ends with scopes that nobody closed */
  POLICY_REQUEST,   /* (requests, traceback, task): SIGQUIT, or a step that takes long */
  POLICY_SLEEP,     /* (seconds): what sleep does in plain code */
  POLICY_CREATED,   /* (task): in runs with debug = true */
};

#define BOX_METATABLE "parhost.core.Scope"
enum { WATCH_FAILURES, WATCH_LAST, WATCH_EACH };

/* The scheduler is upvalue 1 of every function of parhost.core.task; 2 is the class Task, 3 the table of anchors. */
static inline struct sched *task_sched(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(1));
}

/* The task whose code L runs; NULL in plain code, and so on the main thread, where only the exit sequence runs inside of a
 * task's step. */
struct sched_task *task_current(lua_State *L, const struct sched *s);

/* --- task_run.c ------------------------------------------------------------------------------------------- */
void task_push(lua_State *L, const struct sched *s, const struct sched_task *t);
void task_push_policy(lua_State *L, const struct sched *s, int which);
/* Pushes the signal that a scope's cancellation raises. */
void task_push_signal(lua_State *L, struct sched_scope *scope);
_Noreturn void task_raise_signal(lua_State *L, struct sched_task *t);
/* Needs the class Task as upvalue 2 and the anchors as upvalue 3. fn and args are from `fn` up to the top; pushes the
 * task's table. */
struct sched_task *task_create(lua_State *L, struct sched *s, struct sched_scope *parent, int fn);
/* True: it has not begun yet, and now it will, in the coroutine that is pushed, with task_resume. */
bool task_begin(lua_State *L, struct sched *s, struct sched_task *t, int at);
/* Leaves nothing on the stack behind the tables. */
void task_resume(lua_State *L, struct sched *s, struct sched_task *t, int at, bool begins);
/* Runs what is ready, for as long as `patient` allows: until something has happened that plain code may wait for, or the
 * deadline has come. False: nothing was ready. */
bool task_run_ready(lua_State *L, struct lib_state *state, int64_t deadline, bool patient);

bool task_is_inside_run(const struct sched *s);
/* vm->on_stop. */
bool task_take_stop(lua_State *L, enum ph_stop source);
/* A message handler: keeps the traceback of where the error was raised, for the task that runs. */
int task_keep_trace(lua_State *L);

/* --- task_coroutine.c --------------------------------------------------------------------------------------- */
/* Pushes the two tables that lie at `at` and behind it where functions here have this argument: anchors, spare coroutines.
 */
void task_push_tables(lua_State *L, const struct sched *s);
/* Pushes a coroutine. */
lua_State *task_take_coroutine(lua_State *L, struct sched *s, int at);
/* Its task has ended: it is used again, or not. */
void task_keep_coroutine(lua_State *L, struct sched *s, lua_State *co, int at);
void task_let_go(lua_State *L, struct sched *s, const lua_State *co, int at);
/* That of the task, on top, has parked for the first time: it moves to the task's table. */
void task_anchor_coroutine(lua_State *L, struct sched *s, struct sched_task *t, int at);

/* --- task_lib.c ------------------------------------------------------------------------------------------- */
const char *task_state_name(const struct sched_task *t);
/* Of an argument at an absolute index, for messages about it. */
const char *task_type_name(lua_State *L, int idx);
/* Whether it is inside of a cancelled scope, protected or not. */
bool task_is_cancelling(const struct sched_task *t);

/* --- task_park.c ------------------------------------------------------------------------------------------ */
extern const luaL_Reg task_park_functions[];
/* A traceback of a parked task. */
void task_push_traceback(lua_State *L, struct sched_task *t);
/* To be returned by a C function of any module that Lua has called: parks the current task, which can be suspended and is
 * not cancelled, until somebody outside of the tasks calls sched_wake for it. Then the function gives true; false, when the
 * deadline (PH_NEVER: none) comes before. Raises what a park raises. */
int task_park_lively(lua_State *L, struct sched *s, struct sched_task *t, int64_t deadline);

/* --- task_trace.c: only where something is watched (ph_watched, t->trace) ------------------------------------- */
/* The function is still in the task's table, at `task`. */
void task_trace_created(lua_State *L, const struct sched *s, struct sched_task *t, int task);
/* Its table is anchored. */
void task_trace_step(lua_State *L, const struct sched *s, struct sched_task *t);
void task_trace_stepped(struct sched_task *t);
/* Before anybody hears of it. `error` and the traceback behind it are on the stack, 0: there is none. Never raises. */
void task_trace_ended(lua_State *L, struct sched_task *t, int state, int error);
/* Of a task that has not begun. */
void task_trace_dropped(lua_State *L, const struct sched *s, struct sched_task *t);
void task_trace_free(struct sched_task *t);

/* --- scope_lib.c ------------------------------------------------------------------------------------------ */
extern const luaL_Reg task_scope_functions[];
void task_open_scopes(lua_State *L, struct sched *s);

#endif
