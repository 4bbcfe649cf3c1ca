/* SPDX-License-Identifier: MIT
 * A C module like any other, for c_module.lua, which compiles it: collatz.steps(n) tells how many steps lead from n to 1. */
#include <lauxlib.h>

static int steps(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n >= 1, 1, "integer >= 1 expected");
  lua_Integer count = 0;
  for (lua_Unsigned x = (lua_Unsigned)n; x != 1; count++) x = x % 2 == 0 ? x / 2 : 3 * x + 1;
  lua_pushinteger(L, count);
  return 1;
}

int luaopen_collatz(lua_State *L) {
  static const luaL_Reg functions[] = {{"steps", steps}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
