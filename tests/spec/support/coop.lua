-- SPDX-License-Identifier: MIT
-- What the specs of locks and queues need of a scheduler: that of module `async` where it is there, or a small one.
local has_async, async = pcall(require, "async")
local mini = not has_async and require "tests.spec.support.mini_scheduler"

local coop = {}

coop.run = has_async and async.run or mini.run
coop.spawn = has_async and async.create_task or mini.spawn
coop.checkpoint = has_async and async.checkpoint or mini.checkpoint

-- A request: the task gets the signal where it waits next.
function coop.cancel(task)
  if has_async then task:cancel() else mini.cancel(task) end
end

-- "pending" until it has ended, then "done", "failed" or "cancelled".
function coop.state(task)
  local state = has_async and task:state() or task.state
  return state == "running" and "pending" or state
end

-- Waits for a task: its values, or its error.
function coop.join(task)
  if has_async then return task:result() end
  return mini.join(task)
end

-- Lets the others run n times.
function coop.turns(n)
  for _ = 1, n or 5 do coop.checkpoint() end
end

-- Runs fn as a task with a scheduler that raises the cancellation signal also in a wait that has been served; and with
-- one that leaves it to the next wait.
function coop.run_both(fn)
  for _, lenient in ipairs { false, true } do
    if mini then mini.lenient = lenient end
    coop.run(fn)
  end
end

-- What these specs are about, as it stands in module `async`.
coop.async = {}
for _, name in ipairs { "async.sync", "async.queue", "async.channel" } do
  for key, value in pairs(require(name)) do coop.async[key] = value end
end

return coop
