/* SPDX-License-Identifier: MIT
 * os.exit inside workers. The program's own os.exit is in main.c, where the exit sequence is known. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vm/error.h"
#include "vm/vm_int.h"

static int exit_code_argument(lua_State *L) {
  if (lua_isboolean(L, 1)) return lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
  return (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
}

static int exit_worker_process(lua_State *L) {
  int code = exit_code_argument(L);
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

void ph__exit_install(lua_State *L, struct ph_vm *vm) {
  if (!vm->is_worker) return;
  lua_getglobal(L, LUA_OSLIBNAME);
  lua_pushcfunction(L, vm->exit_raises ? raise_worker_exit : exit_worker_process);
  lua_setfield(L, -2, "exit");
  lua_pop(L, 1);
}
