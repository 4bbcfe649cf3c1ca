/* SPDX-License-Identifier: MIT
 * Making and ending Lua states. A vm is malloc'ed by ph_vm_open, or lies in a userdata of an adopted state. */
#include <lauxlib.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/fault.h"
#include "base/mem.h"
#include "codec/codec.h"
#include "vm/error.h"
#include "vm/vm_int.h"

_Thread_local struct ph_vm *ph_vm_current;

/* KB that a state allocates before it collects for the first time: modules, which stay. A step of less than
 * nothing puts the collector that far behind. Workers collect when they are idle, too. */
#define GC_CREDIT 384

static const char vm_key, last_key;

struct ph_vm *ph_vm_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &vm_key);
  struct ph_vm *vm = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return vm;
}

/* Fresh states of forked workers lie at the same addresses, which is what Lua itself would seed from. */
static void seed_random(lua_State *L) {
  lua_Integer seed[2] = {0, 0};
  if (PH_FAULT(getrandom) || getrandom(seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) return;
  int top = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE); /* the globals are the program's, and may be gone */
  if (lua_getfield(L, -1, LUA_MATHLIBNAME) == LUA_TTABLE && lua_getfield(L, -1, "randomseed") == LUA_TFUNCTION) {
    lua_pushinteger(L, seed[0]);
    lua_pushinteger(L, seed[1]);
    lua_call(L, 2, 0);
  }
  lua_settop(L, top);
}

static void init_vm(struct ph_vm *vm, lua_State *L) {
  memset(vm, 0, sizeof *vm);
  ph_slab_init(&vm->slab);
  vm->L = vm->running = L;
  vm->wake_fd = -1;
  atomic_init(&vm->stop, PH_STOP_NONE);
}

/* Classes that are made by their first use, and would stay half made if that found no memory. The box is garbage then; no
 * finalizer is to be called for it, in the middle of whatever runs. */
static void make_classes(lua_State *L) {
  luaL_Buffer b;
  luaL_buffinitsize(L, &b, LUAL_BUFFERSIZE + 1); /* lauxlib's own, of boxes for big buffers */
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &b);
  luaL_pushresultsize(&b, 0);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &b) == LUA_TUSERDATA) {
    lua_pushnil(L);
    lua_setmetatable(L, -2);
  }
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &b);
  ph_error_metatable(L);
  lua_pop(L, 3);
}

static void install(lua_State *L, struct ph_vm *vm) {
  make_classes(L);
#ifdef PH_TSAN
  if (lua_gethook(L) == NULL) ph_vm_unhook(L); /* every coroutine comes by it, from its maker */
#endif
  ph__cancel_install(L, vm);
  ph__protect_install(L, vm);
  ph__searcher_install(L);
}

/* Of the first object that has a finalizer: lua_close calls it when all others are done. What it would do then is take the
 * state apart, object by object. */
static int leave_close(lua_State *L) {
  struct ph_vm **vm = lua_touserdata(L, 1);
  if ((*vm)->leaves_memory) longjmp(*(*vm)->closed, 1);
  return 0;
}

static void finalize_last(lua_State *L, struct ph_vm *vm) {
  struct ph_vm **last = lua_newuserdatauv(L, sizeof(*last), 0);
  *last = vm;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, leave_close);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &last_key);
}

static int open_libraries(lua_State *L) {
  struct ph_vm *vm = lua_touserdata(L, 1);
#ifdef PH_GCSTRESS
  lua_gc(L, LUA_GCGEN, 2, 0); /* what has a finalizer goes soon, too */
#else
  lua_gc(L, LUA_GCGEN, 0, 0); /* as stock lua; here, while there is next to nothing that the switch would walk over */
#endif
  lua_gc(L, LUA_GCSTOP);
  finalize_last(L, vm);
  luaL_openlibs(L);
  lua_pushlightuserdata(L, vm);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &vm_key);
  install(L, vm);
  ph__exit_install(L, vm);
  seed_random(L);
  ph_codec_baseline(L);
  lua_gc(L, LUA_GCRESTART);
#ifndef PH_GCSTRESS
  lua_gc(L, LUA_GCSTEP, -GC_CREDIT);
#endif
  return 0;
}

/* As luaL_newstate: what is raised where nothing catches it. */
static int panic(lua_State *L) {
  const char *message = lua_tostring(L, -1);
  fprintf(stderr, "parhost: error outside of any protected call: %s\n", message != NULL ? message : "(not a string)");
  fflush(stderr);
  return 0;
}

struct ph_vm *ph_vm_open(const struct ph_vm_options *options) {
  struct ph_vm *vm = ph_malloc(sizeof *vm);
  if (vm == NULL) return NULL;
  init_vm(vm, NULL);
  lua_State *L = PH_FAULT(lua_state) ? NULL : lua_newstate(ph__allocate, vm);
  if (L == NULL) {
    ph_slab_deinit(&vm->slab);
    free(vm);
    return NULL;
  }
  vm->L = vm->running = L;
  lua_atpanic(L, panic);
  ph__warn_install(L, vm);
  vm->is_worker = options->is_worker;
  vm->exit_raises = options->exit_raises;
  vm->outer = ph_vm_current;
  ph_vm_current = vm;

  lua_pushcfunction(L, open_libraries);
  lua_pushlightuserdata(L, vm);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    ph_vm_close(vm);
    return NULL;
  }
  vm->limit = options->memory_limit;
  return vm;
}

static void close_vm(struct ph_vm *vm, bool last) {
  vm->limit = 0; /* closing must not fail */
  if (vm->is_worker) ph_vm_run_exit(vm, "normal");
#ifndef __SANITIZE_ADDRESS__ /* which would take it for lost */
  vm->leaves_memory = last;
#else
  (void)last;
#endif
  jmp_buf closed;
  vm->closed = &closed;
  if (setjmp(closed) == 0) lua_close(vm->L);
  if (!vm->leaves_memory) ph_slab_deinit(&vm->slab);
  if (ph_vm_current == vm) ph_vm_current = vm->outer;
  free(vm);
}

void ph_vm_close(struct ph_vm *vm) {
  close_vm(vm, false);
}

void ph_vm_close_last(struct ph_vm *vm) {
  close_vm(vm, true);
}

struct ph_vm *ph_vm_adopt(lua_State *L) {
  struct ph_vm *vm = ph_vm_of(L);
  if (vm != NULL) return vm;
  vm = lua_newuserdatauv(L, sizeof *vm, 0);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  init_vm(vm, lua_tothread(L, -1));
  vm->adopted = true;
  lua_pop(L, 1);
  install(L, vm);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &vm_key);
  ph_codec_late_baseline(L);
  return vm;
}

static int do_seed(lua_State *L) {
  seed_random(L);
  return 0;
}

void ph_vm_part_ways(struct ph_vm *vm) {
  lua_pushcfunction(vm->L, do_seed);
  if (lua_pcall(vm->L, 0, 0, 0) != LUA_OK) lua_pop(vm->L, 1);
}

static int do_become_worker(lua_State *L) {
  struct ph_vm *vm = lua_touserdata(L, 1);
  lua_State *co = lua_newthread(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, co); /* for as long as the process lives */
  ph__exit_install(L, vm);
  seed_random(L);
  vm->running = co;
  return 0;
}

lua_State *ph_vm_become_worker(struct ph_vm *vm) {
  vm->is_worker = true;
  vm->wake_fd = -1;
  if (!lua_checkstack(vm->L, LUA_MINSTACK)) return NULL;
  lua_pushcfunction(vm->L, do_become_worker);
  lua_pushlightuserdata(vm->L, vm);
  return lua_pcall(vm->L, 1, 0, 0) == LUA_OK ? vm->running : NULL;
}
