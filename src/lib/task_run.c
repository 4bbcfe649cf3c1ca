/* SPDX-License-Identifier: MIT
 * Running tasks. Each runs in a coroutine of its own, on this stack:
 *
 *   1 scheduler   2 task   3 message handler   4 function and arguments, later results
 *
 * While it does so for the first time its coroutine lies on the stack of who runs it; when it parks, in its table. Who runs
 * tasks has two tables on the stack, at `at` those of the tasks (anchors), behind it spare coroutines.
 *
 * The function runs under lua_pcallk, so that its <close> variables run, and may wait, whatever ends it. Coroutines are
 * used again by other tasks, unless the program has got hold of them. A task's table is anchored from its creation to
 * its end; struct sched_task lives as long. */
#include <lauxlib.h>

#include "base/clock.h"
#include "base/trace.h"
#include "lib/task.h"
#include "vm/run.h"

#define POLL_EVERY_NS 50000 /* the system is asked for news that often while tasks are ready all the time */

enum { AT_SCHED = 1, AT_TASK, AT_HANDLER, AT_BODY };

struct sched_task *task_current(lua_State *L, const struct sched *s) {
  if (s->current == NULL) return NULL;
  return L == s->vm->L ? NULL : s->current;
}

void task_push(lua_State *L, const struct sched *s, const struct sched_task *t) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->anchors);
  lua_rawgeti(L, -1, t->anchor);
  lua_replace(L, -2);
}

void task_push_policy(lua_State *L, const struct sched *s, int which) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->policy);
  lua_rawgeti(L, -1, which);
  lua_replace(L, -2);
}

void task_push_signal(lua_State *L, struct sched_scope *scope) {
  if (scope->signal == LUA_NOREF) {
    ph_cancel_push(L, (enum ph_stop)scope->source, NULL);
    scope->signal = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, scope->signal);
}

void task_raise_signal(lua_State *L, struct sched_task *t) {
  luaL_checkstack(L, 4, NULL);
  task_push_signal(L, sched_cancelled_by(t->scope));
  ph_cancel_raise(L);
}

/* --- creating --------------------------------------------------------------------------------------------- */

/* Pushes the table, without the struct. */
static void push_table(lua_State *L, struct sched *s, int fn) {
  int nargs = lua_gettop(L) - fn;
  lua_createtable(L, TASK_ARGS - 1 + nargs, 0);
  int task = fn + nargs + 1;
  lua_pushinteger(L, STATE_PENDING);
  lua_rawseti(L, task, TASK_STATE);
  lua_pushvalue(L, fn);
  lua_rawseti(L, task, TASK_COUNT);
  lua_pushinteger(L, (lua_Integer)++s->number);
  lua_rawseti(L, task, TASK_NUMBER);
  for (int i = 0; i < nargs; i++) {
    lua_pushvalue(L, fn + 1 + i);
    lua_rawseti(L, task, TASK_ARGS + i);
  }
  lua_pushvalue(L, lua_upvalueindex(2)); /* the class */
  lua_setmetatable(L, task);
}

/* The table is on top: until the task ends it is among the anchors. */
static int anchor_table(lua_State *L, struct sched *s) {
  int anchor = sched_find_anchor(s);
  if (anchor == 0) luaL_error(L, "not enough memory");
  lua_pushvalue(L, -1);
  lua_rawseti(L, lua_upvalueindex(3), anchor);
  return anchor;
}

struct sched_task *task_create(lua_State *L, struct sched *s, struct sched_scope *parent, int fn) {
  int nargs = lua_gettop(L) - fn;
  if (nargs > UINT16_MAX - LUA_MINSTACK) luaL_error(L, "too many arguments");
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  push_table(L, s, fn);
  int anchor = anchor_table(L, s);
  struct sched_task *t = ph_cells_get(&s->cells);
  if (t == NULL) {
    luaL_error(L, "not enough memory");
    return NULL;
  }
  sched_keep_anchor(s, anchor);
  *t = (struct sched_task){.anchor = anchor, .nargs = (uint16_t)nargs, .state = TASK_HELD, .born = s->turn};
  sched_scope_enter(&t->root, parent, t, SCOPE_TASK);
  t->scope = &t->root;
  ph_list_init(&t->queue);
  lua_pushlightuserdata(L, t);
  lua_rawseti(L, -2, TASK_VALUE);
  s->live++;
  if (ph_watched()) task_trace_created(L, s, t, lua_gettop(L));
  if (s->run.debug) {
    task_push_policy(L, s, POLICY_CREATED);
    lua_pushvalue(L, -2);
    lua_call(L, 1, 0);
  }
  return t;
}

/* --- the end ---------------------------------------------------------------------------------------------- */

/* traces[anchor] = { error value, traceback }; the first one counts when an error is raised again on its way out. */
static bool has_trace(lua_State *L, int err) {
  bool same = lua_istable(L, -1) && (lua_rawgeti(L, -1, 1), lua_rawequal(L, -1, err));
  lua_settop(L, err + 2);
  return same;
}

/* For cancelled tasks there may be many of: positions only. */
static void push_short_trace(lua_State *L) {
  luaL_Buffer b;
  lua_Debug frame;
  luaL_buffinit(L, &b);
  luaL_addstring(&b, "stack traceback:");
  for (int level = 1, shown = 0; shown < 8 && lua_getstack(L, level, &frame); level++) {
    lua_getinfo(L, "Sl", &frame);
    if (frame.currentline < 0) continue;
    lua_pushfstring(L, "\n\t%s:%d: in a task", frame.short_src, frame.currentline);
    luaL_addvalue(&b);
    shown++;
  }
  luaL_pushresult(&b);
}

static void push_trace(lua_State *L, int err) {
  if (ph_cancel_is(L, err))
    push_short_trace(L);
  else
    ph_vm_push_traceback(L, err, NULL, 1);
}

static void push_traces(lua_State *L, const struct sched *s) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->traces);
}

int task_keep_trace(lua_State *L) {
  struct sched *s = lib_state_of(L)->sched;
  struct sched_task *t = task_current(L, s);
  lua_settop(L, 1);
  if (t == NULL) return 1;
  push_traces(L, s);
  lua_rawgeti(L, 2, t->anchor);
  if (!has_trace(L, 1)) {
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    push_trace(L, 1);
    lua_rawseti(L, -2, 2);
    lua_rawseti(L, 2, t->anchor);
  }
  lua_settop(L, 1);
  return 1;
}

/* Pushes the traceback of the error on top, or nil. */
static void take_trace(lua_State *L, const struct sched *s, const struct sched_task *t) {
  int err = lua_gettop(L);
  push_traces(L, s);
  if (lua_rawgeti(L, -1, t->anchor) == LUA_TTABLE) {
    lua_pushnil(L);
    lua_rawseti(L, -3, t->anchor);
  }
  if (has_trace(L, err))
    lua_rawgeti(L, -1, 2);
  else
    lua_pushnil(L);
  lua_replace(L, err + 1);
  lua_settop(L, err + 1);
}

static void clear_slot(lua_State *L, int task, int slot) {
  lua_pushnil(L);
  lua_rawseti(L, task, slot);
}

/* Settles by policy: the task at `task`, state, and all above `first`. */
static void settle(lua_State *L, struct sched *s, int task, int state, int first) {
  int n = lua_gettop(L) - first;
  luaL_checkstack(L, n + 4, "too many results");
  s->stirred = true;
  task_push_policy(L, s, POLICY_SETTLE);
  lua_pushvalue(L, task);
  lua_pushinteger(L, state);
  for (int i = 1; i <= n; i++) lua_pushvalue(L, first + i);
  if (!lib_deliver(L, n + 2)) lua_error(L);
}

static void succeed(lua_State *L, struct sched *s) {
  int n = lua_gettop(L) - AT_HANDLER;
  if (n > 1 || lua_rawgeti(L, AT_TASK, TASK_CALLBACKS) != LUA_TNIL) {
    lua_settop(L, AT_HANDLER + n);
    clear_slot(L, AT_TASK, TASK_COUNT);
    settle(L, s, AT_TASK, STATE_DONE, AT_HANDLER);
    return;
  }
  if (n == 0)
    lua_pushinteger(L, 0);
  else
    lua_pushnil(L);
  lua_rawseti(L, AT_TASK, TASK_COUNT);
  lua_pushvalue(L, AT_BODY); /* without a result that is the nil that was just read */
  lua_rawseti(L, AT_TASK, TASK_VALUE);
  lua_pushinteger(L, STATE_DONE);
  lua_rawseti(L, AT_TASK, TASK_STATE);
}

static int body_ended(lua_State *L, int status, lua_KContext ctx) {
  struct sched *s = (struct sched *)ctx; // NOLINT(performance-no-int-to-ptr)
  struct sched_task *t = s->current;
  if (t->scope != &t->root) {
    task_push_policy(L, s, POLICY_LEFT_OPEN);
    lua_pushvalue(L, AT_TASK);
    lua_call(L, 1, 0);
  }
  if (status == LUA_OK || status == LUA_YIELD) {
    t->outcome = STATE_DONE;
    if (t->trace != NULL) task_trace_ended(L, t, STATE_DONE, 0);
    succeed(L, s);
    return 0;
  }
  clear_slot(L, AT_TASK, TASK_COUNT);
  t->outcome = ph_cancel_is(L, -1) ? STATE_CANCELLED : STATE_FAILED;
  take_trace(L, s, t);
  if (t->trace != NULL) task_trace_ended(L, t, t->outcome, lua_gettop(L) - 1);
  settle(L, s, AT_TASK, t->outcome, lua_gettop(L) - 2);
  return 0;
}

static int run_body(lua_State *L) {
  lua_KContext ctx = (lua_KContext)lua_touserdata(L, AT_SCHED);
  int status = lua_pcallk(L, lua_gettop(L) - AT_BODY, LUA_MULTRET, AT_HANDLER, ctx, body_ended);
  return body_ended(L, status, ctx);
}

/* False: there is no memory to tell it; the error is on top. */
static bool tell_group(lua_State *L, struct sched *s, struct sched_task *t) {
  struct sched_box *box = (struct sched_box *)t->root.parent;
  sched_disown(&t->root, t);
  box->live--;
  if (t->outcome != STATE_FAILED && box->watched != WATCH_EACH && !(box->watched == WATCH_LAST && box->live == 0))
    return true;
  task_push_policy(L, s, POLICY_CHILD);
  lua_pushlightuserdata(L, box);
  task_push(L, s, t);
  lua_pushinteger(L, t->outcome);
  sched_scope_leave(&t->root, t->root.parent);
  return lib_deliver(L, 3);
}

static void end_task(lua_State *L, struct sched *s, struct sched_task *t, int at) {
  t->state = TASK_ENDED;
  s->live--;
  for (struct sched_run *run = &s->run; run != NULL; run = run->outer) {
    if (t != run->main) continue;
    run->main = NULL;
    s->stirred = true;
  }
  bool told = t->root.parent == NULL || t->root.parent->kind != SCOPE_GROUP || tell_group(L, s, t);
  sched_disown(&t->root, t);
  sched_scope_leave(&t->root, t->root.parent);
  luaL_unref(L, LUA_REGISTRYINDEX, t->root.signal);
  lua_pushboolean(L, false);
  lua_rawseti(L, at, t->anchor);
  sched_free_anchor(s, t->anchor);
  if (t->trace != NULL) task_trace_free(t);
  ph_cells_put(&s->cells, t);
  if (!told) lua_error(L); /* whoever waits for the group must not do so for ever */
}

/* --- running ---------------------------------------------------------------------------------------------- */

/* Puts the function and its arguments on the stack of a coroutine, which it pushes. When that finds no memory, it has not
 * begun. */
static void begin(lua_State *L, struct sched *s, struct sched_task *t, int at) {
  luaL_checkstack(L, t->nargs + LUA_MINSTACK, "too many arguments");
  lua_State *co = task_take_coroutine(L, s, at);
  if (!lua_checkstack(co, t->nargs + LUA_MINSTACK)) luaL_error(L, "too many arguments");
  lua_rawgeti(L, at, t->anchor);
  int task = lua_gettop(L);
  lua_pushcfunction(L, run_body);
  lua_pushlightuserdata(L, s);
  lua_pushvalue(L, task);
  lua_pushcfunction(L, task_keep_trace);
  lua_rawgeti(L, task, TASK_COUNT);
  for (int i = 0; i < t->nargs; i++) {
    lua_rawgeti(L, task, TASK_ARGS + i);
    clear_slot(L, task, TASK_ARGS + i);
  }
  lua_xmove(L, co, t->nargs + AT_BODY + 1);
  lua_pushinteger(L, STATE_RUNNING);
  lua_rawseti(L, task, TASK_STATE);
  lua_settop(L, task - 1);
  t->co = co;
}

bool task_begin(lua_State *L, struct sched *s, struct sched_task *t, int at) {
  bool begins = t->co == NULL && (!t->root.effective || t->start_on_cancel);
  if (begins) begin(L, s, t, at);
  return begins;
}

/* A task that was cancelled before it began never runs. */
static void drop(lua_State *L, struct sched *s, struct sched_task *t, int at) {
  int top = lua_gettop(L);
  task_push(L, s, t);
  for (int i = 0; i <= t->nargs; i++) {
    lua_pushnil(L);
    lua_rawseti(L, top + 1, i == 0 ? TASK_COUNT : TASK_ARGS + i - 1);
  }
  task_push_signal(L, sched_cancelled_by(&t->root));
  t->outcome = STATE_CANCELLED;
  if (t->trace != NULL) task_trace_dropped(L, s, t);
  settle(L, s, top + 1, STATE_CANCELLED, top + 1);
  lua_settop(L, top);
  end_task(L, s, t, at);
}

/* The coroutine itself has died: without memory, or by a yield that is none of ours. */
static void bury(lua_State *L, struct sched *s, struct sched_task *t, int at, int status) {
  int top = lua_gettop(L);
  task_push(L, s, t);
  if (status == LUA_YIELD) {
    ph_vm_close_coroutine(s->vm, L, t->co);
    lua_pushliteral(L, "a task yielded to a scheduler that is not its own");
  } else {
    lua_xmove(t->co, L, 1);
  }
  lua_pushnil(L);
  lua_rawseti(L, top + 1, TASK_COUNT);
  t->outcome = STATE_FAILED;
  if (t->trace != NULL) {
    lua_pushnil(L);
    task_trace_ended(L, t, STATE_FAILED, lua_gettop(L) - 1);
    lua_pop(L, 1);
  }
  settle(L, s, top + 1, STATE_FAILED, top + 1);
  lua_settop(L, top);
  task_let_go(L, s, t->co, at);
  end_task(L, s, t, at);
}

/* What a step has come to. */
static void after_step(lua_State *L, struct sched *s, struct sched_task *t, int at, bool began, int status) {
  if (status == LUA_YIELD && lua_touserdata(t->co, 1) == &ph_vm_park_key) {
    if (began) task_anchor_coroutine(L, s, t, at);
  } else if (status == LUA_OK) {
    if (t->shown)
      task_let_go(L, s, t->co, at);
    else
      task_keep_coroutine(L, s, t->co, at);
    end_task(L, s, t, at);
  } else {
    bury(L, s, t, at, status);
  }
}

void task_resume(lua_State *L, struct sched *s, struct sched_task *t, int at, bool begins) {
  struct ph_vm *vm = s->vm;
  struct sched_task *outer = s->current;
  lua_State *outer_co = vm->task, *outer_scope_co = vm->scope_co;
  bool shown = vm->task_shown;
  int n;
  if (t->co == NULL) {
    drop(L, s, t, at);
    return;
  }
  if (t->trace != NULL) task_trace_step(L, s, t);
  t->state = TASK_RUNS;
  s->current = t;
  ph_watchdog_step(&s->watchdog);
  vm->task = t->co;
  vm->scope_co = sched_generator_of(t->scope);
  vm->task_shown = false;
  s->inside++;
  ph_vm_switch(vm, L, t->co);
  int status = lua_resume(t->co, L, begins ? t->nargs + AT_BODY : 0, &n);
  ph_vm_switch(vm, t->co, L);
  s->inside--;
  if (t->trace != NULL) task_trace_stepped(t);
  t->shown |= vm->task_shown;
  vm->task_shown = shown;
  vm->task = outer_co;
  vm->scope_co = outer_scope_co;
  s->current = outer;
  after_step(L, s, t, at, begins, status);
  if (begins) lua_settop(L, at + 1);
}

/* --- being stopped ---------------------------------------------------------------------------------------- */

/* A run is on, further out: in a task, or in a callback. Not one that a task on top of it has nothing to do with. */
bool task_is_inside_run(const struct sched *s) {
  return s->run.on && s->run.place == ph_run_current();
}

#define PATIENCE_NS 100000000 /* of processor time: how long a task may run on when a stop request is not for it */

/* Without a run a stop request is for the plain code that waits, not for the task that happens to run meanwhile; unless that
 * does not come back. Then it is for both. */
static bool leave_to_plain_code(struct sched *s, enum ph_stop source) {
  int64_t now = ph_thread_time();
  if (s->stop_left == 0) s->stop_left = now;
  if (now - s->stop_left < PATIENCE_NS) {
    ph_vm_interrupt(s->vm, source);
    return true;
  }
  atomic_store(&s->vm->stop, (int)source);
  return false;
}

/* A stop request of the state, while a run is on: it cancels the run's main task, or what the run has left over. One that is
 * not for this run, but for what lies on top of it, waits until its tasks are out of the way. */
bool task_take_stop(lua_State *L, enum ph_stop source) {
  struct sched *s = lib_state_of(L)->sched;
  bool in_task = task_current(L, s) != NULL;
  if (!in_task) s->stop_left = 0;
  if (!task_is_inside_run(s)) return in_task && (s->run.on || leave_to_plain_code(s, source));
  if (!s->run.stop_taken) {
    s->run.stop_taken = s->stirred = true;
    s->run.stop_signal = source == PH_STOP_SIGNAL;
    struct sched_task *main = s->run.main;
    s->run.stop_counts = sched_cancel(s, main != NULL ? &main->root : s->run.root, source) && main != NULL;
  }
  struct sched_task *t = task_current(L, s);
  if (t != NULL && t->scope->effective) task_raise_signal(L, t);
  return true;
}

/* --- turns ------------------------------------------------------------------------------------------------ */

/* Every task that is ready now, once; or until plain code has to be told something. */
static bool run_turn(lua_State *L, struct sched *s) {
  size_t n = s->n_ready;
  int at = lua_gettop(L) + 1;
  if (n == 0) return false;
  task_push_tables(L, s);
  for (size_t i = 0; i < n && s->stop_left == 0; i++) {
    struct sched_task *t = sched_peek(s);
    if (t == NULL) break;
    bool begins = task_begin(L, s, t, at);
    sched_next(s);
    task_resume(L, s, t, at, begins);
  }
  lua_settop(L, at - 1);
  return true;
}

/* Asks the system, without waiting, and has the pollers ask. True: something was delivered. */
static bool poll_system(lua_State *L, struct lib_state *state) {
  sched_wake_pollers(state->sched);
  if (state->loop != NULL) ph_loop_run_once(state->loop, 0);
  return drain_all(L) > 0;
}

static bool run_turns(lua_State *L, struct lib_state *state, int64_t deadline, bool patient) {
  struct sched *s = state->sched;
  bool ran = false;
  int64_t polled = 0;
  s->stirred = false;
  for (;;) {
    bool external = state->cores != NULL || state->sources != NULL || !ph_list_empty(&s->pollers);
    int64_t now = 0;
    if (external || deadline != PH_NEVER || sched_has_timers(s)) {
      now = sched_now(s);
      sched_fire(s, now);
    }
    if (!run_turn(L, s)) return ran;
    ran = true;
    if (s->stirred || !patient || ph_vm_stop_pending(s->vm) || s->vm->requests != 0 || deadline <= now) return true;
    if (!external) continue;
    if (polled == 0) polled = now;
    if (now - polled < POLL_EVERY_NS && !s->run.is_virtual) continue;
    polled = now;
    if (poll_system(L, state)) return true;
  }
}

bool task_run_ready(lua_State *L, struct lib_state *state, int64_t deadline, bool patient) {
  struct ph_watchdog *w = &state->sched->watchdog;
  bool outer = w->busy;
  w->steps++; /* first: the last step was over before the loop slept */
  w->busy = true;
  bool ran = run_turns(L, state, deadline, patient);
  w->busy = outer;
  return ran;
}
