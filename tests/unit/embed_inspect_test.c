/* SPDX-License-Identifier: MIT
 * Programs that embed parhost, and `parhost ps`: nothing unless they ask for it. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "embed_support.h"

/* A worker of the program asks the program itself. */
static const char asking[] =
    "local core = require 'parhost.core.inspect'\n"
    "local pid = require('parhost.core.host').pid()\n"
    "function name()\n"
    "  for line in io.lines '/proc/net/unix' do\n"
    "    local name = line:match((' 00010000 .*@(parhost%%.%d%%..*)$'):format(pid))\n"
    "    if name then return name end\n"
    "  end\n"
    "end\n"
    "function ask(name, seconds) return require 'parhost.core.inspect'.ask(name, 'tree', seconds) end\n";

static bool has_handler(int number) {
  struct sigaction action;
  CHECK(sigaction(number, NULL, &action) == 0);
  return action.sa_handler != SIG_DFL;
}

static void nobody_is_asked_by_default(void) {
  lua_State *L = new_state();
  must_run(L, asking);
  must_run(L, "local pool <close> = require 'thread_pool'.new(1)\n"
              "assert(pool:submit(math.max, 1, 2):result() == 2)\n"
              "require 'async'.run(function() end)\n"
              "assert(name() == nil)");
  CHECK(!has_handler(SIGRTMIN + 1));
  parhost_close(L, PARHOST_WAIT);
}

static void answers_when_it_waits_and_when_it_runs(void) {
  lua_State *L = new_state();
  must_run(L, asking);
  must_run(L, "pool = require 'thread_pool'.new { max_workers = 1, name = 'p' }");
  CHECK(has_handler(SIGRTMIN + 1));
  must_run(L, "local text = pool:submit(ask, name(), 20):result()\n"
              "assert(text:find('\"name\":\"p\"', 1, true) and text:find('test:1', 1, true), text)");
  must_run(L, "local f = pool:submit(ask, name(), 20)\n"
              "while not f:done() do end\n"
              "assert(f:result():find('\"at\":\"test:2\"', 1, true), f:result())");
  must_run(L, "local loop = pool:submit(function() while true do end end)\n"
              "local text\n"
              "repeat text = ask(name(), 0.001) until text == nil\n" /* the only one who could answer asks */
              "loop:cancel { force = true, grace = 0.1 }");
  must_run(L, "gone = name()");
  parhost_close(L, PARHOST_CANCEL);
}

/* A tool with a loop of its own answers in its steps. */
static void answers_in_steps(void) {
  lua_State *L = new_state();
  must_run(L, asking);
  must_run(L, "pool = require 'thread_pool'.new { max_workers = 1, name = 'p' } future = pool:submit(ask, name(), 20)");
  CHECK(parhost_fd(L) >= 0);
  double limit = now() + 20;
  while (parhost_pending(L) && now() < limit) CHECK(parhost_step(L) == PARHOST_OK);
  must_run(L, "assert(future:result():find('\"name\":\"p\"', 1, true))");
  parhost_close(L, PARHOST_WAIT);
}

static void nothing_is_left(void) {
  lua_State *L = new_state();
  must_run(L, asking);
  must_run(L, "assert(name() == nil)");
  parhost_close(L, PARHOST_WAIT);
  raise(SIGRTMIN + 1); /* nobody to ask any more */
}

int main(void) {
  nobody_is_asked_by_default();
  CHECK(parhost_set_inspect_signal(0) == -1 && errno == EINVAL);
  CHECK(parhost_set_inspect_signal(SIGSTOP) == -1 && errno == EINVAL);
  CHECK(parhost_set_inspect_signal(SIGRTMIN + 1) == 0);
  answers_when_it_waits_and_when_it_runs();
  answers_in_steps();
  nothing_is_left();
  parhost_finish();
  return 0;
}
