-- SPDX-License-Identifier: MIT
-- Who calls: the running task, or plain code (outside of tasks there is one thread of execution only).
local loaded = package.loaded

local caller = {}

local PLAIN <const> = setmetatable({}, { __tostring = function() return "plain code" end })

-- Without the module there is no task.
local function current_task()
  local task = loaded["async.task"]
  return task and task.current()
end

function caller.current()
  return current_task() or PLAIN
end

-- Calls fn(...) so that the task's cancellation does not reach it.
function caller.shielded(fn, ...)
  if not current_task() then return fn(...) end
  return loaded["async.task"].shield(fn, ...)
end

-- Raises the cancellation signal when the running task has been cancelled.
function caller.check_cancelled()
  if current_task() then loaded["async.task"].check_cancelled() end
end

return caller
