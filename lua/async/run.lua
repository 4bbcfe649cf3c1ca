-- SPDX-License-Identifier: MIT
-- Running a main task to its end: run, runner, and what becomes of tasks at the end of the program.
local bridge = require "async.bridge"
local core = require "parhost.core.task"
local dispatch = require "futures.dispatch"
local dump = require "async.dump"
local errors = require "futures.error"
local exit = require "parhost.exit"
local host = require "parhost.core.host"
local loop = require "parhost.core.loop"
local options = require "parhost.options"
local scope = require "async.scope"
local task = require "async.task"

local run = {}

local OPTIONS <const> = {
  name = { "string" },
  debug = { "boolean", default = false },
  clock = { "one_of", "real", "virtual", default = "real" },
  slow_step = { "number", above = 0, default = 1.0 },
  shutdown_timeout = { "number", min = 0, default = 30 },
}

local Runner = { __name = "parhost.Runner" }
Runner.__index = Runner

local function new_runner(given, name)
  local how = options.check(OPTIONS, given == nil and {} or given, 1, name)
  return setmetatable({ how = how, root = core.open_root(), closed = false }, Runner)
end

function run.runner(given)
  return new_runner(given, "runner")
end

local function refuse(name, message, state)
  error(errors.new("invalid_state", name .. ": " .. message, { state = state }), 0)
end

-- Turning the loop -------------------------------------------------------------------------------------------

-- After a stop request, once the tasks have had their chance: a word on how many are still there.
local function announce(self)
  if self.announced or not core.stop_taken() then return end
  self.announced = true
  if not select(3, core.stop_taken()) then return end
  loop.step(loop.now())
  dispatch.flush()
  exit.announce()
end

-- One round of the loop, for the sake of `subject`. Gives something when the states of this process wait for each other.
local function turn(self, subject)
  local stuck = loop.step(nil, true, subject)
  dispatch.flush()
  announce(self)
  return stuck
end

local function drive(self, main)
  while not main:_ready() do
    if (not loop.alive() or turn(self, main)) and not core.throw(main, dump.deadlock()) then
      error(dump.deadlock(), 0)
    end
  end
end

-- What the end of a run waits for.
local rest = {}
function rest._describe() return "the tasks that a run has left" end

local function end_leftovers(self)
  if core.empty(self.root) then return end
  core.cancel(self.root, "shutdown", "the end of the run")
  local stuck
  while not stuck and not core.empty(self.root) and loop.alive() do stuck = turn(self, rest) end
  if not core.empty(self.root) then warn("parhost: tasks are left that nothing can wake: " .. dump.text()) end
end

local innermost -- the runner that runs

-- For the exit sequence, which may come in the middle of a run, and in a task that calls os.exit.
local leftovers = {}
function leftovers._count() return core.others() end

local GRACE <const> = 5

-- A program that creates tasks and then just ends does nothing: it should hear of that.
local function warn_of_unbegun()
  local n, name = 0, nil
  for _, t in ipairs(core.all()) do
    if core.describe(t) == "new" and not t:cancelling() then n, name = n + 1, name or t:name() end
  end
  if n == 0 then return end
  local what = n == 1 and "%s has never begun" or "%s and %d more have never begun"
  warn("parhost: " .. what:format(name, n - 1) .. ": nothing was waited for behind create_task (see async.run)")
end

function leftovers._at_exit(_, mode)
  if mode == "normal" and not innermost then warn_of_unbegun() end
  local deadline = loop.now() + (mode == "normal" and OPTIONS.shutdown_timeout.default or GRACE)
  core.cancel_all()
  while core.others() > 0 and loop.alive() and loop.now() < deadline do
    loop.step(deadline)
    dispatch.flush()
  end
end

exit.add(leftovers)

-- run --------------------------------------------------------------------------------------------------------

local leave = { __close = function(guard)
  innermost = guard.outer
  dump.watch(innermost and innermost.how.slow_step)
  core.watch_quit(innermost ~= nil)
  guard.runner.clock = core.leave_run(guard.below)
  guard.runner.running = false
end }

local function enter(self, main)
  local guard = { runner = self, outer = innermost }
  guard.below = core.enter_run(self.root, main, self.how.clock == "virtual", self.how.debug, self.clock)
  innermost = self
  core.watch_quit(true)
  dump.watch(self.how.slow_step)
  self.running, self.announced = true, false
  return setmetatable(guard, leave)
end

-- What the main task ended with. A stop request that cancelled it goes on, to unwind the program.
local function outcome_of(main)
  local taken, counts = core.stop_taken()
  if taken and counts and main:cancelled() then
    local err = select(2, main:outcome())
    scope.raise_signal(host.signal(err.source, err.reason))
  end
  return main:result()
end

local function run_main(self, last, fn, ...)
  local main = core.spawn(self.root, true, true, fn, ...)
  if self.how.name then main:set_name(self.how.name) end
  local _ <close> = enter(self, main)
  core.release(main)
  drive(self, main)
  if last then
    end_leftovers(self)
    bridge.shutdown(self.how.shutdown_timeout)
  end
  return outcome_of(main)
end

local function check_start(self, name, fn)
  if self.closed then refuse(name, "the runner is closed", "closed") end
  local inside, above = core.is_running()
  if task.current() or inside then
    refuse(name, "cannot be called from a running loop (call the function itself, or create a task)", "running")
  end
  if above and (self.how.clock == "virtual" or innermost.how.clock == "virtual") then
    refuse(name, "a task that a waiting worker runs has no virtual clock of its own", "running")
  end
  scope.check_function(fn, 1, name)
end

function Runner:run(fn, ...)
  check_start(self, "run", fn)
  return run_main(self, false, fn, ...)
end

local function nothing() end

-- Cancels and awaits what the runs have left.
function Runner:close()
  if self.closed then return end
  if self.running then refuse("close", "the runner is running", "running") end
  run_main(self, true, nothing)
  self.closed = true
  core.abandon(self.root)
end

Runner.__close = Runner.close

function Runner:__gc()
  if not self.closed and not core.empty(self.root) then warn("parhost: a runner was never closed") end
end

-- run([options,] fn, ...): the values of fn, which runs as a task, or its error.
function run.run(first, ...)
  local given, fn = nil, first
  if type(first) == "table" and getmetatable(first) == nil then given, fn = first, (...) end
  local self = new_runner(given, "run")
  check_start(self, "run", fn)
  self.closed = true
  if given then return run_main(self, true, ...) end
  return run_main(self, true, fn, ...)
end

return run
