/* SPDX-License-Identifier: MIT
 * The library's face, parhost.h: states for programs of others. Every state is an adopted one (vm/state.c), whoever has made
 * it, so lua_close is always enough. Whatever may raise runs in protected mode: nothing leaves a function of this file but
 * by return. */
#include "parhost.h"

#include <dlfcn.h>
#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "lib/core.h"
#include "lib/inspect.h"
#include "pool/backend_thread.h"
#include "pool/zygote.h"
#include "vm/vm.h"
#include "vm/worker.h"

const char *parhost_version(void) {
  return PH_VERSION;
}

/* --- the process ------------------------------------------------------------------------------------------ */

static atomic_int stop_signal; /* 0: none */

int parhost_on_worker(lua_CFunction open, void *arg) {
  if (ph_zygote_running()) return -1;
  ph_worker_on_open(open, arg);
  return 0;
}

int parhost_set_workers(int n) {
  if (n < 0 || n > LIB_WORKERS_MAX) return -1;
  lib_set_default_workers(n);
  return 0;
}

static bool can_be_handled(int number) {
  struct sigaction action;
  bool can = number != SIGKILL && number != SIGSTOP && sigaction(number, NULL, &action) == 0;
  if (!can) errno = EINVAL;
  return can;
}

int parhost_set_stop_signal(int number) {
  if (!can_be_handled(number)) return -1;
  atomic_store(&stop_signal, number);
  return 0;
}

int parhost_set_inspect_signal(int number) {
  if (!can_be_handled(number)) return -1;
  lib_inspect_by(number);
  return 0;
}

int parhost_start(char *error, size_t size) {
  struct ph_err err;
  int status = lib_prepare(true, &err);
  if (error != NULL && size > 0) snprintf(error, size, "%s", status == 0 ? "" : err.message);
  return status;
}

void parhost_finish(void) {
  ph_zygote_stop();
}

/* --- opening ---------------------------------------------------------------------------------------------- */

/* The file that a function of Lua comes from, for messages. */
static const char *file_of(lua_CFunction function) {
  Dl_info info;
  union {
    lua_CFunction function;
    void *address;
  } u = {function};
  return dladdr(u.address, &info) != 0 && info.dli_fname != NULL ? info.dli_fname : "?";
}

static lua_CFunction global_function(lua_State *L, const char *name) {
  lua_getglobal(L, name);
  lua_CFunction function = lua_tocfunction(L, -1);
  lua_pop(L, 1);
  return function;
}

/* Two copies of Lua in one process crash, each being fooled by the other's static objects. The functions of the base library
 * tell which one has made a state: here, one of our own and `L`. A state may have lost some of them, but not all. */
static void check_copy(lua_State *L) {
  static const char *const names[] = {"next", "rawequal", "rawlen", "select", "tonumber", "type"};
  lua_CFunction theirs = NULL, ours = NULL;
  lua_State *scratch = luaL_newstate();
  if (scratch == NULL) luaL_error(L, "not enough memory");
  luaL_requiref(scratch, LUA_GNAME, luaopen_base, 1);
  bool same = false;
  for (size_t i = 0; i < sizeof names / sizeof *names && !same; i++) {
    lua_CFunction function = global_function(L, names[i]);
    ours = global_function(scratch, names[i]);
    same = function == ours;
    if (function != NULL) theirs = function;
  }
  lua_close(scratch);
  if (same) return;
  if (theirs == NULL) luaL_error(L, "the state has no base library: call luaL_openlibs first");
  luaL_error(L, "the state belongs to another copy of Lua (in %s) than the one that parhost uses (in %s): link one only",
             file_of(theirs), file_of(ours));
}

static void check_libraries(lua_State *L) {
  static const char *const names[] = {LUA_LOADLIBNAME, LUA_COLIBNAME, LUA_TABLIBNAME, LUA_STRLIBNAME,
                                      LUA_MATHLIBNAME, LUA_IOLIBNAME, LUA_OSLIBNAME};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (lua_getglobal(L, names[i]) != LUA_TTABLE) luaL_error(L, "the state has no library '%s'", names[i]);
    lua_pop(L, 1);
  }
}

static int open_modules(lua_State *L) {
  luaL_checkversion(L);
  if (ph_vm_of(L) != NULL) return 0;
  check_copy(L);
  check_libraries(L);
  ph_threads_stop_by(stop_signal);
  ph_vm_adopt(L);
  lib_state_of(L);
  return 0;
}

static int make_state(lua_State *L) {
  lua_gc(L, LUA_GCSTOP);
  luaL_openlibs(L);
  lua_pushcfunction(L, open_modules);
  lua_call(L, 0, 0);
  ph_vm_exit_unwinds(L);
  lua_gc(L, LUA_GCRESTART);
  lua_gc(L, LUA_GCGEN, 0, 0); /* as stock lua */
  return 0;
}

/* The message on the stack top is both, error value and report. */
static int fail_with_message(lua_State *L) {
  lua_pushvalue(L, -1);
  return PARHOST_FAILED;
}

int parhost_open(lua_State *L) {
  if (!lua_checkstack(L, LUA_MINSTACK)) return PARHOST_FAILED;
  lua_pushcfunction(L, open_modules);
  return lua_pcall(L, 0, 0, 0) == LUA_OK ? PARHOST_OK : fail_with_message(L);
}

lua_State *parhost_newstate(void) {
  lua_State *L = luaL_newstate();
  if (L == NULL) return NULL;
  lua_pushcfunction(L, make_state);
  if (lua_pcall(L, 0, 0, 0) == LUA_OK) return L;
  lua_close(L);
  return NULL;
}

/* --- the end ---------------------------------------------------------------------------------------------- */

void parhost_shutdown(lua_State *L, enum parhost_end how) {
  struct ph_vm *vm = ph_vm_of(L);
  if (vm != NULL) ph_vm_run_exit(vm, how == PARHOST_WAIT ? "normal" : "error");
}

void parhost_close(lua_State *L, enum parhost_end how) {
  parhost_shutdown(L, how);
  lua_close(L);
}

/* --- running ---------------------------------------------------------------------------------------------- */

/* Error value, traceback or nil -> the report. */
static int make_report(lua_State *L) {
  bool traced = ph_vm_push_report(L, 1);
  if (!traced || lua_isnil(L, 2)) return 1;
  lua_pushliteral(L, "\n");
  lua_pushvalue(L, 2);
  lua_concat(L, 3);
  return 1;
}

/* Error value and traceback on the stack top become error value and report. */
static int fail(lua_State *L) {
  lua_pushcfunction(L, make_report);
  lua_pushvalue(L, -3);
  lua_rotate(L, -3, -1); /* value, make_report, value, traceback */
  lua_pcall(L, 2, 1, 0); /* a failure (no memory) has a message, too */
  return PARHOST_FAILED;
}

/* What has become of a call, whose error value and traceback lie on the stack top unless the status is LUA_OK. */
static int conclude(lua_State *L, struct ph_vm *vm, int status) {
  bool stopped = status != LUA_OK && ph_cancel_is(L, -2);
  if (vm->exited) {
    if (status != LUA_OK) lua_pop(L, 2);
    vm->exited = false;
    ph_vm_clear_stop(vm);
    lua_pushinteger(L, vm->exit_code);
    return PARHOST_EXITED;
  }
  if (status == LUA_OK) return PARHOST_OK;
  if (!stopped) return fail(L);
  ph_vm_clear_stop(vm);
  lua_pop(L, 2);
  return PARHOST_STOPPED;
}

/* parhost_open has been forgotten, or has failed. */
static int fail_unopened(lua_State *L) {
  lua_pushliteral(L, "parhost does not know this state: parhost_open comes first, and has to succeed");
  return fail_with_message(L);
}

int parhost_call(lua_State *L, int nargs, int nresults) {
  struct ph_vm *vm = ph_vm_of(L);
  if (vm == NULL) {
    lua_pop(L, nargs + 1);
    return fail_unopened(L);
  }
  lua_State *outer = vm->running;
  lib_state_of(L)->drive_next = 0;
  ph_vm_switch(vm, outer, L);
  int base = lua_gettop(L) - nargs - 1;
  int status = ph_vm_call_in(vm, L, nargs, nresults);
  ph_vm_switch(vm, L, outer);
  if (status == LUA_OK && vm->exited) lua_settop(L, base);
  return conclude(L, vm, status);
}

struct script {
  const char *text, *name; /* text NULL: a file of this name */
  int argc;
  const char *const *argv;
};

static void set_arg_table(lua_State *L, const struct script *s) {
  lua_createtable(L, s->argc, 1);
  lua_pushstring(L, s->name);
  lua_rawseti(L, -2, 0);
  for (int i = 0; i < s->argc; i++) {
    lua_pushstring(L, s->argv[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setglobal(L, "arg");
}

/* Gives the chunk and its arguments. */
static int load_script(lua_State *L) {
  const struct script *s = lua_touserdata(L, 1);
  int status = s->text != NULL ? luaL_loadbuffer(L, s->text, strlen(s->text), s->name) : luaL_loadfile(L, s->name);
  if (status != LUA_OK) return lua_error(L);
  set_arg_table(L, s);
  luaL_checkstack(L, s->argc, "too many arguments");
  for (int i = 0; i < s->argc; i++) lua_pushstring(L, s->argv[i]);
  return s->argc + 1;
}

static int run_script(lua_State *L, struct script s) {
  if (!lua_checkstack(L, LUA_MINSTACK)) return PARHOST_FAILED;
  if (ph_vm_of(L) == NULL) return fail_unopened(L);
  lua_pushcfunction(L, load_script);
  lua_pushlightuserdata(L, &s);
  int status = lua_pcall(L, 1, LUA_MULTRET, 0);
  if (status == LUA_OK) return parhost_call(L, s.argc, 0);
  lua_pushnil(L); /* no traceback */
  return conclude(L, ph_vm_of(L), status);
}

int parhost_run_file(lua_State *L, const char *path, int argc, const char *const *argv) {
  return run_script(L, (struct script){.name = path, .argc = argc, .argv = argv});
}

int parhost_run_string(lua_State *L, const char *code, const char *name, int argc, const char *const *argv) {
  return run_script(L, (struct script){.text = code, .name = name, .argc = argc, .argv = argv});
}

struct parhost_vm *parhost_vm(lua_State *L) {
  return (struct parhost_vm *)ph_vm_of(L);
}

void parhost_interrupt(struct parhost_vm *vm) {
  if (vm != NULL) ph_vm_interrupt((struct ph_vm *)vm, PH_STOP_SIGNAL);
}

/* --- another event loop ----------------------------------------------------------------------------------- */

static int get_fd(lua_State *L) {
  lua_pushinteger(L, lib_drive_fd(L));
  return 1;
}

/* A stop request is for the code that runs next. */
int parhost_fd(lua_State *L) {
  if (!lua_checkstack(L, LUA_MINSTACK) || ph_vm_of(L) == NULL) return -1;
  bool stopped = false;
  int fd = -1;
  for (int tries = 0; tries < 2 && fd < 0; tries++) {
    lua_pushcfunction(L, get_fd);
    if (lua_pcall(L, 0, 1, 0) == LUA_OK)
      fd = (int)lua_tointeger(L, -1);
    else if (ph_cancel_is(L, -1))
      stopped = true;
    lua_pop(L, 1);
  }
  if (stopped) ph_vm_interrupt(ph_vm_of(L), PH_STOP_SIGNAL);
  return fd;
}

double parhost_timeout(lua_State *L) {
  if (ph_vm_of(L) == NULL) return -1;
  const struct lib_state *s = lib_state_of(L);
  int64_t left = s->drive_next == PH_NEVER ? -1 : s->drive_next - ph_now();
  if (s->drive_next == PH_NEVER) return -1;
  return left > 0 ? (double)left / 1e9 : 0;
}

static int step(lua_State *L) {
  lib_drive_step(L);
  return 0;
}

int parhost_step(lua_State *L) {
  if (!lua_checkstack(L, LUA_MINSTACK)) return PARHOST_FAILED;
  struct ph_vm *vm = ph_vm_of(L);
  if (vm == NULL) return fail_unopened(L);
  lua_pushcfunction(L, step);
  lua_State *outer = vm->running;
  ph_vm_switch(vm, outer, L);
  int status = ph_vm_call_in(vm, L, 0, 0);
  ph_vm_switch(vm, L, outer);
  return conclude(L, vm, status);
}

int parhost_pending(lua_State *L) {
  return ph_vm_of(L) != NULL && lib_alive(lib_state_of(L));
}
