/* SPDX-License-Identifier: MIT
 * The end of a state's life: the exit sequence, and os.exit inside workers. The program's os.exit is in main.c. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vm/error.h"
#include "vm/vm_int.h"
#include "vm/worker_stdio.h"

static int exit_code_argument(lua_State *L) {
  if (lua_isboolean(L, 1)) return lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
  return (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
}

static int exit_worker_process(lua_State *L) {
  int code = exit_code_argument(L);
  ph_worker_stdio_flush();
  fflush(NULL);
  _exit(code);
}

static int raise_worker_exit(lua_State *L) {
  int code = exit_code_argument(L);
  ph_error_push(L, "worker_exit", "os.exit(%d) was called in a worker", code);
  lua_pushinteger(L, code);
  lua_setfield(L, -2, "exit_code");
  return lua_error(L);
}

/* In protected mode; the mode in slot 1, as a pointer. */
static int run_sequence(lua_State *L) {
  const char *mode = lua_touserdata(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "parhost.exit") != LUA_TTABLE) return 0;
  lua_getfield(L, -1, "run");
  lua_pushstring(L, mode);
  lua_call(L, 1, 0);
  return 0;
}

void ph_vm_run_exit(struct ph_vm *vm, const char *mode) {
  lua_State *L = vm->L;
  int top = lua_gettop(L);
  if (!lua_checkstack(L, LUA_MINSTACK)) return;
  for (;;) {
    lua_pushcfunction(L, run_sequence);
    lua_pushlightuserdata(L, (void *)(uintptr_t)mode);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK) break;
    if (!ph_cancel_is(L, -1)) {
      lua_warning(L, "parhost: error at exit: ", 1);
      lua_warning(L, lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1), 0);
      break;
    }
    mode = "signal"; /* a stop request came between two steps */
  }
  lua_settop(L, top);
}

void ph__exit_install(lua_State *L, struct ph_vm *vm) {
  if (!vm->is_worker) return;
  lua_getglobal(L, LUA_OSLIBNAME);
  lua_pushcfunction(L, vm->exit_raises ? raise_worker_exit : exit_worker_process);
  lua_setfield(L, -2, "exit");
  lua_pop(L, 1);
}
