-- SPDX-License-Identifier: MIT
-- The one wait primitive. A subject is what is waited for: a table with
--   subject:_ready()            -> boolean
--   subject:_watch(watcher)     (optional) watcher:_settled(subject) is called when it gets ready
--   subject:_unwatch(watcher)   takes that back
--   subject._lively             true when it can get ready by itself: no deadlock then
-- In plain code a wait runs this state's own loop until the subject is ready; inside a task it parks the
-- task.
local check = require "parhost.check"
local core = require "parhost.core.pool"
local dispatch = require "futures.dispatch"
local errors = require "futures.error"
local host = require "parhost.core.host"
local loop = require "parhost.core.loop"

local block = {}

local monotonic = host.monotonic
local drain, step, alive = core.drain, loop.step, loop.alive
local flush = dispatch.flush
local parker

core.set_deliver(function(sink, tag, status, ...)
  sink:_deliver(tag, status, ...)
end)

-- parker(subject, deadline) -> handled, ready: consulted before every wait.
function block.set_parker(fn)
  parker = fn
end

-- Delivers what is ready and runs the callbacks. Never sleeps.
function block.poll()
  drain()
  flush()
end

-- The absolute deadline for argument #n of the function `name`, nil for none.
function block.deadline(seconds, n, name)
  if seconds == nil then return nil end
  check.seconds(seconds, n, name)
  if seconds == math.huge then return nil end
  return monotonic() + seconds
end

-- `tasks`: who waits for what, a line each, or nil.
local function deadlock(subject, tasks)
  local what = subject._describe and subject:_describe() or errors.text(subject)
  local message = ("waiting for %s, and nothing is left that could end this wait"):format(what)
  if tasks then message = ("%s: %s"):format(message, tasks:gsub("\n", ", ")) end
  return errors.new("deadlock", message, { tasks = tasks })
end

-- Waits until the subject is ready (true) or the deadline has passed (false). nil and an error object when
-- nothing could ever wake this wait.
function block.wait(subject, deadline)
  if subject:_ready() then return true end
  if parker then
    local handled, ready, err = parker(subject, deadline)
    if handled then return ready, err end
  end
  drain()
  flush()
  while not subject:_ready() do
    if deadline then
      if monotonic() >= deadline then return false end
    elseif not subject._lively and not alive() then
      return nil, deadlock(subject)
    end
    local tasks = step(deadline, subject)
    if tasks then return nil, deadlock(subject, tasks) end
    flush()
  end
  return true
end

return block
