-- SPDX-License-Identifier: MIT
-- A small scheduler in place of parhost.core.task, to drive every interleaving by hand: tasks are coroutines, resumed
-- first in first out. A cancelled task gets the signal at its next wait, also in one that has been served already;
-- unless mini.lenient is set: then that wait ends well, and the next one raises.
local block = require "parhost.block"
local host = require "parhost.core.host"
local loop = require "parhost.core.loop"

local mini = {}

local Task = {}
Task.__index = Task

local current
local ready, first, last = {}, 1, 0
local all = {}

local function make_ready(task)
  if task.is_ready or task.state ~= "pending" then return end
  task.is_ready = true
  last = last + 1
  ready[last] = task
end

function Task:_settled() make_ready(self) end

local function check_cancelled()
  if current and current.cancel_asked then
    host.raise_signal(host.signal("explicit", "by the spec"))
  end
end

local function park(masked, is_served)
  if not masked then check_cancelled() end
  current.masked = masked
  coroutine.yield()
  current.masked = nil
  if not masked and not (mini.lenient and is_served()) then check_cancelled() end
end

local Parked = {}
function Parked:__close() self.subject:_unwatch(self.task) end

local function parker(subject, deadline)
  if not current then return false end
  local task = current
  subject:_watch(task)
  local _ <close> = setmetatable({ subject = subject, task = task }, Parked)
  task.deadline = deadline
  local function is_ready() return subject:_ready() end
  repeat park(subject._masked, is_ready) until is_ready() or deadline and host.monotonic() >= deadline
  task.deadline = nil
  return true, subject:_ready()
end

local function finish(task, ok, ...)
  task.values = table.pack(...)
  task.state = ok and "done" or host.is_signal(...) and "cancelled" or "failed"
  all[task] = nil
end

function mini.spawn(fn, ...)
  local task = setmetatable({ state = "pending" }, Task)
  local arguments = table.pack(...)
  task.thread = coroutine.create(function()
    finish(task, host.catch(fn, table.unpack(arguments, 1, arguments.n)))
  end)
  all[task] = true
  make_ready(task)
  return task
end

local function step(task)
  task.is_ready = false
  if task.state ~= "pending" then return end
  current = task
  if task.cancel_asked and not task.started then
    finish(task, false, host.signal("explicit"))
  else
    task.started = true
    assert(coroutine.resume(task.thread))
  end
  current = nil
end

-- The task with the nearest deadline.
local function nearest()
  local found
  for task in pairs(all) do
    if task.deadline and (not found or task.deadline < found.deadline) then found = task end
  end
  return found
end

local function turn()
  if first <= last then
    local task = ready[first]
    ready[first] = nil
    first = first + 1
    return step(task)
  end
  local sleeper = nearest()
  if not sleeper then error("every task waits, and nothing is left that could wake one", 0) end
  loop.step(sleeper.deadline)
  if host.monotonic() >= sleeper.deadline then make_ready(sleeper) end
end

local function run_until_ended(task)
  while task.state == "pending" do turn() end
end

-- Runs fn(...) as a task until it has ended; what is left then is cancelled and awaited.
function mini.run(fn, ...)
  block.set_parker(parker)
  local _ <close> = setmetatable({}, { __close = function() block.set_parker(nil) end })
  local main = mini.spawn(fn, ...)
  run_until_ended(main)
  local left = {}
  for task in pairs(all) do left[#left + 1] = task end
  for _, task in ipairs(left) do mini.cancel(task) end
  for _, task in ipairs(left) do run_until_ended(task) end
  if main.state ~= "done" then error(main.values[1], 0) end
  return table.unpack(main.values, 1, main.values.n)
end

function mini.cancel(task)
  if task.state ~= "pending" then return end
  task.cancel_asked = true
  if not task.masked then make_ready(task) end
end

-- Lets the others run once.
function mini.checkpoint()
  check_cancelled()
  make_ready(current)
  park(false, function() return false end)
end

-- "pending", "done", "failed" or "cancelled".
function mini.state(task) return task.state end

-- Waits for a task: its values, or its error.
function mini.join(task)
  while task.state == "pending" do mini.checkpoint() end
  if task.state ~= "done" then error(task.values[1], 0) end
  return table.unpack(task.values, 1, task.values.n)
end

package.loaded["parhost.core.task"] = {
  current = function() return current end,
  check_cancelled = check_cancelled,
}

return mini
