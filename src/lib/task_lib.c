/* SPDX-License-Identifier: MIT
 * parhost.core.task: tasks for lua/async/. A task is a table of class Task, a future; the functions take it, not the
 * struct behind it. The scheduler is made with the module and lies in the registry. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lib/inspect.h"
#include "lib/task.h"
#include "loop/watchdog.h"
#include "vm/run.h"

/* The struct of the task at idx; NULL: it has ended. */
static struct sched_task *task_of(lua_State *L, int idx) {
  luaL_checktype(L, idx, LUA_TTABLE);
  lua_rawgeti(L, idx, TASK_STATE);
  bool live = lua_tointeger(L, -1) <= STATE_RUNNING;
  lua_rawgeti(L, idx, TASK_VALUE);
  struct sched_task *t = live ? lua_touserdata(L, -1) : NULL;
  lua_pop(L, 2);
  return t;
}

/* As luaL_testudata, without a look for the metatable by its name. */
static struct sched_box *box_at(lua_State *L, int idx) {
  struct sched_box *box = lua_rawlen(L, idx) == sizeof *box ? lua_touserdata(L, idx) : NULL;
  return box != NULL && box->mark == &sched_box_mark ? box : NULL;
}

static struct sched_box *optional_box(lua_State *L, int idx) {
  return lua_isnil(L, idx) ? NULL : luaL_checkudata(L, idx, BOX_METATABLE);
}

/* --- creating --------------------------------------------------------------------------------------------- */

/* For messages. The module is the first argument of a function that is called with a colon. */
const char *task_type_name(lua_State *L, int idx) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  bool module = lua_getfield(L, -1, "async") == LUA_TTABLE && lua_rawequal(L, -1, idx);
  lua_pop(L, 2);
  return module ? "the module itself: call it with a dot" : luaL_typename(L, idx);
}

static void check_function(lua_State *L, int idx, int argument, const char *name) {
  if (lua_isfunction(L, idx)) return;
  const char *got = lua_isnoneornil(L, idx) ? "nil" : task_type_name(L, idx);
  luaL_error(L, "bad argument #%d to '%s' (function expected, got %s)", argument, name, got);
}

/* create_task(fn, ...) */
static int create_task(lua_State *L) {
  struct sched *s = task_sched(L);
  check_function(L, 1, 1, "create_task");
  sched_make_ready(s, task_create(L, s, s->run.root, 1));
  return 1;
}

/* spawn(box | nil, start_on_cancel, held, fn, ...) -> task */
static int spawn(lua_State *L) {
  struct sched *s = task_sched(L);
  struct sched_box *box = optional_box(L, 1);
  bool start_on_cancel = lua_toboolean(L, 2), held = lua_toboolean(L, 3);
  struct sched_task *t = task_create(L, s, box != NULL ? &box->scope : s->run.root, 4);
  if (box != NULL) box->live++;
  t->start_on_cancel = start_on_cancel;
  if (!held) sched_make_ready(s, t);
  return 1;
}

/* release(task): a held task gets ready. False: it was already. */
static int release(lua_State *L) {
  struct sched_task *t = task_of(L, 1);
  bool held = t != NULL && t->state == TASK_HELD;
  if (held) sched_make_ready(task_sched(L), t);
  lua_pushboolean(L, held);
  return 1;
}

#define EAGER_MAX 50 /* each is a resume inside of a resume, on the C stack */

/* start_now(task): runs a held task up to its first park. */
static int start_now(lua_State *L) {
  struct sched *s = task_sched(L);
  struct sched_task *t = task_of(L, 1);
  if (t == NULL || t->state != TASK_HELD) return 0;
  if (s->eager >= EAGER_MAX) {
    sched_make_ready(s, t);
    return 0;
  }
  lua_settop(L, 1);
  task_push_tables(L, s);
  bool begins = task_begin(L, s, t, 2);
  s->eager++;
  task_resume(L, s, t, 2, begins);
  s->eager--;
  return 0;
}

/* group:create_task(fn, ...): the common case of a group, whose handle has its box in slot 1. Policy takes what is
 * unusual: `other`, upvalue 4. */
static int group_create_task(lua_State *L) {
  struct sched *s = task_sched(L);
  if (lua_istable(L, 1) && lua_isfunction(L, 2)) {
    lua_rawgeti(L, 1, 1);
    struct sched_box *box = box_at(L, -1);
    lua_pop(L, 1);
    if (box != NULL && box->open && box->watched <= WATCH_LAST && box->scope.source == PH_STOP_NONE) {
      sched_make_ready(s, task_create(L, s, &box->scope, 2));
      box->live++;
      return 1;
    }
  }
  lua_pushvalue(L, lua_upvalueindex(4));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

/* group_creator(other) -> create_task for groups */
static int group_creator(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  for (int i = 1; i <= 3; i++) lua_pushvalue(L, lua_upvalueindex(i));
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, group_create_task, 4);
  return 1;
}

/* --- asking ----------------------------------------------------------------------------------------------- */

static int current(lua_State *L) {
  struct sched *s = task_sched(L);
  struct sched_task *t = task_current(L, s);
  if (t != NULL)
    task_push(L, s, t);
  else
    lua_pushnil(L);
  return 1;
}

/* is_running() -> we are in a run, there is one below */
static int is_running(lua_State *L) {
  const struct sched *s = task_sched(L);
  lua_pushboolean(L, task_is_inside_run(s));
  lua_pushboolean(L, s->run.on);
  return 2;
}

/* all() -> array of the tasks that have not ended, in the order of their creation */
static int compare_tasks(const void *a, const void *b) {
  lua_Integer x = *(const lua_Integer *)a, y = *(const lua_Integer *)b;
  return (x > y) - (x < y);
}

static int all_tasks(lua_State *L) {
  struct sched *s = task_sched(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->anchors);
  lua_Integer slots = (lua_Integer)lua_rawlen(L, 1);
  lua_Integer *pairs = lua_newuserdatauv(L, (size_t)(slots + 1) * 2 * sizeof *pairs, 0);
  size_t n = 0;
  for (lua_Integer i = 1; i <= slots; i++) {
    if (lua_rawgeti(L, 1, i) == LUA_TTABLE) {
      lua_rawgeti(L, -1, TASK_NUMBER);
      pairs[2 * n] = lua_tointeger(L, -1);
      pairs[2 * n++ + 1] = i;
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  qsort(pairs, n, 2 * sizeof *pairs, compare_tasks);
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, 1, pairs[2 * i + 1]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* owner(task) -> the task whose group it is in, or nil; number(task) */
static int owner(lua_State *L) {
  struct sched_task *t = task_of(L, 1);
  const struct sched_scope *parent = t != NULL ? t->root.parent : NULL;
  if (parent == NULL || parent->owner == NULL) return 0;
  task_push(L, task_sched(L), parent->owner);
  return 1;
}

/* cancelling(task): whether it is inside of a cancelled scope, protected or not */
bool task_is_cancelling(const struct sched_task *t) {
  const struct sched_scope *scope = t->scope;
  while (scope != NULL && scope->source == PH_STOP_NONE) scope = scope->parent;
  return scope != NULL;
}

static int cancelling(lua_State *L) {
  const struct sched_task *t = task_of(L, 1);
  lua_pushboolean(L, t != NULL && task_is_cancelling(t));
  return 1;
}

/* cancelled() -> the next parking call will raise the signal */
static int is_cancelled(lua_State *L) {
  const struct sched_task *t = task_current(L, task_sched(L));
  lua_pushboolean(L, t != NULL && t->scope->effective);
  return 1;
}

/* check_cancelled(): raises the signal then */
static int check_cancelled(lua_State *L) {
  struct sched_task *t = task_current(L, task_sched(L));
  ph_vm_check_stop(L);
  if (t != NULL && t->scope->effective) task_raise_signal(L, t);
  return 0;
}

const char *task_state_name(const struct sched_task *t) {
  static const char *const names[] = {"held", "ready", "running", "parked", "ended"};
  return t->co == NULL && t->state == TASK_READY ? "new" : names[t->state];
}

/* describe(task) -> state, traceback | nil */
static int describe(lua_State *L) {
  struct sched_task *t = task_of(L, 1);
  if (t == NULL) return 0;
  lua_pushstring(L, task_state_name(t));
  task_push_traceback(L, t);
  return 2;
}

static int now(lua_State *L) {
  lua_pushnumber(L, (lua_Number)sched_now(task_sched(L)) / 1e9);
  return 1;
}

/* --- acting on others -------------------------------------------------------------------------------------- */

static int wake(lua_State *L) {
  struct sched_task *t = task_of(L, 1);
  if (t != NULL) sched_wake(task_sched(L), t, WAKE_EVENT);
  return 0;
}

/* throw(task, err): a parked task goes on with this error. False: it is not parked. */
static int throw(lua_State * L) {
  struct sched *s = task_sched(L);
  struct sched_task *t = task_of(L, 1);
  bool parked = t != NULL && t->state == TASK_PARKED;
  if (parked) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->throws);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, t->anchor);
    sched_wake(s, t, WAKE_THROW);
  }
  lua_pushboolean(L, parked);
  return 1;
}

/* --- the scheduler ---------------------------------------------------------------------------------------- */

/* enter_run(root box, main task, virtual, debug [, clock]) -> what leave_run needs. From here on tasks without a group
 * belong to this run. clock: where a virtual one goes on, as leave_run gave it. */
static int enter_run(lua_State *L) {
  struct sched *s = task_sched(L);
  struct sched_box *box = luaL_checkudata(L, 1, BOX_METATABLE);
  struct sched_run *outer = lua_newuserdatauv(L, sizeof *outer, 0);
  *outer = s->run;
  s->run = (struct sched_run){.outer = outer,
                              .place = ph_run_current(),
                              .root = &box->scope,
                              .main = task_of(L, 2),
                              .on = true,
                              .is_virtual = lua_toboolean(L, 3),
                              .debug = lua_toboolean(L, 4),
                              .virtual_now = luaL_optinteger(L, 5, ph_now())};
  return 1;
}

/* leave_run(what enter_run gave) -> the virtual clock */
static int leave_run(lua_State *L) {
  struct sched *s = task_sched(L);
  lua_pushinteger(L, s->run.virtual_now);
  s->run = *(const struct sched_run *)lua_touserdata(L, 1);
  return 1;
}

/* stop_taken() -> a stop request has cancelled the run, it was the first to do so, it was a signal */
static int stop_taken(lua_State *L) {
  const struct sched *s = task_sched(L);
  lua_pushboolean(L, s->run.stop_taken);
  lua_pushboolean(L, s->run.stop_counts);
  lua_pushboolean(L, s->run.stop_signal);
  return 3;
}

/* cancel_all(): at the end of the program. */
static int cancel_all(lua_State *L) {
  struct sched *s = task_sched(L);
  sched_cancel(s, &s->own_root, PH_STOP_SHUTDOWN);
  if (s->run.root != &s->own_root) sched_cancel(s, s->run.root, PH_STOP_SHUTDOWN);
  return 0;
}

/* others() -> how many tasks have not ended, but for those that this call is made in */
static int count_others(lua_State *L) {
  const struct sched *s = task_sched(L);
  lua_pushinteger(L, s->live - s->inside);
  return 1;
}

/* What only a look at the running code can tell: called by the hook in it, or by the loop. */
static void serve_request(lua_State *L, int requests) {
  struct sched *s = lib_state_of(L)->sched;
  struct sched_task *t = task_current(L, s);
  if (!lua_checkstack(L, LUA_MINSTACK)) return;
  task_push_policy(L, s, POLICY_REQUEST);
  lua_pushinteger(L, requests);
  if (t != NULL) {
    luaL_traceback(L, L, NULL, 0);
    task_push(L, s, t);
  }
  lua_call(L, t != NULL ? 3 : 1, 0);
}

static void tell_slow(void *vm) {
  ph_vm_request(vm, PH_REQUEST_SLOW);
}

static void tell_dump(void *vm) {
  ph_vm_request(vm, PH_REQUEST_DUMP);
}

/* watch_steps(seconds | nil): reports steps of tasks that take longer, from now on. */
static int watch_steps(lua_State *L) {
  struct sched *s = task_sched(L);
  ph_watchdog_stop(&s->watchdog);
  if (lua_isnil(L, 1) || s->vm->adopted) return 0;
  ph_watchdog_start(&s->watchdog, ph_seconds_to_ns(lua_tonumber(L, 1)), tell_slow, s->vm);
  return 0;
}

/* watch_quit(boolean): SIGQUIT asks for a dump; in the host program alone. */
static int watch_quit(lua_State *L) {
  struct ph_vm *vm = task_sched(L)->vm;
  if (vm->is_program) ph_watch_quit(lua_toboolean(L, 1) ? tell_dump : NULL, vm);
  return 0;
}

/* forget(): this is a worker now, forked from a state with tasks; it runs in a coroutine of its own. */
static int forget(lua_State *L) {
  struct sched *s = task_sched(L);
  s->current = NULL;
  s->run = (struct sched_run){.root = &s->own_root};
  s->vm->task = NULL;
  s->inside = 0;
  sched_forget(s);
  for (int i = 1; i <= s->n_anchors; i++) {
    lua_pushboolean(L, false);
    lua_rawseti(L, lua_upvalueindex(3), i);
  }
  s->n_anchors = s->n_free_anchors = 0;
  return 0;
}

static int set_policy(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_rawseti(L, LUA_REGISTRYINDEX, task_sched(L)->policy);
  return 0;
}

/* set_names(names, sites): tables, task -> name, task -> where it was created, for who asks from outside. */
static int set_names(lua_State *L) {
  struct sched *s = task_sched(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  s->sites = luaL_ref(L, LUA_REGISTRYINDEX);
  s->names = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static int free_sched(lua_State *L) {
  struct sched *s = lua_touserdata(L, 1);
  ph_watchdog_stop(&s->watchdog);
  lua_settop(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->anchors);
  for (lua_Integer i = (lua_Integer)lua_rawlen(L, 2); i > 0; i--) {
    struct sched_task *t = lua_rawgeti(L, 2, i) == LUA_TTABLE ? task_of(L, 3) : NULL;
    if (t != NULL && t->trace != NULL) task_trace_free(t);
    if (t != NULL) ph_cells_put(&s->cells, t);
    lua_pop(L, 1);
  }
  ph_cells_deinit(&s->cells);
  ph_heap_deinit(&s->timers);
  ph_heap_deinit(&s->deadlines);
  free(s->free_anchors);
  lib_state_of(L)->sched = NULL;
  s->vm->on_stop = NULL;
  s->vm->on_request = NULL;
  s->vm->suspended = 0;
  s->vm->scope_co = NULL;
  return 0;
}

static int new_table(lua_State *L, int room) {
  lua_createtable(L, room, 0);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Pushes the userdata. */
static struct sched *make_sched(lua_State *L) {
  struct sched *s = lua_newuserdatauv(L, sizeof *s, 0);
  memset(s, 0, sizeof *s);
  ph_list_init(&s->ready);
  ph_list_init(&s->pollers);
  ph_cells_init(&s->cells, sizeof(struct sched_task));
  ph_list_init(&s->sleepers);
  sched_scope_enter(&s->own_root, NULL, NULL, SCOPE_PLAIN);
  s->run.root = &s->own_root;
  s->vm = ph_vm_of(L);
  s->anchors = new_table(L, 0);
  s->spare = new_table(L, SCHED_SPARE_MAX);
  s->throws = new_table(L, 0);
  s->traces = new_table(L, 0);
  s->policy = new_table(L, 0);
  s->names = s->sites = LUA_NOREF;
  s->turn = SCHED_TURN(ph_now());
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, free_sched);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lib_state_of(L)->sched = s;
  s->vm->on_stop = task_take_stop;
  s->vm->on_request = serve_request;
  return s;
}

int luaopen_parhost_core_task(lua_State *L) {
  static const luaL_Reg functions[] = {{"create_task", create_task},
                                       {"spawn", spawn},
                                       {"release", release},
                                       {"start_now", start_now},
                                       {"group_creator", group_creator},
                                       {"current", current},
                                       {"is_running", is_running},
                                       {"all", all_tasks},
                                       {"owner", owner},
                                       {"cancelling", cancelling},
                                       {"cancelled", is_cancelled},
                                       {"check_cancelled", check_cancelled},
                                       {"describe", describe},
                                       {"now", now},
                                       {"wake", wake},
                                       {"throw", throw},
                                       {"enter_run", enter_run},
                                       {"leave_run", leave_run},
                                       {"stop_taken", stop_taken},
                                       {"cancel_all", cancel_all},
                                       {"others", count_others},
                                       {"watch_steps", watch_steps},
                                       {"watch_quit", watch_quit},
                                       {"forget", forget},
                                       {"set_policy", set_policy},
                                       {"set_names", set_names},
                                       {NULL, NULL}};
  ph_vm_adopt(L);
  lua_newtable(L);
  int module = lua_gettop(L);
  struct sched *s = make_sched(L);
  lua_setfield(L, LUA_REGISTRYINDEX, "parhost.core.Scheduler");
  ph_vm_keep_exit_first(L);
  lib_inspect_open(L);
  lua_newtable(L);
  lua_setfield(L, module, "Task");
  task_open_scopes(L, s);
  const luaL_Reg *const parts[] = {functions, task_park_functions, task_scope_functions};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    lua_settop(L, module);
    lua_pushlightuserdata(L, s);
    lua_getfield(L, module, "Task");
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->anchors);
    luaL_setfuncs(L, parts[i], 3);
  }
  lua_settop(L, module);
  return 1;
}
