/* SPDX-License-Identifier: MIT
 * vm/cancel.c and vm/protect.c: stop requests by a signal handler, at any moment; parking through generators. */
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"
#include "vm/vm.h"

static void on_alarm(int number) {
  (void)number;
  ph_vm_interrupt(ph_vm_current, PH_STOP_EXPLICIT);
}

static void interrupt_after(long us) {
  struct itimerval timer = {{0, 0}, {0, us}};
  CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static struct ph_vm *open_vm(bool level_triggered) {
  const struct ph_vm_options options = {0};
  struct ph_vm *vm = ph_vm_open(&options);
  CHECK(vm != NULL);
  vm->level_triggered = level_triggered;
  return vm;
}

/* Runs what loops for ever until the alarm stops it. */
static void run_until_stopped(struct ph_vm *vm, const char *text, long us) {
  lua_State *L = vm->L;
  lua_Hook hook = lua_gethook(L); /* none, but for builds with ThreadSanitizer */
  CHECK(luaL_loadstring(L, text) == LUA_OK);
  interrupt_after(us);
  CHECK(ph_vm_call(L, 0, 0) == LUA_ERRRUN);
  CHECK(ph_cancel_is(L, -2) && lua_isnil(L, -1));
  lua_getfield(L, -2, "source");
  CHECK(strcmp(lua_tostring(L, -1), "explicit") == 0);
  lua_settop(L, 0);
  CHECK(vm->running == L && lua_gethook(L) == hook && !vm->armed);
}

static const char *const loops[] = {
    "while true do end",
    "while true do pcall(math.abs, 1) end",
    "local function f() pcall(f) error 'x' end while true do pcall(pcall, f) end",
    "while true do xpcall(error, function(e) return e end) end",
    "while true do coroutine.wrap(function() for i = 1, 10 do coroutine.yield(i) end end)() end",
    "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
    "local co = coroutine.wrap(function() while true do pcall(coroutine.yield) end end) while true do pcall(co) end",
    ("local function nest(n) if n == 0 then for i = 1, 50 do coroutine.yield(i) end return end "
     "for i in coroutine.wrap(nest), n - 1 do coroutine.yield(i) end end "
     "while true do for _ in coroutine.wrap(function() nest(5) end) do end end"),
    ("while true do local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() "
     "for i = 1, 20 do end end}) coroutine.yield() end) coroutine.resume(co) coroutine.close(co) end"),
    "while true do load(function() return nil end) end",
    "while true do string.gsub('abcabc', '.', function(c) return c end) end",
};

/* At many different moments of each loop: none may be lost. */
static void stops_everything(void) {
  struct ph_vm *vm = open_vm(false);
  for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
    for (long us = 50; us < 2000; us += 37) run_until_stopped(vm, loops[i], us);
  }
  ph_vm_close(vm);
}

static void stays_pending_in_workers(void) {
  struct ph_vm *vm = open_vm(true);
  lua_State *L = vm->L;
  run_until_stopped(vm, "while true do end", 200);
  CHECK(ph_vm_stop_pending(vm));
  for (int i = 0; i < 2; i++) {
    CHECK(luaL_loadstring(L, "require('parhost.core.host').check_cancelled()") == LUA_OK);
    CHECK(ph_vm_call(L, 0, 0) == LUA_ERRRUN && ph_cancel_is(L, -2));
    lua_settop(L, 0);
  }
  CHECK(luaL_dostring(L, "for i = 1, 1e5 do pcall(math.abs, i) end") == LUA_OK);
  ph_vm_clear_stop(vm);
  CHECK(luaL_dostring(L, "require('parhost.core.host').check_cancelled()") == LUA_OK);
  ph_vm_close(vm);
}

static void is_raised_once_elsewhere(void) {
  struct ph_vm *vm = open_vm(false);
  ph_vm_interrupt(vm, PH_STOP_SIGNAL);
  ph_vm_interrupt(vm, PH_STOP_DEADLINE); /* the first counts */
  CHECK(luaL_loadstring(vm->L, "local x = 1") == LUA_OK);
  CHECK(ph_vm_call(vm->L, 0, 0) == LUA_ERRRUN);
  lua_getfield(vm->L, -2, "source");
  CHECK(strcmp(lua_tostring(vm->L, -1), "signal") == 0);
  CHECK(!ph_vm_stop_pending(vm));
  CHECK(luaL_dostring(vm->L, "require('parhost.core.host').check_cancelled()") == LUA_OK);
  ph_vm_close(vm);
}

static void can_be_cleared_before_it_is_raised(void) {
  struct ph_vm *vm = open_vm(true);
  ph_vm_interrupt(vm, PH_STOP_EXPLICIT);
  ph_vm_clear_stop(vm);
  CHECK(luaL_dostring(vm->L, "for i = 1, 100 do end") == LUA_OK);
  ph_vm_close(vm);
}

static int interrupt(lua_State *L) {
  ph_vm_interrupt(ph_vm_of(L), PH_STOP_EXPLICIT);
  lua_settop(L, 1);
  return 1;
}

/* Runs the text as if it stood in that file; it may call interrupt(value). */
static int run_interrupted(struct ph_vm *vm, const char *text, const char *chunkname) {
  lua_pushcfunction(vm->L, interrupt);
  lua_setglobal(vm->L, "interrupt");
  CHECK(luaL_loadbuffer(vm->L, text, strlen(text), chunkname) == LUA_OK);
  return ph_vm_call(vm->L, 0, 0);
}

/* What a call gives can become a <close> variable. */
static void leaves_time_for_close_variables(void) {
  struct ph_vm *vm = open_vm(false);
  const char *const texts[] = {
      "local x <close> = interrupt(closable)",
      "local x <close>, y = interrupt(closable)",
      "local x <const>, y <close> = 1, interrupt(\n\n closable\n\n)",
      "local function f() return interrupt(closable) end local x <close> = f()",
  };
  CHECK(luaL_dostring(vm->L, "closable = setmetatable({}, {__close = function() closed = true end})") == LUA_OK);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    CHECK(run_interrupted(vm, texts[i], "=text") == LUA_ERRRUN);
    CHECK(ph_cancel_is(vm->L, -2));
    CHECK(luaL_dostring(vm->L, "assert(closed) closed = false") == LUA_OK);
  }
  ph_vm_close(vm);
}

/* Our own modules go on to where they come back to the program. */
static void spares_built_in_modules(void) {
  struct ph_vm *vm = open_vm(false);
  static const char text[] = "interrupt() for i = 1, 100 do math.abs(i) end done = true";
  CHECK(run_interrupted(vm, text, "@lua/parhost/block.lua") == LUA_OK);
  CHECK(luaL_loadstring(vm->L, "local x = 1") == LUA_OK);
  CHECK(ph_vm_call(vm->L, 0, 0) == LUA_ERRRUN && ph_cancel_is(vm->L, -2));
  CHECK(luaL_dostring(vm->L, "assert(done) done = nil") == LUA_OK);
  CHECK(run_interrupted(vm, text, "@lua/parhost/no_such.lua") == LUA_ERRRUN);
  CHECK(run_interrupted(vm, text, "@lua/cli/prompt.lua") == LUA_ERRRUN);
  CHECK(luaL_dostring(vm->L, "assert(not done)") == LUA_OK);
  ph_vm_close(vm);
}

static void ends_a_wait(void) {
  struct ph_vm *vm = open_vm(false);
  uint64_t count = 0;
  int fd = eventfd(0, EFD_NONBLOCK);
  vm->wake_fd = fd;
  ph_vm_interrupt(vm, PH_STOP_EXPLICIT);
  CHECK(read(fd, &count, sizeof count) == sizeof count && count == 1);
  vm->wake_fd = -1;
  close(fd);
  ph_vm_close(vm);
}

/* park(...) as a scheduler's sleep would: gives what it was called with. */
static int unpark(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  if (!ph_vm_unpark(L)) return luaL_error(L, "cannot park here");
  return lua_gettop(L);
}

static int park(lua_State *L) {
  return ph_vm_park(L, unpark);
}

static int resume(struct ph_vm *vm, lua_State *task, int nargs, int *n) {
  ph_vm_switch(vm, vm->L, task);
  int status = lua_resume(task, vm->L, nargs, n);
  ph_vm_switch(vm, task, vm->L);
  return status;
}

static void parks_through_generators(void) {
  struct ph_vm *vm = open_vm(false);
  lua_State *L = vm->L, *task = lua_newthread(L);
  lua_pushcfunction(L, park);
  lua_setglobal(L, "park");
  CHECK(luaL_loadstring(
            task, "local got = {}\n"
                  "local function note(...) got[#got + 1] = table.concat({...}, ',') end\n"
                  "for a, b in coroutine.wrap(function()\n"
                  "  note('outer', park('one'))\n"
                  "  local co = coroutine.create(function(x) note('inner', x, pcall(park, 'two') and 1) return 'r' end)\n"
                  "  note(tostring(select(2, coroutine.resume(co, 'arg'))), coroutine.status(co))\n"
                  "  coroutine.yield('value', 2)\n"
                  "end) do note(a, b) end\n"
                  "return table.concat(got, ';')") == LUA_OK);
  int n;
  CHECK(resume(vm, task, 0, &n) == LUA_YIELD && n == 0 && lua_touserdata(task, 1) == &ph_vm_park_key);
  CHECK(resume(vm, task, 0, &n) == LUA_YIELD && n == 0 && lua_touserdata(task, 1) == &ph_vm_park_key);
  CHECK(resume(vm, task, 0, &n) == LUA_OK && n == 1);
  CHECK(strcmp(lua_tostring(task, -1), "outer,one;inner,arg,1;r,dead;value,2") == 0);
  CHECK(vm->running == L);
  ph_vm_close(vm);
}

/* Where C code is in the way, the parking coroutine hears of it. */
static void refuses_to_park_across_c(void) {
  struct ph_vm *vm = open_vm(false);
  lua_State *L = vm->L, *task = lua_newthread(L);
  lua_pushcfunction(L, park);
  lua_setglobal(L, "park");
  CHECK(luaL_loadstring(task, "return select(2, pcall(string.gsub, 'x', '.', coroutine.wrap(function() park() end)))") ==
        LUA_OK);
  int n;
  CHECK(resume(vm, task, 0, &n) == LUA_OK && n == 1);
  CHECK(strstr(lua_tostring(task, -1), "cannot park here") != NULL);
  ph_vm_close(vm);
}

int main(void) {
  struct sigaction action = {.sa_handler = on_alarm};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  stops_everything();
  stays_pending_in_workers();
  is_raised_once_elsewhere();
  can_be_cleared_before_it_is_raised();
  leaves_time_for_close_variables();
  spares_built_in_modules();
  ends_a_wait();
  parks_through_generators();
  refuses_to_park_across_c();
  return 0;
}
