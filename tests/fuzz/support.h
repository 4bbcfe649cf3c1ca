/* SPDX-License-Identifier: MIT
 * For the fuzz targets: one Lua state for all inputs, collected now and then, with a limit to its memory. */
#ifndef PH_TESTS_FUZZ_SUPPORT_H
#define PH_TESTS_FUZZ_SUPPORT_H

#include <lauxlib.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "vm/vm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A state with two registered classes, "point" (plain) and "dumped" (__dump and __load), and some modules loaded. */
static inline lua_State *fuzz_state(void) {
  static struct ph_vm *vm;
  if (vm != NULL) return vm->L;
  const struct ph_vm_options options = {.memory_limit = (size_t)256 << 20};
  vm = ph_vm_open(&options);
  PH_CHECK(vm != NULL);
  const char *setup = "local parhost = require 'parhost'\n"
                      "require 'futures'\n"
                      "package.loaded.callable = function() end\n"
                      "parhost.register('point', { __index = function() error 'no field' end })\n"
                      "parhost.register('dumped', { __dump = function(o) return { o.x } end,\n"
                      "  __load = function(d) return { x = d } end, __gc = function() end })\n"
                      "COUNT = #package.searchers";
  PH_CHECK(luaL_dostring(vm->L, setup) == LUA_OK);
  return vm->L;
}

/* Runs a decoding function on the bytes in protected mode. */
static inline void fuzz_run(lua_CFunction decode, const uint8_t *data, size_t size) {
  static unsigned runs;
  struct {
    const uint8_t *data;
    size_t size;
  } input = {data, size};
  lua_State *L = fuzz_state();
  lua_pushcfunction(L, decode);
  lua_pushlightuserdata(L, &input);
  if (lua_pcall(L, 1, 0, 0) == LUA_ERRMEM || ++runs % 256 == 0) lua_gc(L, LUA_GCCOLLECT);
  lua_settop(L, 0);
}

struct fuzz_input {
  const uint8_t *data;
  size_t size;
};

#endif
