-- SPDX-License-Identifier: MIT
-- Tasks: futures that run in this state. What runs when, and who is cancelled, is known in C
-- (src/lib/sched.h); here are a task's methods, how it settles, and how it waits.
--
-- Slots beyond those of futures: while a task is unsettled VALUE holds its C side and COUNT its function or
-- coroutine; NUMBER counts the tasks of the state.
local block = require "parhost.block"
local check = require "parhost.check"
local core = require "parhost.core.task"
local core_pool = require "parhost.core.pool"
local dispatch = require "futures.dispatch"
local errors = require "futures.error"
local future = require "futures.future"
local host = require "parhost.core.host"
local loop = require "parhost.core.loop"
local options = require "parhost.options"
local trace = require "futures.trace"

local STATE <const>, VALUE <const>, COUNT <const>, NUMBER <const> = 1, 2, 3, 5
local RUNNING <const>, DONE <const>, FAILED <const>, CANCELLED <const> = 2, 3, 4, 5
local NAMES <const> = { "pending", "running", "done", "failed", "cancelled" }

local current, park = core.current, core.park

-- `policy`: what C calls, see src/lib/task.h.
local task = { current = current, policy = {} }
local SETTLE <const>, SLEEP <const>, CREATED <const> = 1, 5, 6

local Task = core.Task
for key, value in pairs(future.Future) do Task[key] = value end
Task.__index = Task
Task.__name = "parhost.Task"
Task._abandon = false
Task._settled = core.wake -- what it waited for is ready
future.kinds[Task] = true
task.Task = Task

local names = setmetatable({}, { __mode = "k" })
local sites = setmetatable({}, { __mode = "k" }) -- with debug = true: where tasks were created
core.set_names(names, sites)

local function check_self(self, name)
  if getmetatable(self) ~= Task then check.bad_self(name, "parhost.Task", self) end
end

function task.check_string(value, n, name)
  if type(value) ~= "string" then check.expected(n, name, "string", value) end
end

-- Methods ---------------------------------------------------------------------------------------------------

local CANCEL_OPTIONS <const> = {
  reason = { "string" },
  force = { "boolean" },
  grace = { "number", min = 0 },
}

-- A request: the next parking call of the task raises the signal. A task always takes it, so `force` and
-- `grace` say nothing more here.
function Task:cancel(given)
  check_self(self, "cancel")
  local how = given ~= nil and options.check(CANCEL_OPTIONS, given, 1, "cancel")
  local state = self[STATE]
  if state > RUNNING then
    if state == FAILED then future.looked_at(self) end
    return state == CANCELLED
  end
  core.cancel(self, "explicit", how and how.reason)
  return true
end

local function state_of(self, name)
  check_self(self, name)
  return self[STATE]
end

function Task:done() return state_of(self, "done") > RUNNING end
function Task:running() return state_of(self, "running") == RUNNING end
function Task:cancelled() return state_of(self, "cancelled") == CANCELLED end
function Task:state() return NAMES[state_of(self, "state")] end

function Task:cancelling()
  return state_of(self, "cancelling") <= RUNNING and core.cancelling(self)
end

function Task:name()
  check_self(self, "name")
  return names[self] or ("task-%d"):format(self[NUMBER])
end

function Task:set_name(name)
  check_self(self, "set_name")
  task.check_string(name, 1, "set_name")
  names[self] = name
end

-- The task that waits for this one in its task group; nil when there is none, or it has ended.
function Task:parent()
  return state_of(self, "parent") <= RUNNING and core.owner(self) or nil
end

-- Where it is parked; where it raised its error; where it was when it was cancelled.
function Task:traceback()
  local state = state_of(self, "traceback")
  if state <= RUNNING then return (select(2, core.describe(self))) end
  if state == CANCELLED then return self[VALUE].traceback end
  if state == DONE then return nil end
  future.looked_at(self)
  return self[COUNT].traceback
end

local function refuse_settling(name)
  return function(self)
    check_self(self, name)
    local state = NAMES[self[STATE]]
    error(errors.new("invalid_state", ("%s: %s ends by itself"):format(name, self:name()), { state = state }), 0)
  end
end

for _, name in ipairs { "set_result", "set_error", "set_running_or_notify_cancel" } do
  Task[name] = refuse_settling(name)
end

-- Settling --------------------------------------------------------------------------------------------------

local function cancelled_error(signal, traceback)
  local reason = signal.reason
  return errors.new("cancelled", reason and "cancelled: " .. tostring(reason) or "the task was cancelled",
    { reason = reason, source = signal.source, traceback = traceback })
end

task.policy[SETTLE] = function(self, state, ...)
  if state == DONE then return future.settle.done(self, ...) end
  local err, traceback = ...
  if state == CANCELLED then return future.settle.cancelled(self, cancelled_error(err, traceback)) end
  future.settle.failed(self, err, trace.chain(err, traceback), { task = self:name(), submitted = sites[self] })
end

task.policy[CREATED] = function(self)
  sites[self] = check.caller_position():gsub(": $", "")
end

function task.site(self)
  return sites[self]
end

-- Creating --------------------------------------------------------------------------------------------------

local TASK_OPTIONS <const> = {
  name = { "string" },
  eager = { "boolean", default = false },
  start_on_cancel = { "boolean", default = false },
}
task.OPTIONS = TASK_OPTIONS

-- For create_task(fn, ...) with options; `box`: the scope it belongs to, nil for that of the run.
function task.create(box, how, name, fn, ...)
  if type(fn) ~= "function" then check.expected(1, name, "function", fn) end
  local t = core.spawn(box, how.start_on_cancel, true, fn, ...)
  names[t] = how.name
  return t
end

function task.start(t, how)
  if how.eager then core.start_now(t) else core.release(t) end
  return t
end

-- Waiting ---------------------------------------------------------------------------------------------------

local function deadlock(subject, me)
  local what = subject == me and "itself" or subject._describe and subject:_describe() or errors.text(subject)
  return errors.new("deadlock", ("%s waits for %s"):format(me:name(), what))
end

local function raise(err)
  if host.is_signal(err) then host.raise_signal(err) end
  error(err, 0)
end

-- The deadline has passed already: asks once.
local function poll(subject)
  if not subject._masked then core.check_cancelled() end
  core_pool.drain()
  dispatch.flush()
  return subject:_ready()
end

local function stop_watching(subject, me)
  if subject._watch then subject:_unwatch(me) end
end

-- Parks the task that runs, if one does: block.set_parker.
local function park_until(subject, deadline)
  local me = current()
  if not me then return false end
  if subject == me then return true, nil, deadlock(subject, me) end
  if deadline and deadline <= loop.now() then return true, poll(subject) end
  local masked, polls, lively = subject._masked, not subject._watch, subject._lively
  if not polls then subject:_watch(me) end
  repeat
    local woken, err = park(deadline, masked, polls, lively)
    if woken == nil then
      stop_watching(subject, me)
      if subject._abandon and host.is_signal(err) then subject:_abandon() end
      raise(err)
    end
    local ready = subject:_ready()
  until ready or not woken
  stop_watching(subject, me)
  return true, subject:_ready()
end

block.set_parker(park_until)

-- Ready when its time has come, and by nothing else.
local Sleep = { _lively = true, _timed = true }
function Sleep._ready() return false end
function Sleep._watch() end
function Sleep._unwatch() end

task.policy[SLEEP] = function(seconds)
  local deadline = block.deadline(seconds)
  if seconds <= 0 then
    block.poll()
    loop.step(0)
    dispatch.flush()
  else
    block.wait(Sleep, deadline)
  end
end

function task.sleep_until(when)
  check.seconds(when, 1, "sleep_until")
  if when == nil then check.expected(1, "sleep_until", "number", when) end
  core.sleep(when - loop.now())
end

-- In plain code this waits for Ctrl-C.
function task.sleep_forever()
  core.sleep(math.huge)
end

-- Calls fn(...) in a task: the one that runs, or else a fresh one that is waited for.
function task.inside(fn, ...)
  if current() then return fn(...) end
  return core.create_task(fn, ...):result()
end

return task
