/* SPDX-License-Identifier: MIT
 * The end of a state's life: the exit sequence, and os.exit inside workers and in adopted states. The program's os.exit is
 * in main.c. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "pool/zygote.h"
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
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE); /* the globals are the program's, and may be gone */
  if (lua_getfield(L, -1, LUA_OSLIBNAME) == LUA_TTABLE) {
    lua_pushliteral(L, "exit");
    lua_pushcfunction(L, vm->exit_raises ? raise_worker_exit : exit_worker_process);
    lua_rawset(L, -3);
  }
  lua_pop(L, 2);
}

/* --- adopted states --------------------------------------------------------------------------------------- */

#define GUARD_METATABLE "parhost.ExitGuard"

static const char guard_key;
static atomic_int n_guarded; /* states of this process */

/* lua_close finalizes what is young first. The guard that counts is the one in the registry, which nothing but lua_close
 * collects; those before it have been taken out. With the last state goes the zygote. */
static int close_guard(lua_State *L) {
  const bool *counts = lua_touserdata(L, 1);
  if (!*counts) return 0;
  ph_vm_run_exit(ph_vm_of(L), "normal");
  if (atomic_fetch_sub(&n_guarded, 1) == 1) ph_zygote_stop();
  return 0;
}

void ph_vm_keep_exit_first(lua_State *L) {
  struct ph_vm *vm = ph_vm_of(L);
  if (vm == NULL || !vm->exits_on_close || vm->is_worker) return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &guard_key);
  bool *old = lua_touserdata(L, -1), *guard = lua_newuserdatauv(L, sizeof *guard, 0);
  *guard = false;
  if (luaL_newmetatable(L, GUARD_METATABLE)) {
    lua_pushcfunction(L, close_guard);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &guard_key);
  lua_pop(L, 1);
  *guard = true;
  if (old != NULL) *old = false;
}

void ph_vm_exit_on_close(lua_State *L, struct ph_vm *vm) {
  vm->exits_on_close = true;
  atomic_fetch_add(&n_guarded, 1);
  ph_vm_keep_exit_first(L);
}

static void replace_exit(lua_State *L, lua_CFunction exit_function) {
  lua_getglobal(L, LUA_OSLIBNAME);
  lua_pushinteger(L, getpid());
  lua_getfield(L, -2, "exit");
  lua_pushcclosure(L, exit_function, 2);
  lua_setfield(L, -2, "exit");
  lua_pop(L, 1);
}

/* Upvalues: the process that this is for, and os.exit as it was. A copy that the program has forked just leaves. */
static int exit_after_sequence(lua_State *L) {
  if (lua_tointeger(L, lua_upvalueindex(1)) == getpid()) {
    ph_vm_run_exit(ph_vm_of(L), "normal");
    ph_zygote_stop();
  }
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 0);
  return 0;
}

void ph_vm_exit_in_order(lua_State *L) {
  replace_exit(L, exit_after_sequence);
}

static int unwind_and_exit(lua_State *L) {
  struct ph_vm *vm = ph_vm_of(L);
  int code = exit_code_argument(L);
  if (lua_tointeger(L, lua_upvalueindex(1)) != getpid()) {
    fflush(NULL);
    _exit(code);
  }
  vm->exited = true;
  vm->exit_code = code;
  ph_vm_interrupt(vm, PH_STOP_SHUTDOWN);
  ph_vm_check_stop(L);
  ph_cancel_push(L, PH_STOP_SHUTDOWN, "os.exit"); /* where the request was for something else, as in a task of plain code */
  ph_cancel_raise(L);
}

void ph_vm_exit_unwinds(lua_State *L) {
  replace_exit(L, unwind_and_exit);
}
