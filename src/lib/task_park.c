/* SPDX-License-Identifier: MIT
 * Parking: what a task does instead of waiting. All of these raise the cancellation signal as long as a cancelled scope
 * has not been left, and an error where a C function is in the way that cannot be suspended. */
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "base/clock.h"
#include "lib/quick.h"
#include "lib/task.h"
#include "vm/error.h"

/* --- where no task can be suspended ------------------------------------------------------------------------ */

/* Pushes the key that the module at -1 has for the function at -2, or nil. */
static void push_key_of(lua_State *L) {
  lua_pushnil(L);
  while (lua_istable(L, -2) && lua_next(L, -2) != 0) {
    bool found = lua_type(L, -2) == LUA_TSTRING && lua_rawequal(L, -1, -4);
    lua_pop(L, 1);
    if (found) return;
  }
  lua_pushnil(L);
}

/* Pushes the name "table.sort" that the standard library has for the function at idx, or nil. */
static void push_function_name(lua_State *L, int idx) {
  static const char *const modules[] = {LUA_GNAME,           LUA_STRLIBNAME,     LUA_TABLIBNAME, LUA_COLIBNAME,
                                        LUA_IOLIBNAME,       LUA_OSLIBNAME,      LUA_DBLIBNAME,  LUA_LOADLIBNAME,
                                        "parhost.core.task", "parhost.core.host"};
  int top = lua_gettop(L);
  for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
    lua_settop(L, top);
    lua_pushvalue(L, idx);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, modules[i]);
    lua_remove(L, -2);
    push_key_of(L);
    if (lua_isnil(L, -1)) continue;
    if (i > 0) lua_pushfstring(L, "%s.%s", modules[i], lua_tostring(L, -1));
    break;
  }
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}

static bool is_one_of(const char *name, const char *const *list) {
  for (; *list != NULL; list++)
    if (strcmp(name, *list) == 0) return true;
  return false;
}

/* Pushes what the innermost call is that cannot be suspended: a C function from outside of parhost, a finalizer, or a
 * message handler, which only shows by the function that raised the error. */
static void push_barrier(lua_State *L) {
  static const char *const passable[] = {"dofile", "parhost.core.task.catch", "parhost.core.host.catch", NULL};
  static const char *const raising[] = {"error", "assert", NULL};
  lua_Debug frame;
  for (int level = 1; lua_getstack(L, level, &frame); level++) {
    lua_getinfo(L, "Snf", &frame);
    if (frame.namewhat[0] == 'm' && strcmp(frame.name, "__gc") == 0) {
      lua_pushliteral(L, "a finalizer (__gc)");
      return;
    }
    if (frame.what[0] == 'C') {
      push_function_name(L, -1);
      const char *name = lua_isnil(L, -1) ? frame.name : lua_tostring(L, -1);
      if (name != NULL && is_one_of(name, raising)) break;
      lua_CFunction function = lua_tocfunction(L, -2);
      bool hands_on = ph_vm_can_be_suspended(function) || quick_is_submit(function);
      if (name != NULL && !is_one_of(name, passable) && !hands_on) {
        lua_pushfstring(L, "'%s'", name);
        return;
      }
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  if (ph_vm_of(L)->closing == L)
    lua_pushliteral(L, "the cleanup of a coroutine that an error or a cancellation has ended");
  else
    lua_pushliteral(L, "a message handler, or a C function without a name");
}

static void push_barred(lua_State *L, lua_State *barred) {
  luaL_checkstack(L, 2, NULL);
  luaL_checkstack(barred, LUA_MINSTACK, NULL);
  push_barrier(barred);
  if (barred != L) lua_xmove(barred, L, 1);
  ph_error_push(L, "invalid_state", "cannot wait inside %s: it cannot be suspended", lua_tostring(L, -1));
  lua_pushliteral(L, "not suspendable");
  lua_setfield(L, -2, "state");
}

/* --- parking ---------------------------------------------------------------------------------------------- */

static struct sched_task *check_current(lua_State *L, struct sched *s) {
  struct sched_task *t = task_current(L, s);
  if (t == NULL) luaL_error(L, "no task runs here");
  return t;
}

static void check_suspendable(lua_State *L) {
  if (lua_isyieldable(L)) return;
  push_barred(L, L);
  lua_error(L);
}

static int park_here(lua_State *L, struct sched *s, struct sched_task *t, lua_KFunction resumed) {
  t->parked_in = L;
  if (t->wake != WAKE_POLL) s->poll_again = true;
  return ph_vm_park(L, resumed);
}

/* Back in the task. NULL: it could not be suspended; the error is on top. */
static struct sched_task *unpark(lua_State *L, struct sched *s) {
  struct sched_task *t = s->current;
  bool suspended = ph_vm_unpark(L);
  t->masked = false;
  if (suspended) return t;
  if (t->state == TASK_READY) s->n_ready--; /* a checkpoint that is not to be */
  sched_unpark(s, t);
  t->state = TASK_RUNS;
  push_barred(L, s->vm->barred);
  return NULL;
}

static void add_timer(lua_State *L, struct sched *s, struct sched_task *t, int64_t when) {
  if (sched_set_timer(s, t, when) != 0) luaL_error(L, "not enough memory");
}

static void push_thrown(lua_State *L, const struct sched *s, const struct sched_task *t) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->throws);
  lua_rawgeti(L, -1, t->anchor);
  lua_pushnil(L);
  lua_rawseti(L, -3, t->anchor);
  lua_replace(L, -2);
}

static int parked(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  struct sched_task *t = unpark(L, task_sched(L));
  if (t == NULL) {
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  if (t->wake != WAKE_CANCEL && t->wake != WAKE_THROW) {
    lua_pushboolean(L, t->wake != WAKE_TIMER);
    return 1;
  }
  lua_pushnil(L);
  if (t->wake == WAKE_CANCEL)
    task_push_signal(L, sched_cancelled_by(t->scope));
  else
    push_thrown(L, task_sched(L), t);
  return 2;
}

/* park(deadline | nil, masked, polls, lively) -> true: woken | false: the deadline has passed | nil, signal or error to
 * raise. masked: cancellation has to wait. polls: nothing will wake it, it asks again after each step of the loop. lively:
 * what it waits for comes from outside, so this is no deadlock. */
static int task_park(lua_State *L) {
  struct sched *s = task_sched(L);
  struct sched_task *t = check_current(L, s);
  bool masked = lua_toboolean(L, 2), polls = lua_toboolean(L, 3);
  if ((t->scope->effective && !masked) || !lua_isyieldable(L)) {
    if (t->scope->effective && !masked)
      task_push_signal(L, sched_cancelled_by(t->scope));
    else
      push_barred(L, L);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  if (!lua_isnil(L, 1)) {
    int64_t when = ph_seconds_to_ns(lua_tonumber(L, 1));
    if ((polls ? sched_set_poll_timer(s, t, when) : sched_set_timer(s, t, when)) != 0)
      return luaL_error(L, "not enough memory");
  }
  t->masked = masked;
  t->lively = lua_toboolean(L, 4);
  s->lively += t->lively;
  t->state = TASK_PARKED;
  if (polls) {
    ph_list_push_back(&s->pollers, &t->queue);
  } else {
    t->wake = WAKE_EVENT;
  }
  lua_settop(L, 0);
  return park_here(L, s, t, parked);
}

/* Raises what the task was woken with, if it is something to raise. */
static struct sched_task *unpark_or_raise(lua_State *L, struct sched *s) {
  struct sched_task *t = unpark(L, s);
  if (t == NULL) lua_error(L);
  if (t->wake == WAKE_CANCEL) task_raise_signal(L, t);
  if (t->wake != WAKE_THROW) return t;
  push_thrown(L, s, t);
  lua_error(L);
  return NULL;
}

static int slept(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  unpark_or_raise(L, task_sched(L));
  return 0;
}

static int watched_it(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  const struct sched_task *t = unpark_or_raise(L, lib_state_of(L)->sched);
  lua_pushboolean(L, t->wake == WAKE_EVENT);
  return 1;
}

int task_park_lively(lua_State *L, struct sched *s, struct sched_task *t, int64_t deadline) {
  if (deadline != PH_NEVER) add_timer(L, s, t, deadline);
  t->lively = true;
  s->lively++;
  t->state = TASK_PARKED;
  t->wake = WAKE_EVENT;
  lua_settop(L, 0);
  return park_here(L, s, t, watched_it);
}

static int checkpoint_passed(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  struct sched_task *t = unpark(L, task_sched(L));
  if (t == NULL) return lua_error(L);
  if (t->scope->effective) task_raise_signal(L, t);
  return 0;
}

static int pass_checkpoint(lua_State *L, struct sched *s, struct sched_task *t) {
  lua_settop(L, 0);
  if (t->scope->effective) task_raise_signal(L, t);
  check_suspendable(L);
  t->wake = WAKE_EVENT;
  sched_make_ready(s, t);
  return park_here(L, s, t, checkpoint_passed);
}

static int plain_sleep(lua_State *L, const struct sched *s, lua_Number seconds) {
  lua_settop(L, 0);
  task_push_policy(L, s, POLICY_SLEEP);
  lua_pushnumber(L, seconds);
  lua_call(L, 1, 0);
  return 0;
}

static int task_checkpoint(lua_State *L) {
  struct sched *s = task_sched(L);
  struct sched_task *t = task_current(L, s);
  if (t == NULL) return plain_sleep(L, s, 0);
  return pass_checkpoint(L, s, t);
}

static int task_sleep(lua_State *L) {
  struct sched *s = task_sched(L);
  lua_Number seconds = lua_tonumber(L, 1);
  struct sched_task *t = task_current(L, s);
  if (lua_type(L, 1) != LUA_TNUMBER || seconds != seconds) {
    const char *got = lua_type(L, 1) == LUA_TNUMBER ? "NaN" : task_type_name(L, 1);
    return luaL_error(L, "bad argument #1 to 'sleep' (number expected, got %s)", got);
  }
  if (t == NULL) return plain_sleep(L, s, seconds);
  if (seconds <= 0) return pass_checkpoint(L, s, t);
  lua_settop(L, 0);
  if (t->scope->effective) task_raise_signal(L, t);
  check_suspendable(L);
  int64_t now = sched_now(s), ns = ph_seconds_to_ns(seconds);
  if (ns < PH_NEVER - now) add_timer(L, s, t, now + ns);
  t->wake = WAKE_EVENT;
  t->state = TASK_PARKED;
  return park_here(L, s, t, slept);
}

/* --- seen from outside ------------------------------------------------------------------------------------ */

void task_push_traceback(lua_State *L, struct sched_task *t) {
  if (t->co == NULL || t->state == TASK_RUNS) {
    lua_pushnil(L);
  } else if (t->parked_in == t->co) {
    luaL_traceback(L, t->co, NULL, 0);
  } else {
    luaL_traceback(L, t->parked_in, NULL, 0);
    luaL_traceback(L, t->co, "in a coroutine of:", 0);
    lua_pushliteral(L, "\n");
    lua_insert(L, -2);
    lua_concat(L, 3);
  }
  if (!lua_isnil(L, -1)) ph_vm_name_publicly(L);
}

const luaL_Reg task_park_functions[] = {
    {"park", task_park}, {"checkpoint", task_checkpoint}, {"sleep", task_sleep}, {NULL, NULL}};
