/* SPDX-License-Identifier: MIT
 * For fuzz targets written in Lua: a script gives a function, which is called with each input and raises an error when
 * something is wrong. Lines of Lua code that follow each other count as coverage, so that the fuzzer finds its way through
 * code that no compiler has instrumented. */
#ifndef PH_TESTS_FUZZ_SCRIPT_H
#define PH_TESTS_FUZZ_SCRIPT_H

#include <stdio.h>
#include <stdlib.h>

#include "support.h"

#define SCRIPT_COUNTERS 16384u

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t script_counters[SCRIPT_COUNTERS];

static inline void script_line(lua_State *L, lua_Debug *event) {
  static uint32_t before;
  lua_Debug where;
  lua_getinfo(L, "S", (lua_getstack(L, 0, &where), &where));
  uint32_t here = (uint32_t)(event->currentline * 31 + where.linedefined * 7919) ^ (uint32_t)(uintptr_t)where.source;
  here *= 2654435761u;
  script_counters[(here ^ before >> 1) % SCRIPT_COUNTERS]++;
  before = here;
}

static inline int script_handler(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

static inline void script_check(lua_State *L, int status) {
  if (status == LUA_OK) return;
  fprintf(stderr, "%s\n", lua_tostring(L, -1));
  abort();
}

static inline void script_run(const char *path, const uint8_t *data, size_t size) {
  static unsigned runs;
  lua_State *L = fuzz_state();
  if (runs == 0) {
    lua_pushcfunction(L, script_handler);
    script_check(L, luaL_loadfile(L, path));
    script_check(L, lua_pcall(L, 0, 1, 1));
    lua_sethook(L, script_line, LUA_MASKLINE, 0);
  }
  lua_pushvalue(L, 2);
  lua_pushlstring(L, (const char *)data, size);
  script_check(L, lua_pcall(L, 1, 0, 1));
  if (++runs % 256 == 0) lua_gc(L, LUA_GCCOLLECT);
  PH_CHECK(lua_gettop(L) == 2);
}

#endif
