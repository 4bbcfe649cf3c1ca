/* SPDX-License-Identifier: MIT
 * The protected call of hosts and workers, with the traceback of where the error was raised. */
#include <lauxlib.h>

#include "vm/vm_int.h"

static const char tracebacks_key;

/* registry[tracebacks_key][depth of the call] = traceback. The message handler runs before the stack is unwound, and
 * __close handlers that run after it may make calls of their own: hence the depth. */
static void keep_traceback(lua_State *L, int depth) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &tracebacks_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &tracebacks_key);
  }
  lua_insert(L, -2);
  lua_rawseti(L, -2, depth);
  lua_pop(L, 1);
}

static void push_kept_traceback(lua_State *L, int depth) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &tracebacks_key) != LUA_TTABLE) return; /* the nil is the answer */
  if (lua_rawgeti(L, -1, depth) != LUA_TNIL) {
    lua_pushnil(L);
    lua_rawseti(L, -3, depth);
  }
  lua_remove(L, -2);
}

static int take_traceback(lua_State *L) {
  if (ph_cancel_is(L, 1)) return 1;
  ph_vm_push_traceback(L, 1, NULL, 1);
  keep_traceback(L, ph_vm_of(L)->calls);
  return 1;
}

int ph_vm_call(lua_State *L, int nargs, int nresults) {
  return ph_vm_call_in(ph_vm_of(L), L, nargs, nresults);
}

int ph_vm_call_in(struct ph_vm *vm, lua_State *L, int nargs, int nresults) {
  int base = lua_gettop(L) - nargs;
  lua_pushcfunction(L, take_traceback);
  lua_insert(L, base);
  int depth = ++vm->calls;
  int status = lua_pcall(L, nargs, nresults, base);
  vm->calls = depth - 1;
  lua_remove(L, base);
  if (status == LUA_OK) return LUA_OK;
  push_kept_traceback(L, depth);
  if (status == LUA_ERRMEM || ph_cancel_is(L, -2)) { /* what was kept belongs to an error that this one replaced */
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  return status;
}
