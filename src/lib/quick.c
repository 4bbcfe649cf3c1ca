/* SPDX-License-Identifier: MIT
 * pool:submit and future:result, as long as nothing is out of the ordinary. What is, goes the long way, in
 * lua/parhost/executor.lua and lua/futures/future.lua, which know all cases and errors. */
#include "lib/quick.h"

#include <lauxlib.h>

#include "lib/core.h"
#include "lib/submit.h"

enum { HOME_CORE = 1, HOME_OPTIONS }; /* see lua/parhost/home.lua */

/* Upvalues. */
enum { FUTURE = 1, ORDINARY, KEY_HOME };

static int finish(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  return lua_gettop(L);
}

/* With what the caller has passed, `n` values. */
static int call_ordinary(lua_State *L, int n) {
  lua_settop(L, n);
  lua_pushvalue(L, lua_upvalueindex(ORDINARY));
  lua_insert(L, 1);
  lua_callk(L, n, LUA_MULTRET, 0, finish);
  return lua_gettop(L);
}

/* Pushes home, core and options of the pool or view at index 1, when it is one for this way and the pool is open. */
static struct core *push_home(lua_State *L, int home) {
  if (!lua_istable(L, 1)) return NULL;
  lua_pushvalue(L, lua_upvalueindex(KEY_HOME));
  if (lua_rawget(L, 1) != LUA_TTABLE || lua_rawgeti(L, home, HOME_CORE) != LUA_TUSERDATA) return NULL;
  lua_rawgeti(L, home, HOME_OPTIONS);
  struct core *c = check_core(L, home + 1);
  return c->refuses ? NULL : c;
}

static void push_pending(lua_State *L, int source) {
  lua_createtable(L, FUTURE_ID, 0);
  lua_pushinteger(L, FUTURE_PENDING);
  lua_rawseti(L, -2, FUTURE_STATE);
  lua_pushvalue(L, source);
  lua_rawseti(L, -2, FUTURE_SOURCE);
  lua_pushvalue(L, lua_upvalueindex(FUTURE));
  lua_setmetatable(L, -2);
}

/* submit(self, fn, ...) -> future */
static int quick_submit(lua_State *L) {
  int top = lua_gettop(L), home = top + 1;
  struct core *c = lua_isfunction(L, 2) ? push_home(L, home) : NULL;
  if (c == NULL) return call_ordinary(L, top);
  push_pending(L, home);
  const struct submission s = {
      .core = home + 1, .options = home + 2, .sink = home + 3, .fn = 2, .count = top - 1, .level = 1};
  lua_Integer id = core_submit_one(L, c, &s);
  if (id == 0) return call_ordinary(L, top);
  lua_pushinteger(L, id);
  lua_rawseti(L, s.sink, FUTURE_ID);
  return 1;
}

bool quick_is_submit(lua_CFunction f) {
  return f == quick_submit;
}

/* value(future) -> its value, when it is done with one that is not nil */
static int quick_value(lua_State *L) {
  if (!lua_istable(L, 1) || !lua_getmetatable(L, 1)) return 0;
  if (lua_topointer(L, -1) != lua_topointer(L, lua_upvalueindex(FUTURE))) return 0;
  lua_rawgeti(L, 1, FUTURE_STATE);
  if (lua_tointeger(L, -1) != FUTURE_DONE || lua_rawgeti(L, 1, FUTURE_COUNT) != LUA_TNIL) return 0;
  lua_rawgeti(L, 1, FUTURE_VALUE);
  return 1;
}

int quick_submitter(lua_State *L) {
  lua_settop(L, 2);
  lua_pushliteral(L, "_home");
  lua_pushcclosure(L, quick_submit, KEY_HOME);
  return 1;
}

int quick_valuer(lua_State *L) {
  lua_settop(L, 1);
  lua_pushcclosure(L, quick_value, FUTURE);
  return 1;
}
