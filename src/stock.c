/* SPDX-License-Identifier: MIT
 * parhost.stock, the C module by which stock Lua gets at the modules of parhost: require "proc_pool" finds
 * lua/stock/module.lua under that name, which calls what this module gives. The module is never unloaded (it is linked so):
 * worker threads and handlers may outlive the state. */
#include <lauxlib.h>
#include <stdlib.h>

#include "lib/core.h"
#include "vm/vm.h"

__attribute__((visibility("default"))) int luaopen_parhost_stock(lua_State *L);

/* (name) -> the module of this name that is built in. */
static int load_module(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  lua_settop(L, 1);
  ph_vm_load_embedded(L, name);
  lua_pushvalue(L, 1);
  lua_pushliteral(L, ":parhost:");
  lua_call(L, 2, 1);
  return 1;
}

/* PARHOST_WORKERS stands in for option -j of the program. */
static void read_workers(lua_State *L) {
  const char *text = getenv("PARHOST_WORKERS");
  if (text == NULL || *text == '\0') return;
  int is_integer = 0;
  lua_Integer n = 0;
  if (lua_stringtonumber(L, text) != 0) {
    n = lua_tointegerx(L, -1, &is_integer);
    lua_pop(L, 1);
  }
  if (!is_integer || n < 1 || n > LIB_WORKERS_MAX)
    luaL_error(L, "PARHOST_WORKERS: number of workers expected (an integer from 1 to %d), got '%s'", LIB_WORKERS_MAX, text);
  lib_set_default_workers((int)n);
}

int luaopen_parhost_stock(lua_State *L) {
  luaL_checkversion(L);
  if (ph_vm_of(L) == NULL) {
    struct ph_vm *vm = ph_vm_adopt(L);
    ph_vm_exit_on_close(L, vm);
    ph_vm_exit_in_order(L);
    read_workers(L);
  }
  lua_pushcfunction(L, load_module);
  return 1;
}
