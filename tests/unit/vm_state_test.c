/* SPDX-License-Identifier: MIT
 * vm/state.c, vm/searcher.c, vm/exit.c: fresh states, their memory limit, adopted states. */
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "vm/vm.h"

static struct ph_vm *open_vm(size_t limit) {
  const struct ph_vm_options options = {.memory_limit = limit};
  struct ph_vm *vm = ph_vm_open(&options);
  CHECK(vm != NULL);
  return vm;
}

static void run(struct ph_vm *vm, const char *text) {
  if (luaL_dostring(vm->L, text) == LUA_OK) return;
  fprintf(stderr, "%s\n", luaL_tolstring(vm->L, -1, NULL));
  exit(1);
}

static void knows_its_states(void) {
  CHECK(ph_vm_current == NULL);
  struct ph_vm *outer = open_vm(0);
  CHECK(ph_vm_current == outer && ph_vm_of(outer->L) == outer && outer->running == outer->L);
  CHECK(outer->wake_fd == -1 && !ph_vm_stop_pending(outer));
  struct ph_vm *inner = open_vm(0);
  CHECK(ph_vm_current == inner && ph_vm_of(inner->L) == inner);
  ph_vm_close(inner);
  CHECK(ph_vm_current == outer);
  lua_State *co = lua_newthread(outer->L);
  CHECK(ph_vm_of(co) == outer);
  ph_vm_close(outer);
  CHECK(ph_vm_current == NULL);
}

static void counts_memory(void) {
  struct ph_vm *vm = open_vm(0);
  lua_State *L = vm->L;
  CHECK(vm->used == (size_t)lua_gc(L, LUA_GCCOUNT) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB));
  run(vm, "x = ('x'):rep(1000000)");
  CHECK(vm->used > 1000000);
  CHECK(vm->used == (size_t)lua_gc(L, LUA_GCCOUNT) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB));
  CHECK(!vm->limit_hit);
  ph_vm_close(vm);
}

static void keeps_to_its_limit(void) {
  struct ph_vm *vm = open_vm((size_t)4 << 20);
  lua_State *L = vm->L;
  CHECK(luaL_loadstring(L, "local t = {} for i = 1, 1e9 do t[i] = {} end") == LUA_OK);
  CHECK(ph_vm_call(L, 0, 0) == LUA_ERRMEM);
  CHECK(vm->limit_hit && vm->used <= vm->limit);
  CHECK(strcmp(lua_tostring(L, -2), "not enough memory") == 0 && lua_isnil(L, -1));
  lua_settop(L, 0);
  lua_gc(L, LUA_GCCOLLECT);
  CHECK(vm->used < (size_t)1 << 20);
  vm->limit_hit = false;
  run(vm, "assert(#('x'):rep(1000000) == 1000000)");
  CHECK(!vm->limit_hit);
  CHECK(luaL_loadstring(L, "return pcall(string.rep, 'x', 1e9)") == LUA_OK && ph_vm_call(L, 0, 2) == LUA_OK);
  CHECK(!lua_toboolean(L, 1) && vm->limit_hit);
  ph_vm_close(vm);
}

/* Forked workers open their states at the same address at the same time. */
static unsigned long random_of_child(void) {
  int ends[2], status;
  CHECK(pipe(ends) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    struct ph_vm *vm = open_vm(0);
    run(vm, "x = math.random(0)");
    lua_getglobal(vm->L, "x");
    lua_Integer x = lua_tointeger(vm->L, -1);
    _exit(write(ends[1], &x, sizeof x) == sizeof x ? 0 : 1);
  }
  lua_Integer x;
  CHECK(read(ends[0], &x, sizeof x) == sizeof x);
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  close(ends[0]);
  close(ends[1]);
  return (unsigned long)x;
}

static void seeds_differ(void) {
  unsigned long a = random_of_child(), b = random_of_child(), c = random_of_child();
  CHECK(a != b && b != c && a != c);
}

static void finds_what_is_built_in(void) {
  struct ph_vm *vm = open_vm(0);
  run(vm, "local h, from = require 'parhost.core.host' assert(h.monotonic() > 0 and from == ':parhost:', from)\n"
          "local p, where = require 'parhost' assert(p.version and where == 'lua/parhost.lua', where)\n"
          "package.preload['proc_pool'] = function() return 'mine' end assert(require 'proc_pool' == 'mine')\n"
          "local ok, e = pcall(require, 'no.such') assert(not ok and e:find('no field package.preload', 1, true))\n"
          "assert(not pcall(require, 'cli.options'))\n"
          "assert(#package.searchers == 5)");
  ph_vm_close(vm);
}

static void adopts_a_state(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  CHECK(ph_vm_of(L) == NULL && !ph_cancel_is(L, -1));
  struct ph_vm *vm = ph_vm_adopt(L);
  CHECK(ph_vm_of(L) == vm && ph_vm_adopt(L) == vm && lua_gettop(L) == 0);
  run(vm, "assert(require 'parhost'.cpu_count() >= 1)");
  ph_cancel_push(L, PH_STOP_EXPLICIT, "because");
  CHECK(ph_cancel_is(L, -1));
  lua_close(L);
  CHECK(ph_vm_current == NULL);
}

static int exit_code_of_worker(const char *text) {
  int status;
  pid_t pid = fork();
  if (pid == 0) {
    const struct ph_vm_options options = {.is_worker = true};
    struct ph_vm *vm = ph_vm_open(&options);
    run(vm, text);
    _exit(99);
  }
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
  return WEXITSTATUS(status);
}

static void workers_exit(void) {
  CHECK(exit_code_of_worker("os.exit(42)") == 42);
  CHECK(exit_code_of_worker("os.exit()") == 0);
  CHECK(exit_code_of_worker("os.exit(false, true)") == 1);
  CHECK(exit_code_of_worker("pcall(os.exit, 'x')") == 99);

  const struct ph_vm_options options = {.is_worker = true, .exit_raises = true};
  struct ph_vm *vm = ph_vm_open(&options);
  run(vm, "local ok, e = pcall(os.exit, 7) assert(not ok and e.kind == 'worker_exit' and e.exit_code == 7)");
  ph_vm_close(vm);
}

/* The same, made once and copied by fork. */
static void copies_part_ways(void) {
  const struct ph_vm_options options = {.is_worker = true};
  struct ph_vm *vm = ph_vm_open(&options);
  CHECK(vm != NULL);
  int pipes[2];
  double numbers[2];
  CHECK(pipe(pipes) == 0);
  for (int i = 0; i < 2; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      ph_vm_part_ways(vm);
      run(vm, "x = math.random()");
      lua_getglobal(vm->L, "x");
      double x = lua_tonumber(vm->L, -1);
      CHECK(write(pipes[1], &x, sizeof x) == sizeof x);
      _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(read(pipes[0], &numbers[i], sizeof numbers[i]) == sizeof numbers[i]);
  }
  CHECK(numbers[0] != numbers[1]);
  close(pipes[0]);
  close(pipes[1]);
  ph_vm_close(vm);
}

static int count(lua_State *L) {
  int *n = lua_touserdata(L, lua_upvalueindex(1));
  ++*n;
  return 0;
}

static void finalizes_at_the_end_of_the_process(void) {
  const struct ph_vm_options options = {0};
  struct ph_vm *vm = ph_vm_open(&options);
  int n = 0;
  lua_pushlightuserdata(vm->L, &n);
  lua_pushcclosure(vm->L, count, 1);
  lua_setglobal(vm->L, "count");
  run(vm, "local meta = { __gc = function() local t = {} for i = 1, 100 do t[i] = ('x'):rep(i) end count() end }"
          "for i = 1, 10 do _G[i] = setmetatable({}, meta) end");
  ph_vm_close_last(vm);
  CHECK(n == 10);
}

int main(void) {
  knows_its_states();
  counts_memory();
  keeps_to_its_limit();
  seeds_differ();
  finds_what_is_built_in();
  adopts_a_state();
  workers_exit();
  copies_part_ways();
  finalizes_at_the_end_of_the_process();
  return 0;
}
