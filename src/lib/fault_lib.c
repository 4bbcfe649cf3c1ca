/* SPDX-License-Identifier: MIT
 * parhost.core.fault: arming fault points (base/fault.h), in builds that have them. */
#include "base/fault.h"

#ifdef PH_FAULTS

#include <lauxlib.h>
#include <string.h>

#include "lib/core.h"

/* arm(text): see ph_fault_arm; an empty text arms nothing. */
static int arm(lua_State *L) {
  const char *text = luaL_checkstring(L, 1), *problem = ph_fault_arm(text);
  return problem != NULL ? luaL_argerror(L, 1, problem) : 0;
}

/* tripped(name) -> how often since it was armed, in any process */
static int tripped(lua_State *L) {
  const char *name = luaL_checkstring(L, 1), *meaning;
  for (int i = 0; i < PH_FAULT_COUNT; i++) {
    if (strcmp(ph_fault_name((enum ph_fault_point)i, &meaning), name) != 0) continue;
    lua_pushinteger(L, (lua_Integer)ph_fault_tripped((enum ph_fault_point)i));
    return 1;
  }
  return luaL_argerror(L, 1, "there is no such fault point");
}

/* points() -> { { name =, meaning = }... } in the order of the list */
static int push_points(lua_State *L) {
  lua_createtable(L, PH_FAULT_COUNT, 0);
  for (int i = 0; i < PH_FAULT_COUNT; i++) {
    const char *meaning;
    lua_createtable(L, 0, 2);
    lua_pushstring(L, ph_fault_name((enum ph_fault_point)i, &meaning));
    lua_setfield(L, -2, "name");
    lua_pushstring(L, meaning);
    lua_setfield(L, -2, "meaning");
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

int luaopen_parhost_core_fault(lua_State *L) {
  static const luaL_Reg functions[] = {{"arm", arm}, {"tripped", tripped}, {"points", push_points}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

#endif
