-- SPDX-License-Identifier: MIT
-- Who calls: the task that runs, or plain code (outside of tasks there is one thread of execution only).
local has_tasks, core = pcall(require, "parhost.core.task")

local caller = {}

local PLAIN <const> = setmetatable({}, { __tostring = function() return "plain code" end })

local current = has_tasks and core.current or function() end

function caller.current()
  return current() or PLAIN
end

-- Raises the cancellation signal when the task that runs has been cancelled.
caller.check_cancelled = has_tasks and core.check_cancelled or function() end

return caller
