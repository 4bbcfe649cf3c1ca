/* SPDX-License-Identifier: MIT
 * parhost.h in a program that has states, threads, signals and children of its own. */
#include "parhost.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "embed_support.h"

/* --- helpers ---------------------------------------------------------------------------------------------- */

static lua_State *own_state(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  CHECK(parhost_open(L) == PARHOST_OK && lua_gettop(L) == 0);
  return L;
}

static const char all_kinds[] =
    "local async, proc_pool, thread_pool = require 'async', require 'proc_pool', require 'thread_pool'\n"
    "local function square(n) return n * n end\n"
    "local p <close> = proc_pool.new(2)\n"
    "local t <close> = thread_pool.new(2)\n"
    "local sum = async.run(function()\n"
    "  local list = {}\n"
    "  for i = 1, 20 do list[i] = (i % 2 == 0 and p or t):submit(square, i) end\n"
    "  local sum = 0\n"
    "  for _, n in ipairs(async.gather(list)) do sum = sum + n end\n"
    "  async.sleep(0.001)\n"
    "  return sum\n"
    "end)\n"
    "assert(sum == 2870)\n";

/* --- states ----------------------------------------------------------------------------------------------- */

/* A state that parhost_open has not seen, or has refused. */
static void refuses_to_run(lua_State *L) {
  CHECK(run(L, "return 1") == PARHOST_FAILED && lua_gettop(L) == 2);
  CHECK(strstr(lua_tostring(L, -1), "parhost_open comes first") != NULL);
  lua_pushinteger(L, 7);
  CHECK(parhost_call(L, 1, 1) == PARHOST_FAILED && lua_gettop(L) == 3 && lua_rawequal(L, 1, -1));
  CHECK(parhost_step(L) == PARHOST_FAILED && parhost_pending(L) == 0 && parhost_fd(L) == -1 && parhost_timeout(L) < 0);
  parhost_interrupt(parhost_vm(L));
  parhost_shutdown(L, PARHOST_WAIT);
}

static void opens_states_of_others(void) {
  lua_State *L = own_state();
  CHECK(parhost_open(L) == PARHOST_OK);
  must_run(L, all_kinds);
  lua_close(L);

  L = luaL_newstate();
  CHECK(parhost_open(L) == PARHOST_FAILED && lua_gettop(L) == 2);
  CHECK(strcmp(lua_tostring(L, -1), "the state has no base library: call luaL_openlibs first") == 0);
  luaL_requiref(L, LUA_GNAME, luaopen_base, 1);
  CHECK(parhost_open(L) == PARHOST_FAILED && strcmp(lua_tostring(L, -1), "the state has no library 'package'") == 0);
  CHECK(parhost_vm(L) == NULL);
  lua_settop(L, 0);
  refuses_to_run(L);
  lua_close(L);
}

static void closes_with_work_pending(void) {
  static const char start[] = "pending = {}\n"
                              "local function forever() while true do require('parhost').check_cancelled() end end\n"
                              "for i, kind in ipairs { 'proc_pool', 'thread_pool' } do\n"
                              "  local pool = require(kind).new(2)\n"
                              "  for _ = 1, 10 do pending[#pending + 1] = pool:submit(forever) end\n"
                              "  while pool:stats().running < 2 do end\n"
                              "end\n"
                              "require('async').create_task(require('async').sleep, 1000)\n";
  double before = now();
  for (int i = 0; i < 3; i++) {
    lua_State *L = i == 0 ? own_state() : new_state();
    must_run(L, start);
    CHECK(parhost_pending(L) == 1);
    if (i == 2) CHECK(parhost_fd(L) >= 0 && parhost_step(L) == PARHOST_OK);
    lua_close(L);
  }
  CHECK(now() - before < 20);
}

static void ends_in_order(void) {
  lua_State *L = new_state();
  must_run(L, "done = 0 order = ''\n"
              "local pool = require('thread_pool').new(1)\n"
              "for _ = 1, 5 do\n"
              "  pool:submit(math.abs, -1):add_done_callback(function(f) done = done + f:result() end)\n"
              "end\n"
              "require('parhost').on_exit(function() order = order .. 'a' end)\n"
              "require('parhost').on_exit(function() order = order .. 'b' error 'is a warning' end)\n"
              "the_pool = pool");
  parhost_shutdown(L, PARHOST_WAIT);
  parhost_shutdown(L, PARHOST_WAIT);
  must_run(L, "assert(done == 5 and order == 'ba')\n"
              "local ok, e = pcall(the_pool.submit, the_pool, print) assert(not ok and e.kind == 'shutdown')\n"
              "ok, e = pcall(require('proc_pool').new) assert(not ok and e.kind == 'shutdown')");
  CHECK(parhost_pending(L) == 0);
  parhost_close(L, PARHOST_CANCEL);
}

static void *use_a_state(void *arg) {
  lua_State *L = *(int *)arg % 2 == 0 ? new_state() : own_state();
  for (int i = 0; i < 3; i++) must_run(L, all_kinds);
  parhost_close(L, PARHOST_WAIT);
  return NULL;
}

static void serves_several_threads(void) {
  enum { N = 4 };
  pthread_t threads[N];
  int numbers[N];
  for (int i = 0; i < N; i++) {
    numbers[i] = i;
    CHECK(pthread_create(&threads[i], NULL, use_a_state, &numbers[i]) == 0);
  }
  for (int i = 0; i < N; i++) pthread_join(threads[i], NULL);
}

/* --- errors, exits ---------------------------------------------------------------------------------------- */

static void tells_of_errors(void) {
  const char *args[] = {"one", "two"};
  lua_State *L = new_state();
  CHECK(parhost_run_string(L, "assert(... == 'one' and arg[2] == 'two' and arg[0] == '=test' and #arg == 2)", "=test", 2,
                           args) == PARHOST_OK);
  CHECK(run(L, "local t = setmetatable({}, {__tostring = function() return 'mine' end}) value = t error(t)") ==
        PARHOST_FAILED);
  CHECK(strcmp(lua_tostring(L, -1), "mine") == 0 && lua_getglobal(L, "value") && lua_rawequal(L, -1, -3));
  lua_settop(L, 0);
  CHECK(run(L, "error()") == PARHOST_FAILED && lua_isnil(L, -2));
  CHECK(strncmp(lua_tostring(L, -1), "(error object is a nil value)\nstack traceback:\n", 47) == 0);
  lua_settop(L, 0);
  CHECK(run(L, "x =") == PARHOST_FAILED && strstr(lua_tostring(L, -1), "test:1: unexpected symbol near <eof>") != NULL);
  lua_settop(L, 0);
  CHECK(run(L, "require('proc_pool').new(1):submit(error, 'over there'):result()") == PARHOST_FAILED);
  CHECK(strcmp(lua_tostring(L, -2), "over there") == 0);
  CHECK(strstr(lua_tostring(L, -1), "\nworker stack traceback:\n") != NULL);
  lua_settop(L, 0);

  lua_pushinteger(L, 42); /* what was there stays there */
  CHECK(luaL_loadstring(L, "return ...") == LUA_OK);
  lua_pushinteger(L, 7);
  lua_pushinteger(L, 8);
  CHECK(parhost_call(L, 2, LUA_MULTRET) == PARHOST_OK && lua_gettop(L) == 3 && lua_tointeger(L, 3) == 8);
  parhost_close(L, PARHOST_WAIT);
}

static void assert_exit(lua_State *L, const char *code, int expected) {
  CHECK(run(L, code) == PARHOST_EXITED && lua_gettop(L) == 1 && lua_tointeger(L, 1) == expected);
  lua_settop(L, 0);
}

static void unwinds_at_os_exit(void) {
  lua_State *L = new_state();
  assert_exit(L, "os.exit(3)", 3);
  assert_exit(
      L,
      "local c <close> = setmetatable({}, {__close = function() closed = true end}) while true do pcall(os.exit, false) end",
      1);
  must_run(L, "assert(closed)");
  assert_exit(L, "coroutine.wrap(function() os.exit(true, true) end)()", 0);
  assert_exit(L, "require('async').run(function() pcall(os.exit, 9) end)", 9);
  assert_exit(L,
              "local async = require('async')\n"
              "async.run(function()\n"
              "  local tg <close> = async.task_group()\n"
              "  tg:create_task(function() os.exit(11) end)\n"
              "  tg:create_task(async.sleep, 1000)\n"
              "end)",
              11);
  CHECK(run(L, "os.exit('x')") == PARHOST_FAILED);
  lua_settop(L, 0);
  must_run(L, "require('async').create_task(os.exit, 12)"); /* of plain code: runs in a step */
  CHECK(parhost_step(L) == PARHOST_EXITED && lua_tointeger(L, -1) == 12);
  lua_settop(L, 0);
  must_run(L, all_kinds);
  parhost_close(L, PARHOST_WAIT);
}

/* --- what the program has for itself ---------------------------------------------------------------------- */

static void get_handlers(struct sigaction handlers[NSIG]) {
  memset(handlers, 0, NSIG * sizeof *handlers);
  for (int n = 1; n < NSIG; n++) sigaction(n, NULL, &handlers[n]);
}

static const char everything[] = "local async, thread_pool = require 'async', require 'thread_pool'\n"
                                 "local t <close> = thread_pool.new { max_workers = 2, grace = 0.05 }\n"
                                 "t:submit(error, 'nobody looks'):wait()\n"
                                 "assert(t:submit(async.sleep, 0):outcome())\n"
                                 "local inline <close> = thread_pool.new { inline = true }\n"
                                 "assert(inline:submit(math.abs, -1):result() == 1)\n"
                                 "async.run({ slow_step = 0.01 }, function()\n"
                                 "  async.create_task(error, 'nobody awaits')\n"
                                 "  local clock = os.clock()\n"
                                 "  while os.clock() < clock + 0.03 do end\n"
                                 "  async.sleep(0)\n"
                                 "end)\n"
                                 "pcall(require 'http'.get, 'http://127.0.0.1:1/', { timeout = 1 })\n"
                                 "async.run_process { 'true' }\n"
                                 "require 'parhost'.on_exit(function() error 'in a hook' end)\n"
                                 "require 'proc_pool'.new(1):submit(error, 'nobody')\n";

/* Runs `everything` with stdout and stderr in a file; gives how much was written. */
static off_t measure_output(void) {
  int out = dup(1), err = dup(2);
  char name[] = "/tmp/embed_test.XXXXXX";
  int file = mkstemp(name);
  unlink(name);
  fflush(NULL);
  dup2(file, 1);
  dup2(file, 2);
  lua_State *L = new_state();
  int status = run(L, everything);
  parhost_close(L, PARHOST_WAIT);
  fflush(NULL);
  off_t written = lseek(file, 0, SEEK_END);
  dup2(out, 1);
  dup2(err, 2);
  close(out);
  close(err);
  close(file);
  CHECK(status == PARHOST_OK);
  return written;
}

static void touches_nothing_of_the_programs(void) {
  static struct sigaction before[NSIG], after[NSIG];
  get_handlers(before);
  CHECK(measure_output() == 0);
  get_handlers(after);
  for (int n = 1; n < NSIG; n++)
    CHECK(before[n].sa_handler == after[n].sa_handler && before[n].sa_flags == after[n].sa_flags);
}

/* Without a signal, tasks in threads stop at what parhost does for them. */
static void stops_threads_without_signal(void) {
  lua_State *L = new_state();
  must_run(L, "local parhost, async = require 'parhost', require 'async'\n"
              "local pool <close> = require 'thread_pool'.new { max_workers = 1, grace = 30 }\n"
              "local function look() while true do parhost.check_cancelled() end end\n"
              "local function sleep() async.sleep(1000) end\n"
              "local function run() async.run(async.sleep, 1000) end\n"
              "for _, fn in ipairs { look, sleep, run } do\n"
              "  local start = parhost.monotonic()\n"
              "  local f = pool:submit(fn)\n"
              "  while not f:running() do end\n"
              "  assert(f:cancel { force = true })\n"
              "  assert(f:wait(20) and f:cancelled() and parhost.monotonic() - start < 20)\n"
              "  f = pool:with { timeout = 0.01 }:submit(fn)\n"
              "  assert(f:error(20).kind == 'timeout')\n"
              "  assert(pool:submit(math.abs, -1):result() == 1 and pool:stats().abandoned == 0)\n"
              "end");
  parhost_close(L, PARHOST_WAIT);
}

/* A copy of the program: the state is there, pools and tasks stay with the original. */
static void survives_a_fork_of_the_programs(void) {
#if !defined __SANITIZE_THREAD__ && !defined __SANITIZE_ADDRESS__ /* whose allocator's locks may be held in the copy */
  int status;
  lua_State *L = new_state();
  must_run(L, "pool = require('thread_pool').new(1) procs = require('proc_pool').new(1)\n"
              "f = pool:submit(math.abs, -5) procs:submit(math.abs, -5):result()");
  CHECK(parhost_fd(L) >= 0);
  pid_t pid = fork();
  if (pid == 0) {
    CHECK(parhost_step(L) == PARHOST_OK);
    CHECK(run(L, "assert(1 + 1 == 2) return require('parhost').cpu_count()") == PARHOST_OK);
    CHECK(run(L, "require('async').run(require('async').sleep, 0.001)") == PARHOST_OK);
    parhost_close(L, PARHOST_WAIT);
    parhost_finish();
    _exit(33);
  }
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 33);
  must_run(L, "assert(f:result() == 5 and procs:submit(math.abs, -6):result() == 6)");
  parhost_close(L, PARHOST_WAIT);
#endif
}

/* --- interrupts ------------------------------------------------------------------------------------------- */

#ifndef __SANITIZE_THREAD__
static struct parhost_vm *to_interrupt;

static void on_alarm(int number) {
  (void)number;
  parhost_interrupt(to_interrupt);
}

static void interrupt_soon(lua_State *L) {
  const struct itimerval soon = {{0, 0}, {0, 30000}};
  to_interrupt = parhost_vm(L);
  signal(SIGALRM, on_alarm);
  setitimer(ITIMER_REAL, &soon, NULL);
}
#endif

static void stops_what_runs(void) {
#ifndef __SANITIZE_THREAD__ /* signals do not get through to Lua code */
  static const char *const codes[] = {
      "while true do end",
      "while true do pcall(error) end",
      "local f = require('thread_pool').new { max_workers = 1, grace = 0.1 }:submit(function() while true do "
      "require('parhost').check_cancelled() end "
      "end)\n"
      "f:result()",
      "require('async').sleep(1000)",
      "require('async').run(require('async').sleep, 1000)",
      "coroutine.wrap(function() while true do end end)()",
  };
  lua_State *L = new_state();
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    interrupt_soon(L);
    CHECK(run(L, codes[i]) == PARHOST_STOPPED && lua_gettop(L) == 0);
    must_run(L, "assert(1 + 1 == 2)");
  }
  parhost_interrupt(parhost_vm(L)); /* for what comes next */
  CHECK(parhost_fd(L) >= 0 && run(L, "while true do end") == PARHOST_STOPPED);
  parhost_close(L, PARHOST_CANCEL);
#endif
}

/* --- the process ------------------------------------------------------------------------------------------ */

static int twice(lua_State *L) {
  lua_pushinteger(L, 2 * luaL_checkinteger(L, 1));
  return 1;
}

static int add_twice(lua_State *L) {
  const int *factor = lua_touserdata(L, 1);
  if (factor != NULL) CHECK(*factor == 2);
  lua_register(L, "twice", twice);
  return 0;
}

static void has_functions_in_workers(void) {
  lua_State *L = new_state();
  CHECK(add_twice(L) == 0);
  must_run(L, "local function task(n) return twice(n) end\n"
              "for _, kind in ipairs { 'proc_pool', 'thread_pool' } do\n"
              "  for _, inline in ipairs { false, true } do\n"
              "    local pool <close> = require(kind).new { max_workers = 1, inline = inline }\n"
              "    assert(pool:submit(task, 4):result() == 8 and pool:submit(twice, 5):result() == 10)\n"
              "  end\n"
              "end\n"
              "local function nested(task)\n"
              "  local pool <close> = require('thread_pool').new(1)\n"
              "  return pool:submit(task, 6):result()\n"
              "end\n"
              "local pool <close> = require('proc_pool').new(1)\n"
              "assert(pool:submit(nested, task):result() == 12)");
  parhost_close(L, PARHOST_WAIT);
}

static void starts_and_ends(void) {
  char error[100] = "x";
  static const int factor = 2;
  CHECK(strcmp(parhost_version(), PH_VERSION) == 0);
  CHECK(parhost_set_workers(-1) == -1 && parhost_set_workers(100000) == -1 && parhost_set_workers(3) == 0);
  CHECK(parhost_set_stop_signal(SIGKILL) == -1 && errno == EINVAL && parhost_set_stop_signal(999) == -1);
  CHECK(parhost_set_stop_signal(0) == -1);
  CHECK(parhost_on_worker(add_twice, (void *)(uintptr_t)&factor) == 0);
  CHECK(parhost_start(error, sizeof error) == 0 && error[0] == '\0' && parhost_start(NULL, 0) == 0);
  CHECK(parhost_on_worker(NULL, NULL) == -1);
  lua_State *L = new_state();
  must_run(
      L,
      "local pool <close> = require('thread_pool').new() assert(pool:stats() and tostring(pool):find '3 workers at most')");
  parhost_close(L, PARHOST_WAIT);
#ifndef __SANITIZE_THREAD__ /* which has a thread of its own from the first one of ours on */
  parhost_finish();
  parhost_finish();
  CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
  CHECK(parhost_start(NULL, 0) == 0);
#endif
}

int main(void) {
  starts_and_ends();
  opens_states_of_others();
  tells_of_errors();
  unwinds_at_os_exit();
  closes_with_work_pending();
  ends_in_order();
  touches_nothing_of_the_programs();
  stops_threads_without_signal();
  survives_a_fork_of_the_programs();
  stops_what_runs();
  has_functions_in_workers();
  serves_several_threads();
  parhost_finish();
  CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
  return 0;
}
