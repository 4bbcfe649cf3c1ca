/* SPDX-License-Identifier: MIT
 * Scopes as Lua sees them: a userdata is open from its making until close, abandon or its collection. */
#include <lauxlib.h>

#include "base/clock.h"
#include "lib/task.h"

const char sched_box_mark;

static struct sched_box *check_box(lua_State *L, int idx) {
  return luaL_checkudata(L, idx, BOX_METATABLE);
}

static struct sched_box *open_box(lua_State *L, struct sched_scope *parent, struct sched_task *t, enum sched_kind kind) {
  struct sched_box *box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = (struct sched_box){.open = true, .mark = &sched_box_mark};
  sched_scope_enter(&box->scope, parent, t, kind);
  luaL_setmetatable(L, BOX_METATABLE);
  return box;
}

/* --- in generators ------------------------------------------------------------------------------------------
 * A scope that was opened in a generator counts while that runs. When it yields, its scopes are taken off the task's
 * chain, and put on the chain of whoever resumes it. Nothing here keeps a generator alive, as its scopes may be all that
 * is left of it: generators[scope] = coroutine, yielded[coroutine] = its innermost scope, both weak in the coroutine. */

static void note_generator(lua_State *L, struct sched *s, struct sched_box *box) {
  box->co = L;
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->generators);
  lua_pushthread(L);
  lua_rawsetp(L, -2, box);
  lua_pop(L, 1);
}

static void note_yielded(lua_State *L, struct sched *s, lua_State *co, struct sched_scope *scope) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->yielded);
  lua_pushthread(co);
  lua_xmove(co, L, 1);
  if (scope != NULL)
    lua_pushlightuserdata(L, scope);
  else
    lua_pushnil(L);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

static struct sched_scope *scope_in(lua_State *L, struct sched *s, lua_State *co) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->yielded);
  lua_pushthread(co);
  lua_xmove(co, L, 1);
  lua_rawget(L, -2);
  struct sched_scope *scope = lua_touserdata(L, -1);
  lua_pop(L, 2);
  return scope;
}

/* The outermost one of those that were opened in the same generator as `scope`, without a break. */
static struct sched_scope *outermost_with(struct sched_scope *scope) {
  const lua_State *co = sched_generator_of(scope);
  while (sched_generator_of(scope->parent) == co) scope = scope->parent;
  return scope;
}

static void on_yield(lua_State *L, lua_State *co) {
  struct sched *s = lib_state_of(L)->sched;
  struct sched_task *t = s->current;
  if (t == NULL || !lua_checkstack(L, LUA_MINSTACK) || !lua_checkstack(co, 1)) return;
  struct sched_scope *inner = t->scope;
  t->scope = outermost_with(inner)->parent;
  s->vm->scope_co = sched_generator_of(t->scope);
  note_yielded(L, s, co, inner);
  ((struct sched_box *)inner)->yielded = true;
  s->vm->suspended++;
}

static void on_entry(lua_State *L, lua_State *co) {
  struct sched *s = lib_state_of(L)->sched;
  struct sched_task *t = task_current(L, s);
  if (t == NULL || !lua_checkstack(L, LUA_MINSTACK) || !lua_checkstack(co, 1)) return;
  struct sched_scope *inner = scope_in(L, s, co);
  if (inner == NULL) return;
  note_yielded(L, s, co, NULL);
  ((struct sched_box *)inner)->yielded = false;
  s->vm->suspended--;
  struct sched_scope *outer = outermost_with(inner);
  for (struct sched_scope *scope = inner; scope != outer->parent; scope = scope->parent) scope->owner = t;
  sched_scope_move(s, outer, t->scope);
  t->scope = inner;
  s->vm->scope_co = co;
}

/* A scope is closed, perhaps while its generator is suspended, or long gone. */
static void forget_generator(lua_State *L, struct sched *s, struct sched_box *box) {
  if (box->co == NULL || !lua_checkstack(L, LUA_MINSTACK)) return;
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->generators);
  bool alive = lua_rawgetp(L, -1, box) == LUA_TTHREAD && lua_checkstack(box->co, 1);
  lua_pushnil(L);
  lua_rawsetp(L, -3, box);
  lua_pop(L, 2);
  if (!box->yielded) return;
  struct sched_scope *parent = box->scope.parent;
  bool more = parent != NULL && sched_generator_of(parent) == box->co;
  if (alive) note_yielded(L, s, box->co, more ? parent : NULL);
  if (more)
    ((struct sched_box *)parent)->yielded = true;
  else
    s->vm->suspended--;
}

/* --- opening ------------------------------------------------------------------------------------------------ */

/* open(is_group, attached) -> scope inside of the innermost one of the task that runs, which it becomes itself when it is
 * attached. nil in plain code. */
static int open_scope(lua_State *L) {
  struct sched_task *t = task_current(L, task_sched(L));
  enum sched_kind kind = lua_toboolean(L, 1) ? SCOPE_GROUP : SCOPE_PLAIN;
  bool attached = lua_toboolean(L, 2);
  if (t == NULL) return 0;
  struct sched_box *box = open_box(L, t->scope, attached ? t : NULL, kind);
  if (!attached) return 1;
  t->scope = &box->scope;
  if (L != t->co) note_generator(L, task_sched(L), box);
  task_sched(L)->vm->scope_co = box->co;
  return 1;
}

/* open_root() -> the scope of a run */
static int open_root(lua_State *L) {
  open_box(L, NULL, NULL, SCOPE_PLAIN);
  return 1;
}

/* open_loose() -> a group outside of all tasks */
static int open_loose(lua_State *L) {
  open_box(L, task_sched(L)->run.root, NULL, SCOPE_GROUP);
  return 1;
}

/* --- closing ------------------------------------------------------------------------------------------------ */

static void leave(lua_State *L, struct sched *s, struct sched_box *box, struct sched_scope *heir) {
  struct sched_task *t = box->scope.owner;
  ph_heap_remove(&s->deadlines, &box->deadline);
  forget_generator(L, s, box);
  if (t != NULL && t->scope == &box->scope) {
    t->scope = box->scope.parent;
    if (t == s->current) s->vm->scope_co = sched_generator_of(t->scope);
  }
  if (heir != box->scope.parent) sched_disown(&box->scope, NULL);
  sched_scope_leave(&box->scope, heir);
  luaL_unref(L, LUA_REGISTRYINDEX, box->scope.signal);
  box->scope.signal = LUA_NOREF;
  box->scope.owner = NULL;
  box->open = false;
}

/* close(scope) -> whether it alone was cancelled: the outer ones are not, so its end is where the signal ends. */
static int close_scope(lua_State *L) {
  struct sched_box *box = check_box(L, 1);
  if (!box->open) return 0;
  bool outer = box->scope.parent != NULL && box->scope.parent->effective && !box->scope.shield;
  lua_pushboolean(L, box->scope.source != PH_STOP_NONE && !outer);
  leave(L, task_sched(L), box, box->scope.parent);
  return 1;
}

/* abandon(scope): what is in it goes to the run. */
static int abandon_scope(lua_State *L) {
  struct sched *s = task_sched(L);
  struct sched_box *box = check_box(L, 1);
  if (box->open) leave(L, s, box, s->run.root);
  return 0;
}

static int collect_scope(lua_State *L) {
  struct sched *s = lib_state_of(L)->sched;
  struct sched_box *box = check_box(L, 1);
  if (s == NULL || !box->open) return 0;
  leave(L, s, box, box->scope.kind == SCOPE_GROUP || box->scope.parent == NULL ? s->run.root : box->scope.parent);
  return 0;
}

/* strip(task) -> array of the groups (as light userdata) that it has left open; its other scopes are closed. */
static int strip_task(lua_State *L) {
  struct sched *s = task_sched(L);
  lua_rawgeti(L, 1, TASK_VALUE);
  struct sched_task *t = lua_touserdata(L, -1);
  lua_Integer n = 0;
  lua_newtable(L);
  while (t->scope != &t->root) {
    struct sched_box *box = (struct sched_box *)t->scope;
    if (box->scope.kind == SCOPE_GROUP) {
      t->scope = box->scope.parent;
      box->scope.owner = NULL;
      lua_pushlightuserdata(L, box);
      lua_rawseti(L, -2, ++n);
    } else {
      leave(L, s, box, box->scope.parent);
    }
  }
  return 1;
}

/* The scope of a box or a task at idx; NULL: closed. */
static struct sched_scope *scope_at(lua_State *L, int idx) {
  if (lua_istable(L, idx)) {
    lua_rawgeti(L, idx, TASK_STATE);
    lua_rawgeti(L, idx, TASK_VALUE);
    struct sched_task *t = lua_tointeger(L, -2) <= STATE_RUNNING ? lua_touserdata(L, -1) : NULL;
    lua_pop(L, 2);
    return t != NULL ? &t->root : NULL;
  }
  struct sched_box *box = check_box(L, idx);
  return box->open ? &box->scope : NULL;
}

/* cancel(scope or task, source, reason) -> boolean: it was the first time. */
static int cancel_scope(lua_State *L) {
  static const char *const sources[] = {"explicit", "deadline", "group", "shutdown", "signal", NULL};
  struct sched_scope *scope = scope_at(L, 1);
  enum ph_stop source = (enum ph_stop)(PH_STOP_EXPLICIT + luaL_checkoption(L, 2, NULL, sources));
  if (scope == NULL || scope->source != PH_STOP_NONE) return 0;
  lua_settop(L, 3);
  ph_cancel_push(L, source, NULL);
  lua_pushvalue(L, 3);
  lua_setfield(L, -2, "reason");
  scope->signal = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pushboolean(L, sched_cancel(task_sched(L), scope, source));
  return 1;
}

/* deadline(scope, when | nil): for a shield, when it falls. */
static int set_deadline(lua_State *L) {
  struct sched *s = task_sched(L);
  struct sched_box *box = check_box(L, 1);
  ph_heap_remove(&s->deadlines, &box->deadline);
  if (lua_isnoneornil(L, 2) || !box->open) return 0;
  lua_Number when = lua_tonumber(L, 2);
  box->deadline.when = ph_seconds_to_ns(when);
  if (box->deadline.when == PH_NEVER) return 0;
  if (ph_heap_add(&s->deadlines, &box->deadline) != 0) return luaL_error(L, "not enough memory");
  if (when * 1e9 <= (lua_Number)sched_now(s)) sched_fire(s, sched_now(s));
  return 0;
}

static int shield_scope(lua_State *L) {
  struct sched_box *box = check_box(L, 1);
  box->scope.shield = true;
  box->scope.effective = box->scope.source != PH_STOP_NONE;
  return 0;
}

/* source(scope) -> why it was cancelled, or nil */
static int push_source(lua_State *L) {
  const struct sched_scope *scope = scope_at(L, 1);
  if (scope == NULL || scope->source == PH_STOP_NONE) return 0;
  lua_pushstring(L, ph_stop_name((enum ph_stop)scope->source));
  return 1;
}

/* is_open(scope) -> boolean, the task whose scope it is */
static int is_open(lua_State *L) {
  const struct sched_box *box = check_box(L, 1);
  lua_pushboolean(L, box->open);
  if (!box->open || box->scope.owner == NULL) return 1;
  task_push(L, task_sched(L), box->scope.owner);
  return 2;
}

/* effective(scope) -> what parks in it gets the signal */
static int is_effective(lua_State *L) {
  const struct sched_scope *scope = scope_at(L, 1);
  lua_pushboolean(L, scope != NULL && scope->effective);
  return 1;
}

/* outer(scope) -> the same for what is around it */
static int is_outer_effective(lua_State *L) {
  const struct sched_scope *scope = scope_at(L, 1);
  lua_pushboolean(L, scope != NULL && scope->parent != NULL && scope->parent->effective);
  return 1;
}

static int count_live(lua_State *L) {
  lua_pushinteger(L, check_box(L, 1)->live);
  return 1;
}

static int watch_children(lua_State *L) {
  check_box(L, 1)->watched = (uint8_t)luaL_checkinteger(L, 2);
  return 0;
}

/* children(scope) -> array of the tasks directly in it */
static int push_children(lua_State *L) {
  struct sched *s = task_sched(L);
  const struct sched_box *box = check_box(L, 1);
  lua_Integer n = 0;
  lua_newtable(L);
  for (struct ph_list *node = box->scope.inside.next; node != &box->scope.inside; node = node->next) {
    const struct sched_scope *scope = ph_list_entry(node, struct sched_scope, beside);
    if (scope->kind != SCOPE_TASK) continue;
    task_push(L, s, scope->owner);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* empty(scope) -> no task is in it. (An iterator that nobody has closed may have left a group without any.) */
static int is_empty(lua_State *L) {
  struct sched_box *box = check_box(L, 1);
  lua_pushboolean(L, !sched_holds_tasks(&box->scope));
  return 1;
}

/* key(scope) -> light userdata, by which POLICY_CHILD names it */
static int push_key(lua_State *L) {
  lua_pushlightuserdata(L, check_box(L, 1));
  return 1;
}

/* catch(fn, ...) -> true, values... | false, signal. Other errors go on, with the traceback of where they were raised. */
static int finish_catch(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - 1;
  if (!ph_cancel_is(L, -1)) return lua_error(L);
  lua_pushboolean(L, false);
  lua_insert(L, -2);
  return 2;
}

static int catch_signal(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushcfunction(L, task_keep_trace);
  lua_pushboolean(L, true);
  lua_rotate(L, 1, 2);
  return finish_catch(L, lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 1, 0, finish_catch), 0);
}

/* trace_of(err) -> where it was raised in the task that runs, if that is what it ends by; else nothing */
static int trace_of(lua_State *L) {
  const struct sched *s = task_sched(L);
  const struct sched_task *t = task_current(L, task_sched(L));
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  if (t == NULL) return 0;
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->traces);
  if (lua_rawgeti(L, 2, t->anchor) != LUA_TTABLE) return 0;
  lua_rawgeti(L, 3, 1);
  if (!lua_rawequal(L, 1, 4)) return 0;
  lua_rawgeti(L, 3, 2);
  return 1;
}

const luaL_Reg task_scope_functions[] = {{"open", open_scope},
                                         {"open_root", open_root},
                                         {"open_loose", open_loose},
                                         {"close", close_scope},
                                         {"abandon", abandon_scope},
                                         {"strip", strip_task},
                                         {"cancel", cancel_scope},
                                         {"deadline", set_deadline},
                                         {"shield", shield_scope},
                                         {"source", push_source},
                                         {"is_open", is_open},
                                         {"effective", is_effective},
                                         {"outer_effective", is_outer_effective},
                                         {"live", count_live},
                                         {"watch", watch_children},
                                         {"children", push_children},
                                         {"empty", is_empty},
                                         {"key", push_key},
                                         {"catch", catch_signal},
                                         {"trace_of", trace_of},
                                         {NULL, NULL}};

static int new_weak_table(lua_State *L, const char *mode) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushstring(L, mode);
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

void task_open_scopes(lua_State *L, struct sched *s) {
  s->vm->on_yield = on_yield;
  s->vm->on_entry = on_entry;
  s->yielded = new_weak_table(L, "k");
  s->generators = new_weak_table(L, "v");
  luaL_newmetatable(L, BOX_METATABLE);
  lua_pushcfunction(L, collect_scope);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, collect_scope);
  lua_setfield(L, -2, "__close");
}
