/* SPDX-License-Identifier: MIT
 * What a Lua state has one of: its list of open pools, its loop. */
#include <lauxlib.h>
#include <pthread.h>
#include <string.h>

#include "lib/core.h"
#include "lib/inspect.h"
#include "lib/sched.h"
#include "pool/backend_thread.h"
#include "vm/vm.h"

static const char state_key = 0;

/* How many forks lie between the process that loaded this and the present one. */
static unsigned forks;
static pthread_once_t counting = PTHREAD_ONCE_INIT;

static void count_fork(void) {
  forks++;
}

static void count_forks(void) {
  pthread_atfork(NULL, NULL, count_fork);
}

/* In a copy of the process: loop, pools and tasks are the parent's. They are forgotten, not closed, as there is nothing in
 * them (locks, threads, rings, epoll descriptors) that the copy might touch. */
static void leave_to_parent(lua_State *L, struct lib_state *s) {
  struct ph_vm *vm = ph_vm_of(L);
  if (vm != NULL) vm->wake_fd = -1;
  for (struct core *c = s->cores; c != NULL; c = c->next) {
    c->pool = NULL;
    c->client = NULL;
    c->watch = c->drive = NULL;
    c->place = NULL;
  }
  for (struct lib_source *o = s->sources; o != NULL; o = o->next)
    if (o->forget != NULL) o->forget(o);
  s->cores = NULL;
  if (s->sched != NULL) sched_forget(s->sched);
  s->sources = NULL;
  s->loop = NULL;
  lib_inspect_forget(s);
  s->drives = false;
  s->forks = forks;
}

static int close_state(lua_State *L) {
  struct lib_state *s = lua_touserdata(L, 1);
  if (s->forks != forks) leave_to_parent(L, s);
  struct ph_vm *vm = ph_vm_of(L);
  if (vm != NULL) vm->wake_fd = -1;
  lib_inspect_close(s);
  for (struct core *c = s->cores; c != NULL; c = c->next) lib_unwatch_core(c);
  for (struct lib_source *o; (o = s->sources) != NULL;) {
    s->sources = o->next;
    o->close(o); /* may free it */
  }
  if (s->loop != NULL) {
    ph_thread_wake_by(vm != NULL && vm->outer != NULL ? vm->outer->wake_fd : -1);
    ph_loop_free(s->loop);
  }
  s->loop = NULL;
  return 0;
}

struct lib_state *lib_state_if_any(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
  struct lib_state *s = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (s != NULL && s->forks != forks) leave_to_parent(L, s);
  return s;
}

bool lib_state_is_own(const struct lib_state *s) {
  return s->forks == forks;
}

struct lib_state *lib_state_of(lua_State *L) {
  struct lib_state *s = lib_state_if_any(L);
  if (s != NULL) return s;
  pthread_once(&counting, count_forks);
  s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (struct lib_state){.deliver = LUA_NOREF, .forks = forks};
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, close_state);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
  struct ph_vm *vm = ph_vm_of(L);
  if (vm != NULL) vm->is_delicate = is_delivering;
  return s;
}

bool lib_no_memory(lua_State *L, int status) {
  if (status == LUA_ERRMEM) return true;
  return lua_type(L, -1) == LUA_TSTRING && strstr(lua_tostring(L, -1), "not enough memory") != NULL;
}

bool lib_deliver(lua_State *L, int nargs) {
  int base = lua_gettop(L) - nargs - 1, status = LUA_OK;
  if (!lua_checkstack(L, nargs + LUA_MINSTACK)) {
    lua_pushliteral(L, "not enough memory");
    return false;
  }
  for (int attempt = 0; attempt < 2; attempt++) {
    lua_settop(L, base + 1 + nargs);
    for (int i = 0; i <= nargs; i++) lua_pushvalue(L, base + 1 + i);
    status = lua_pcall(L, nargs, 0, 0);
    if (status == LUA_OK || !lib_no_memory(L, status)) break;
  }
  if (status == LUA_OK) lua_settop(L, base);
  if (status != LUA_OK && !lib_no_memory(L, status)) lua_error(L);
  return status == LUA_OK;
}

void lib_add_source(lua_State *L, struct lib_source *source) {
  struct lib_state *s = lib_state_of(L);
  source->next = s->sources;
  s->sources = source;
  ph_vm_keep_exit_first(L);
}

void lib_unwatch_core(struct core *c) {
  if (c->watch != NULL) ph_loop_unwatch(c->watch);
  if (c->drive != NULL) ph_loop_unwatch(c->drive);
  c->watch = c->drive = NULL;
}

const char core_mark = 0;

static bool is_core(lua_State *L, int idx, const struct core *c) {
  return c != NULL && lua_rawlen(L, idx) == sizeof *c && c->kind_of_userdata == &core_mark;
}

struct core *check_core(lua_State *L, int idx) {
  struct core *c = lua_touserdata(L, idx);
  if (!is_core(L, idx, c)) c = luaL_checkudata(L, idx, CORE_METATABLE);
  if (c->forks != forks) lib_state_of(L);
  return c;
}
