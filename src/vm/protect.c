/* SPDX-License-Identifier: MIT
 * pcall, xpcall, load, coroutine.resume, wrap and close as stock Lua has them, but for two things: they hand the
 * cancellation signal on instead of catching it, and they say which coroutine runs (vm->running), so that the
 * interrupt hook finds it. Yields that park a task go through resume and wrap to whoever resumed them; what is parked
 * can be resumed and closed by no one else. */
#include <lauxlib.h>
#include <lualib.h>

#include "vm/vm_int.h"

char ph_vm_park_key;

/* --- pcall, xpcall ---------------------------------------------------------------------------------------- */

/* `skip`: values at the bottom that are no results. */
static int finish_call(lua_State *L, int status, lua_KContext skip) {
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - (int)skip;
  if (ph_cancel_is(L, -1)) ph_cancel_raise(L);
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

static int call_protected(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_call);
  return finish_call(L, status, 0);
}

/* The handler stays in slot 2 as long as the call lasts: silence_handler of cancel.c looks for it there. */
static int call_guarded(lua_State *L) {
  int nargs = lua_gettop(L) - 2;
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2);
  int status = lua_pcallk(L, nargs, LUA_MULTRET, 2, 2, finish_call);
  return finish_call(L, status, 2);
}

bool ph__protect_catches(lua_CFunction f, bool *guarded) {
  *guarded = f == call_guarded;
  return *guarded || f == call_protected;
}

/* --- load ------------------------------------------------------------------------------------------------- */

enum { LOAD_PIECE = 5 }; /* the stack slot that keeps the last piece alive */

static const char *read_piece(lua_State *L, void *ud, size_t *size) {
  (void)ud;
  luaL_checkstack(L, 2, "too many nested functions");
  lua_pushvalue(L, 1);
  lua_call(L, 0, 1);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    *size = 0;
    return NULL;
  }
  if (!lua_isstring(L, -1)) luaL_error(L, "reader function must return a string");
  lua_replace(L, LOAD_PIECE);
  return lua_tolstring(L, LOAD_PIECE, size);
}

static int load_from_function(lua_State *L, const char *mode) {
  const char *name = luaL_optstring(L, 2, "=(load)");
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, LOAD_PIECE);
  return lua_load(L, read_piece, NULL, name, mode);
}

static int load_chunk(lua_State *L) {
  size_t size;
  const char *mode = luaL_optstring(L, 3, "bt");
  const char *text = lua_tolstring(L, 1, &size);
  bool has_env = !lua_isnone(L, 4);
  int status =
      text == NULL ? load_from_function(L, mode) : luaL_loadbufferx(L, text, size, luaL_optstring(L, 2, text), mode);
  if (status != LUA_OK) {
    if (ph_cancel_is(L, -1)) ph_cancel_raise(L);
    luaL_pushfail(L);
    lua_insert(L, -2);
    return 2;
  }
  if (has_env) {
    lua_pushvalue(L, 4);
    if (lua_setupvalue(L, -2, 1) == NULL) lua_pop(L, 1);
  }
  return 1;
}

/* --- coroutines ------------------------------------------------------------------------------------------- */

static struct ph_vm *upvalue_vm(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(1));
}

static bool is_ended_by_error(lua_State *co) {
  int status = lua_status(co);
  return status != LUA_OK && status != LUA_YIELD;
}

int ph_vm_close_coroutine(struct ph_vm *vm, lua_State *L, lua_State *co) {
  lua_State *outer = vm->closing;
  vm->closing = co;
  ph_vm_switch(vm, L, co);
#if LUA_VERSION_RELEASE_NUM >= 50406
  int status = lua_closethread(co, L);
#else
  int status = lua_resetthread(co);
#endif
  ph_vm_switch(vm, co, L);
  vm->closing = outer;
  return status;
}

/* A coroutine that died of the signal: its <close> variables run, then the signal goes on in its resumer, unless one
 * of them raised another error. That is left on top of L. */
static void hand_on_signal(struct ph_vm *vm, lua_State *L, lua_State *co) {
  if (!ph_cancel_is(L, -1)) return;
  if (is_ended_by_error(co) && ph_vm_close_coroutine(vm, L, co) != LUA_OK) {
    lua_pop(L, 1);
    lua_xmove(co, L, 1);
  }
  if (ph_cancel_is(L, -1)) ph_cancel_raise(L);
}

static int give_up(lua_State *L, const char *message) {
  lua_pushstring(L, message);
  return -1;
}

static int fail_resume(struct ph_vm *vm, lua_State *L, lua_State *co) {
  lua_xmove(co, L, 1);
  hand_on_signal(vm, L, co);
  return -1;
}

/* A coroutine that is parked, or in the middle of one that is, has the key in slot 1 of its innermost frame. */
static bool is_parked(lua_State *co) {
  return lua_touserdata(co, 1) == &ph_vm_park_key;
}

int ph_vm_park(lua_State *L, lua_KFunction resumed) {
  lua_pushlightuserdata(L, &ph_vm_park_key);
  if (lua_gettop(L) > 1) lua_insert(L, 1);
  return lua_yieldk(L, 0, 0, resumed);
}

bool ph_vm_unpark(lua_State *L) {
  if (lua_gettop(L) == 1) {
    lua_settop(L, 0);
    return true;
  }
  lua_remove(L, 1);
  return lua_touserdata(L, -1) != &ph_vm_park_key;
}

/* A yield comes back by longjmp, which leaves the processor's return predictor astray: each further function on the
 * way back costs 10 ns. Hence the inlining. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

/* Resumes with the top `nargs` values of L. Gives the number of results on top of co, or -1 with an error on top of L. */
static ALWAYS_INLINE int resume_once(struct ph_vm *vm, lua_State *L, lua_State *co, int nargs, bool *parks) {
  if (!lua_checkstack(co, nargs)) return give_up(L, "too many arguments to resume");
  lua_xmove(L, co, nargs);
  int n;
  if (vm->suspended > 0) vm->on_entry(L, co);
  ph_vm_switch(vm, L, co);
  int status = lua_resume(co, L, nargs, &n);
  ph_vm_switch(vm, co, L);
  if (status != LUA_OK && status != LUA_YIELD) return fail_resume(vm, L, co);
  if (!lua_checkstack(L, n + 1)) {
    lua_pop(co, n);
    return give_up(L, "too many results to resume");
  }
  *parks = status == LUA_YIELD && is_parked(co);
  if (vm->scope_co == co && status == LUA_YIELD && !*parks) vm->on_yield(L, co);
  return n;
}

/* Like resume_once; a yield that parks goes on to our own resumer, who comes back through `resumed`. */
static ALWAYS_INLINE int resume_through(struct ph_vm *vm, lua_State *L, lua_State *co, int nargs, lua_KFunction resumed) {
  bool parks = false;
  int n = resume_once(vm, L, co, nargs, &parks);
  while (n >= 0 && parks) {
    if (lua_isyieldable(L)) return ph_vm_park(L, resumed);
    vm->barred = L;
    lua_pushlightuserdata(L, &ph_vm_park_key); /* no parking here */
    parks = false;
    n = resume_once(vm, L, co, 1, &parks);
  }
  return n;
}

/* coroutine.resume: the coroutine stays in slot 1. */

static int resume_parked(lua_State *L, int status, lua_KContext ctx);

static ALWAYS_INLINE int resume_from(lua_State *L, lua_State *co, int nargs) {
  int n = resume_through(upvalue_vm(L), L, co, nargs, resume_parked);
  if (n < 0) {
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
  }
  lua_pushboolean(L, 1);
  lua_xmove(co, L, n);
  return n + 1;
}

static int resume_parked(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  lua_remove(L, 1);
  return resume_from(L, lua_tothread(L, 1), lua_gettop(L) - 1);
}

static lua_State *check_coroutine(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co != NULL, 1, "thread");
  return co;
}

static int resume_coroutine(lua_State *L) {
  lua_State *co = check_coroutine(L);
  if (is_parked(co)) {
    lua_pushboolean(L, 0);
    lua_pushliteral(L, "cannot resume a coroutine that waits in a task");
    return 2;
  }
  return resume_from(L, co, lua_gettop(L) - 1);
}

/* coroutine.wrap: upvalues vm, coroutine. */

static int raise_from_wrap(lua_State *L, lua_State *co) {
  int status = lua_status(co);
  if (is_ended_by_error(co)) {
    status = ph_vm_close_coroutine(upvalue_vm(L), L, co);
    lua_xmove(co, L, 1);
    if (ph_cancel_is(L, -1)) ph_cancel_raise(L);
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int run_wrapped_parked(lua_State *L, int status, lua_KContext ctx);

static ALWAYS_INLINE int run_wrapped_in(lua_State *L, lua_State *co) {
  int n = resume_through(upvalue_vm(L), L, co, lua_gettop(L), run_wrapped_parked);
  if (n < 0) return raise_from_wrap(L, co);
  lua_xmove(co, L, n);
  return n;
}

static int run_wrapped_parked(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  lua_remove(L, 1);
  return run_wrapped_in(L, lua_tothread(L, lua_upvalueindex(2)));
}

static int run_wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(2));
  if (is_parked(co)) return luaL_error(L, "cannot resume a coroutine that waits in a task");
  return run_wrapped_in(L, co);
}

static int wrap_function(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_State *co = lua_newthread(L);
  lua_insert(L, 1);
  lua_xmove(L, co, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_pushcclosure(L, run_wrapped, 2);
  return 1;
}

/* coroutine.close. NULL: it may be closed; otherwise how its state is called. */
static const char *state_against_closing(lua_State *L, lua_State *co) {
  if (co == L) return "running";
  if (is_parked(co)) return "waiting";
  lua_Debug frame;
  return lua_status(co) == LUA_OK && lua_getstack(co, 0, &frame) ? "normal" : NULL;
}

static int close_coroutine(lua_State *L) {
  lua_State *co = check_coroutine(L);
  const char *state = state_against_closing(L, co);
  if (state != NULL) return luaL_error(L, "cannot close a %s coroutine", state);
  if (ph_vm_close_coroutine(upvalue_vm(L), L, co) == LUA_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushboolean(L, 0);
  lua_xmove(co, L, 1);
  if (ph_cancel_is(L, -1)) ph_cancel_raise(L);
  return 2;
}

bool ph_vm_can_be_suspended(lua_CFunction f) {
  return f == call_protected || f == call_guarded || f == resume_coroutine || f == run_wrapped;
}

/* The program may yield from its own coroutines, but not from the one that a task runs in. */
static int yield_values(lua_State *L) {
  if (upvalue_vm(L)->task == L) return luaL_error(L, "attempt to yield from outside a coroutine");
  return lua_yield(L, lua_gettop(L));
}

static int push_running(lua_State *L) {
  struct ph_vm *vm = upvalue_vm(L);
  if (vm->task == L) vm->task_shown = true;
  lua_pushboolean(L, lua_pushthread(L));
  return 2;
}

void ph__protect_install(lua_State *L, struct ph_vm *vm) {
  static const luaL_Reg base[] = {{"pcall", call_protected}, {"xpcall", call_guarded}, {"load", load_chunk}, {NULL, NULL}};
  static const luaL_Reg coroutines[] = {{"resume", resume_coroutine}, {"wrap", wrap_function},   {"close", close_coroutine},
                                        {"yield", yield_values},      {"running", push_running}, {NULL, NULL}};
  lua_pushglobaltable(L);
  luaL_setfuncs(L, base, 0);
  lua_getfield(L, -1, LUA_COLIBNAME);
  lua_pushlightuserdata(L, vm);
  luaL_setfuncs(L, coroutines, 1);
  lua_pop(L, 2);
}
