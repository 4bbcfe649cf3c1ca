/* SPDX-License-Identifier: MIT
 * parhost.h in a program with an event loop of its own: descriptor, timeout, step. */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "embed_support.h"

static bool is_done(lua_State *L) {
  lua_getglobal(L, "done");
  CHECK(parhost_call(L, 0, 1) == PARHOST_OK);
  bool done = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return done;
}

/* Steps until the function `done` of the state gives true. */
static void drive_until_done(lua_State *L) {
  double end = now() + 30;
  struct pollfd fd = {.fd = parhost_fd(L), .events = POLLIN};
  for (;;) {
    CHECK(now() < end);
    CHECK(parhost_step(L) == PARHOST_OK);
    if (is_done(L)) return;
    CHECK(parhost_step(L) == PARHOST_OK);
    double left = parhost_timeout(L);
    poll(&fd, 1, left < 0 ? 5000 : (int)(left * 1000) + 1);
  }
}

static void is_driven(void) {
  lua_State *L = new_state();
  CHECK(parhost_step(L) == PARHOST_OK && parhost_pending(L) == 0 && parhost_timeout(L) < 0);
  must_run(L, "local async = require 'async'\n"
              "local function slow(n) require 'async'.sleep(0.02) return n end\n"
              "n, sum = 0, 0\n"
              "for _, kind in ipairs { 'proc_pool', 'thread_pool' } do\n"
              "  local pool = require(kind).new(2)\n"
              "  for i = 1, 5 do\n"
              "    pool:submit(slow, i):add_done_callback(function(f) n, sum = n + 1, sum + f:result() end)\n"
              "  end\n"
              "end\n"
              "for i = 1, 5 do\n"
              "  async.create_task(function()\n"
              "    async.sleep(0.01 * i)\n"
              "    local length = #async.run_process { 'echo', '1234' }.stdout\n"
              "    sum = sum + length\n"
              "    n = n + 1\n"
              "  end)\n"
              "end\n"
              "function done() return n == 15 end");
  CHECK(parhost_pending(L) == 1 && parhost_timeout(L) == 0);
  drive_until_done(L);
  must_run(L, "assert(sum == 55)");
  CHECK(parhost_step(L) == PARHOST_OK && parhost_pending(L) == 0);

  /* code that waits by itself in between, and steps again */
  must_run(L, "local pool = require 'thread_pool'.new(1)\n"
              "assert(pool:submit(math.abs, -1):result() == 1)\n"
              "n = 0 pool:submit(math.abs, -2):add_done_callback(function() n = 15 end)");
  drive_until_done(L);
  parhost_close(L, PARHOST_WAIT);
}

/* Sleeps on the descriptor alone. */
static void follow_descriptor(lua_State *L) {
  struct pollfd fd = {.fd = parhost_fd(L), .events = POLLIN};
  while (!is_done(L)) {
    CHECK(parhost_step(L) == PARHOST_OK);
    if (parhost_timeout(L) != 0 && !is_done(L)) {
      CHECK(parhost_step(L) == PARHOST_OK);
      CHECK(parhost_timeout(L) == 0 || !parhost_pending(L) || poll(&fd, 1, 20000) == 1);
    }
  }
}

/* Everything that a step is for makes the descriptor readable. */
static void rings(void) {
  lua_State *L = new_state();
  struct pollfd fd = {.fd = parhost_fd(L), .events = POLLIN};
  CHECK(fd.fd >= 0 && parhost_fd(L) == fd.fd && poll(&fd, 1, 0) == 0);
  must_run(L, "local f = require('thread_pool').new(1):submit(math.abs, -1) function done() return f:done() end");
  follow_descriptor(L);

  must_run(L, "local woken = false function done() return woken end\n"
              "require('async').create_task(function() require('async').sleep(0.02) woken = true end)");
  CHECK(parhost_step(L) == PARHOST_OK && parhost_timeout(L) <= 0.02);
  follow_descriptor(L);

  while (parhost_timeout(L) == 0 || poll(&fd, 1, 0) == 1) CHECK(parhost_step(L) == PARHOST_OK);
  parhost_interrupt(parhost_vm(L));
  CHECK(poll(&fd, 1, 20000) == 1 && parhost_step(L) == PARHOST_STOPPED && parhost_step(L) == PARHOST_OK);
  parhost_close(L, PARHOST_WAIT);
}

int main(void) {
  CHECK(parhost_start(NULL, 0) == 0);
  is_driven();
  rings();
  parhost_finish();
  CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
  return 0;
}
