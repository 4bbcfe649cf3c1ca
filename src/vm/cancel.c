/* SPDX-License-Identifier: MIT
 * The cancellation signal, and interrupting code that runs.
 *
 * A stop request arrives in the vm's own thread, mostly in a signal handler: ph_vm_interrupt notes it and arms a
 * one-shot hook on the coroutine that runs, as lua.c does for SIGINT. The hook takes itself off before it raises, so
 * that the __close handlers on the way run to their end; `while true do pcall(f) end` stops all the same because our
 * pcall does not catch the signal.
 *
 * The hook raises between two instructions of the program, not within our own modules: what they have begun (a task that
 * was submitted) must reach the <close> variable that ends it. They come back to the program, or to a cancellation
 * point, soon. Nor does it raise between a call and the instruction behind it when that makes the result a <close>
 * variable. */
#include <lauxlib.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "vm/vm_int.h"

#define SIGNAL_METATABLE "parhost.Cancelled"
#define INTERRUPT_MASK (LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT)
/* How deep ph_cancel_raise looks for an xpcall: looking is quadratic in Lua. */
#define HANDLER_SEARCH_DEPTH 4000

const char *ph_stop_name(enum ph_stop source) {
  static const char *const names[] = {"none", "explicit", "deadline", "group", "shutdown", "signal"};
  return names[source];
}

static int describe_signal(lua_State *L) {
  lua_getfield(L, 1, "source");
  lua_getfield(L, 1, "reason");
  const char *source = luaL_optstring(L, -2, "explicit");
  if (lua_isnil(L, -1)) {
    lua_pushfstring(L, "parhost.cancelled: cancelled (source: %s)", source);
  } else {
    lua_pushfstring(L, "parhost.cancelled: %s (source: %s)", luaL_tolstring(L, -1, NULL), source);
  }
  return 1;
}

void ph__cancel_install(lua_State *L, struct ph_vm *vm) {
  luaL_newmetatable(L, SIGNAL_METATABLE);
  lua_pushcfunction(L, describe_signal);
  lua_setfield(L, -2, "__tostring");
  vm->signal_class = lua_topointer(L, -1);
  lua_pop(L, 1);
}

void ph_cancel_push(lua_State *L, enum ph_stop source, const char *reason) {
  lua_createtable(L, 0, 2);
  lua_pushstring(L, ph_stop_name(source));
  lua_setfield(L, -2, "source");
  if (reason != NULL) {
    lua_pushstring(L, reason);
    lua_setfield(L, -2, "reason");
  }
  luaL_setmetatable(L, SIGNAL_METATABLE);
}

bool ph_cancel_is(lua_State *L, int idx) {
  if (lua_type(L, idx) != LUA_TTABLE || !lua_getmetatable(L, idx)) return false;
  const void *class = lua_topointer(L, -1);
  lua_pop(L, 1);
  const struct ph_vm *vm = ph_vm_of(L);
  return vm != NULL && vm->signal_class == class;
}

/* Stands in for a message handler, its upvalue. */
static int handle_all_but_signal(lua_State *L) {
  lua_settop(L, 1);
  if (ph_cancel_is(L, 1)) return 1;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

static void replace_handler(lua_State *L, const lua_Debug *frame) {
  if (lua_getlocal(L, frame, 2) == NULL) return;
  if (lua_tocfunction(L, -1) == handle_all_but_signal) {
    lua_pop(L, 1);
    return;
  }
  lua_pushcclosure(L, handle_all_but_signal, 1);
  lua_setlocal(L, frame, 2);
}

/* The innermost message handler stands in slot 2 of an xpcall's frame: there it is replaced before the signal is
 * raised, so that plain xpcalls cost nothing more. Level 0 is whoever raises: if that is an xpcall, its own call is
 * over. (C code between here and there may catch the signal: the handler must still work for what comes later.) */
static void silence_handler(lua_State *L) {
  lua_Debug frame;
  for (int level = 1; level < HANDLER_SEARCH_DEPTH && lua_getstack(L, level, &frame); level++) {
    lua_getinfo(L, "f", &frame);
    lua_CFunction function = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    bool guarded;
    if (function == NULL || !ph__protect_catches(function, &guarded)) continue;
    if (guarded) replace_handler(L, &frame);
    return;
  }
}

void ph_cancel_raise(lua_State *L) {
  luaL_checkstack(L, 2, NULL);
  silence_handler(L);
  lua_error(L);
  __builtin_unreachable();
}

#ifdef PH_TSAN
/* ThreadSanitizer keeps a signal back until the thread comes by one of the functions that it stands in for: Lua code
 * alone never does. */
static void let_signals_in(lua_State *L, lua_Debug *event) {
  (void)L, (void)event;
  poll(NULL, 0, 0);
}

void ph_vm_unhook(lua_State *L) {
  lua_sethook(L, let_signals_in, LUA_MASKCOUNT, 10000);
}
#else
void ph_vm_unhook(lua_State *L) {
  lua_sethook(L, NULL, 0, 0);
}
#endif

static void interrupt_hook(lua_State *L, lua_Debug *event);

static void take_off_hook(struct ph_vm *vm, lua_State *L) {
  if (lua_gethook(L) != interrupt_hook) return;
  if (vm->hooked == L) {
    lua_sethook(L, vm->own_hook, vm->own_mask, vm->own_count);
  } else {
    ph_vm_unhook(L);
  }
}

static void arm_hook(struct ph_vm *vm) {
  lua_State *L = vm->running;
  if (lua_gethook(L) != interrupt_hook) {
    vm->hooked = L;
    vm->own_hook = lua_gethook(L);
    vm->own_mask = lua_gethookmask(L);
    vm->own_count = lua_gethookcount(L);
  }
  vm->armed = 1;
  vm->locals = -1;
  lua_sethook(L, interrupt_hook, INTERRUPT_MASK, 1);
}

/* A signal may arrive between any two of these lines; what it armed must not be lost. */
static void disarm_hook(struct ph_vm *vm) {
  vm->armed = 0;
  take_off_hook(vm, vm->running);
  if (vm->armed) arm_hook(vm);
}

void ph_vm_move_hook(struct ph_vm *vm, lua_State *from) {
  take_off_hook(vm, from);
  arm_hook(vm);
}

static void raise_pending(lua_State *L, struct ph_vm *vm) {
  int source = vm->level_triggered ? atomic_load(&vm->stop) : atomic_exchange(&vm->stop, PH_STOP_NONE);
  disarm_hook(vm);
  if (source == PH_STOP_NONE) return;
  if (vm->on_stop != NULL && vm->on_stop(L, (enum ph_stop)source)) return;
  luaL_checkstack(L, 4, NULL);
  ph_cancel_push(L, (enum ph_stop)source, NULL);
  ph_cancel_raise(L);
}

/* The innermost Lua function is one of our modules'. */
static bool is_in_module(lua_State *L) {
  lua_Debug frame;
  for (int level = 0; lua_getstack(L, level, &frame); level++) {
    lua_getinfo(L, "S", &frame);
    if (frame.what[0] != 'C') return ph__is_module(frame.source);
  }
  return false;
}

/* How many locals the Lua function at `level` has now, and whether any behind the first `n_old` can be a <close> variable.
 * -1: it is none. */
static int count_locals(lua_State *L, int level, int n_old, bool *closable) {
  lua_Debug frame;
  const char *name;
  int n = 0, top = lua_gettop(L);
  *closable = false;
  if (!lua_getstack(L, level, &frame) || lua_getinfo(L, "S", &frame) == 0 || frame.what[0] == 'C') return -1;
  while ((name = lua_getlocal(L, &frame, n + 1)) != NULL && strcmp(name, "(temporary)") != 0) {
    if (n >= n_old && luaL_getmetafield(L, -1, "__close") != LUA_TNIL) *closable = true;
    lua_settop(L, top);
    n++;
  }
  lua_settop(L, top);
  return n;
}

/* A call has ended, and its caller goes on with what it gave. */
static bool is_back_in_caller(lua_State *L, struct ph_vm *vm) {
  bool closable;
  vm->locals = count_locals(L, 1, 0, &closable);
  return vm->locals >= 0;
}

/* The instruction after a call makes the result a new local, which may have to be closed. */
static bool begins_variable(lua_State *L, struct ph_vm *vm) {
  bool closable;
  int before = vm->locals;
  vm->locals = INT_MAX;
  return before != INT_MAX && count_locals(L, 0, before, &closable) > before && closable;
}

/* Whether this is no moment to raise; the hook stays then. */
static bool must_settle(lua_State *L, struct ph_vm *vm, int event) {
  if (event == LUA_HOOKRET && is_back_in_caller(L, vm)) return true;
  if (event == LUA_HOOKCOUNT && begins_variable(L, vm)) return true;
  return is_in_module(L);
}

static void interrupt_hook(lua_State *L, lua_Debug *event) {
  struct ph_vm *vm = ph_vm_of(L);
  if (vm->is_delicate != NULL && vm->is_delicate(L)) return; /* the hook stays: soon */
  if (ph_vm_stop_pending(vm) && must_settle(L, vm, event->event)) {
    ph_vm_serve_requests(L, vm);
    return;
  }
  take_off_hook(vm, L);
  ph_vm_serve_requests(L, vm);
  raise_pending(L, vm);
}

void ph_vm_serve_requests(lua_State *L, struct ph_vm *vm) {
  int requests = vm->requests;
  if (requests == 0) return;
  vm->requests = 0;
  if (requests & PH_REQUEST_INSPECT) ph__inspect_serve(L, vm);
  requests &= ~PH_REQUEST_INSPECT;
  if (vm->on_request != NULL && requests != 0) vm->on_request(L, requests);
}

void ph_vm_wake(struct ph_vm *vm) {
  uint64_t one = 1;
  if (vm->wake_fd < 0) return;
  ssize_t written = write(vm->wake_fd, &one, sizeof one);
  (void)written; /* full: the wait ends anyway */
}

void ph_vm_request(struct ph_vm *vm, int requests) {
  vm->requests |= requests;
  arm_hook(vm);
  ph_vm_wake(vm);
}

void ph_vm_interrupt(struct ph_vm *vm, enum ph_stop source) {
  int none = PH_STOP_NONE;
  atomic_compare_exchange_strong(&vm->stop, &none, (int)source);
  arm_hook(vm);
  ph_vm_wake(vm);
}

void ph_cancel_again(lua_State *L, int idx) {
  if (!ph_cancel_is(L, idx)) return;
  int source = PH_STOP_EXPLICIT;
  lua_getfield(L, idx, "source");
  for (int i = PH_STOP_EXPLICIT; i <= PH_STOP_SIGNAL; i++)
    if (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), ph_stop_name((enum ph_stop)i)) == 0) source = i;
  lua_pop(L, 1);
  ph_vm_interrupt(ph_vm_of(L), (enum ph_stop)source);
}

void ph_vm_check_stop(lua_State *L) {
  struct ph_vm *vm = ph_vm_of(L);
  if (vm == NULL) return;
  if (vm->before_check != NULL && !ph_vm_stop_pending(vm)) vm->before_check();
  if (ph_vm_stop_pending(vm)) raise_pending(L, vm);
}

enum ph_stop ph_vm_take_stop(struct ph_vm *vm) {
  int source = atomic_exchange(&vm->stop, PH_STOP_NONE);
  disarm_hook(vm);
  return (enum ph_stop)source;
}

void ph_vm_clear_stop(struct ph_vm *vm) {
  ph_vm_take_stop(vm);
}
