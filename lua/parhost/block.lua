-- SPDX-License-Identifier: MIT
-- The one wait primitive. A subject is what is waited for: a table with
--   subject:_ready()            -> boolean
--   subject:_watch(watcher)     (optional) watcher:_settled(subject) is called when it gets ready
--   subject:_unwatch(watcher)   takes that back
--   subject:_abandon()          (optional) called when a task stops waiting because it was cancelled
--   subject._lively             true when it can get ready by itself: no deadlock then
--   subject._timed              true when it gets ready by time alone: a worker thread runs no tasks of others meanwhile
--   subject._pool               (optional) the core of a pool: ready when that has nothing left to do; with _for_room, when
--                               its queue has room
--   subject._masked             true when a task's wait for it cannot be cancelled
-- In plain code a wait runs this state's own loop until the subject is ready; inside a task it parks the
-- task.
local check = require "parhost.check"
local core = require "parhost.core.pool"
local dispatch = require "futures.dispatch"
local errors = require "futures.error"
local loop = require "parhost.core.loop"

local block = {}

local now = loop.now
local drain, step, alive = core.drain, loop.step, loop.alive
local flush = dispatch.flush
local parker

-- The time by which deadlines count, in seconds.
block.now = now

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
  return now() + seconds
end

-- `tasks`: who waits for what, a line each, or nil.
local function deadlock(subject, tasks)
  local what = subject._describe and subject:_describe() or errors.text(subject)
  local message = ("waiting for %s, and nothing is left that could end this wait"):format(what)
  if tasks then message = ("%s: %s"):format(message, tasks:gsub("\n", ", ")) end
  return errors.new("deadlock", message, { tasks = tasks })
end

-- Watches a subject for plain code: the loop comes back when it may be ready.
local stirrer = { _settled = loop.stir }

local function run_loop(subject, deadline, patient)
  drain()
  flush()
  while not subject:_ready() do
    if deadline then
      if now() >= deadline then return false end
    elseif not subject._lively and not alive() then
      return nil, deadlock(subject)
    end
    local tasks = step(deadline, patient, subject)
    if tasks then return nil, deadlock(subject, tasks) end
    flush()
  end
  return true
end

-- Waits until the subject is ready (true) or the deadline has passed (false). nil and an error object when
-- nothing could ever wake this wait.
function block.wait(subject, deadline)
  if subject:_ready() then return true end
  if not parker then return run_loop(subject, deadline, false) end
  local handled, ready, err = parker(subject, deadline)
  if handled then return ready, err end
  local watch = subject._watch
  if watch then subject:_watch(stirrer) end
  ready, err = run_loop(subject, deadline, watch ~= nil)
  if watch then subject:_unwatch(stirrer) end
  return ready, err
end

return block
