/* SPDX-License-Identifier: MIT
 * The short ways of pool:submit and future:result, in which nothing is out of the ordinary. They give nothing when something
 * is: then lua/parhost/executor.lua and lua/futures/future.lua go the long way, which knows all cases and errors. */
#include "lib/quick.h"

#include <lauxlib.h>

#include "lib/core.h"
#include "lib/submit.h"

enum { HOME_CORE = 1, HOME_OPTIONS, HOME_LIFE }; /* see lua/parhost/home.lua */

/* Upvalues. */
enum { FUTURE = 1, KEY_HOME, KEY_CLOSED };

/* The home of the pool or view at index 1, when it is one for this way and the pool is open. */
static bool push_home(lua_State *L) {
  if (!lua_istable(L, 1)) return false;
  lua_pushvalue(L, lua_upvalueindex(KEY_HOME));
  if (lua_rawget(L, 1) != LUA_TTABLE || lua_rawgeti(L, -1, HOME_LIFE) != LUA_TTABLE) return false;
  lua_pushvalue(L, lua_upvalueindex(KEY_CLOSED));
  lua_rawget(L, -2);
  bool closed = lua_toboolean(L, -1);
  lua_pop(L, 2);
  return !closed;
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
  int home = lua_gettop(L) + 1;
  if (!lua_isfunction(L, 2) || !push_home(L)) return 0;
  lua_rawgeti(L, home, HOME_OPTIONS);
  lua_replace(L, 1);
  lua_rawgeti(L, home, HOME_CORE);
  push_pending(L, home);
  lua_pushinteger(L, 0);
  lua_remove(L, home);
  lua_rotate(L, 1, 3); /* core, future, tag, options, fn, ... */
  if (core_submit(L) != 1) return 0;
  lua_rawseti(L, 2, FUTURE_ID);
  lua_settop(L, 2);
  return 1;
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

int quick_ways(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_pushvalue(L, 1);
  lua_pushliteral(L, "_home");
  lua_pushliteral(L, "closed");
  lua_pushcclosure(L, quick_submit, KEY_CLOSED);
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, quick_value, FUTURE);
  return 2;
}
