-- SPDX-License-Identifier: MIT
-- Cancel scopes: time limits, scopes that are cancelled by hand, shields. What unwinds through a scope that alone was
-- cancelled ends there: `timeout` turns it into an error, as __close cannot swallow it; the function forms
-- just return.
local block = require "parhost.block"
local check = require "parhost.check"
local core = require "parhost.core.task"
local errors = require "futures.error"
local future = require "futures.future"
local host = require "parhost.core.host"
local loop = require "parhost.core.loop"
local options = require "parhost.options"
local task = require "async.task"

local scope = {}

local is_signal, raise_signal = host.is_signal, host.raise_signal
local inside = task.inside

local function check_function(fn, n, name)
  if type(fn) ~= "function" then check.expected(n, name, "function", fn) end
end

function scope.check_task(name)
  if not task.current() then
    local message = ("%s: no task runs here (see async.run)"):format(name)
    error(errors.new("invalid_state", message, { state = "no task" }), 0)
  end
end

local function open()
  return core.open(false, true)
end

-- timeout ---------------------------------------------------------------------------------------------------

local Timeout = { __name = "parhost.Timeout" }
Timeout.__index = Timeout

local function state_of(self)
  if self.state then return self.state end
  return core.source(self.box) == "deadline" and "expiring" or "active"
end

local function new_timeout(name, seconds, when)
  scope.check_task(name)
  local self = setmetatable({ box = open(), seconds = seconds, at = when }, Timeout)
  core.deadline(self.box, when)
  return self
end

-- Sets a new limit, in seconds from now; nil: none.
function Timeout:reschedule(seconds)
  check.seconds(seconds, 1, "reschedule")
  local state = state_of(self)
  if state ~= "active" then
    error(errors.new("invalid_state", ("reschedule: the timeout is %s"):format(state), { state = state }), 0)
  end
  self.seconds, self.at = seconds, block.deadline(seconds)
  core.deadline(self.box, self.at)
end

function Timeout:when() return self.at end
function Timeout:expired() return core.source(self.box) == "deadline" or self.state == "expired" end

function Timeout:__tostring()
  return ("%s: %p state=%s"):format(Timeout.__name, self, state_of(self))
end

-- `traceback`: where it was waited in vain, if that is known.
local function timeout_error(seconds, traceback)
  local limit = seconds and ("the time limit of %s s has passed"):format(errors.seconds_text(seconds))
  return errors.new("timeout", limit or "the deadline has passed", { seconds = seconds, traceback = traceback })
end

function Timeout:__close(err)
  if self.state then return end
  local _, owner = core.is_open(self.box)
  if owner ~= task.current() then check.misuse("a timeout is closed outside of the task that opened it") end
  local expired = core.source(self.box) == "deadline"
  local own = core.close(self.box)
  self.state = expired and "expired" or "finished"
  if not expired or err == nil then return end
  if not is_signal(err) then
    if type(err) == "table" and rawget(err, "cause") == nil then rawset(err, "cause", timeout_error(self.seconds)) end
  elseif own then
    error(timeout_error(self.seconds, core.trace_of(err)), 0)
  end
end

function scope.timeout(seconds)
  check.seconds(seconds, 1, "timeout")
  return new_timeout("timeout", seconds, block.deadline(seconds))
end

-- The same with an absolute time, as async.time() counts.
function scope.timeout_at(when)
  check.seconds(when, 1, "timeout_at")
  return new_timeout("timeout_at", when and math.max(when - loop.now(), 0), when)
end

-- Function forms --------------------------------------------------------------------------------------------

local function leave(box, ok, ...)
  local own = core.close(box)
  if ok then return true, ... end
  if own then return false end
  raise_signal((...))
end

local function move_on_after(seconds, fn, ...)
  local box <close> = open()
  core.deadline(box, block.deadline(seconds))
  return leave(box, core.catch(fn, ...))
end

-- true, values...; or false when the time was up.
function scope.move_on_after(seconds, fn, ...)
  check.seconds(seconds, 1, "move_on_after")
  check_function(fn, 2, "move_on_after")
  return inside(move_on_after, seconds, fn, ...)
end

local Scope = { __name = "parhost.Scope" }
Scope.__index = Scope

-- Cancels what runs in it. False when that has been done, or it has been left.
function Scope:cancel(reason)
  if reason ~= nil then task.check_string(reason, 1, "cancel") end
  return core.cancel(self.box, "explicit", reason) or false
end

function Scope:cancelled() return core.source(self.box) ~= nil end

local function run_scope(fn, ...)
  local box <close> = open()
  return leave(box, core.catch(fn, setmetatable({ box = box }, Scope), ...))
end

-- fn(scope, ...): true, values...; or false when the scope was cancelled.
function scope.scope(fn, ...)
  check_function(fn, 1, "scope")
  return inside(run_scope, fn, ...)
end

-- true, values...; or false, { source =, reason = } when fn was unwound by a cancellation. That goes on being raised by
-- parking calls, until its scope is left.
function scope.catch_cancelled(fn, ...)
  check_function(fn, 1, "catch_cancelled")
  return core.catch(fn, ...)
end

-- Shields ---------------------------------------------------------------------------------------------------

-- Waits for a future without owning it.
local Borrowed = {}
Borrowed.__index = Borrowed
function Borrowed:_ready() return self.future:_ready() end
function Borrowed:_watch(watcher) self.future:_watch(watcher) end
function Borrowed:_unwatch(watcher) self.future:_unwatch(watcher) end
function Borrowed:_describe() return errors.text(self.future) end

local function borrow(f, timeout)
  local ready, err = block.wait(setmetatable({ future = f }, Borrowed), block.deadline(timeout))
  if err then error(err, 0) end
  if not ready then error(timeout_error(timeout), 0) end
  return f:result()
end

local function protect(timeout, fn, ...)
  if not task.current() then return fn(...) end
  local box <close> = open()
  core.shield(box)
  core.deadline(box, block.deadline(timeout))
  return fn(...)
end

local SHIELD <const> = { timeout = { "number" } }

-- shield([{ timeout = },] fn, ...): what is cancelled further out is not in fn, for that many seconds at most.
-- shield(future): waits for it; when the waiter is cancelled, the future is not.
function scope.shield(first, ...)
  if type(first) == "function" then return protect(nil, first, ...) end
  if future.is_future(first) then return borrow(first) end
  if type(first) ~= "table" then check.expected(1, "shield", "function, future or table of options", first) end
  local how = options.check(SHIELD, first, 1, "shield")
  local second = ...
  if future.is_future(second) then return borrow(second, how.timeout) end
  check_function(second, 2, "shield")
  return protect(how.timeout, ...)
end

-- wait_for --------------------------------------------------------------------------------------------------

-- A wait that cancellation cannot end.
local Settled = { _masked = true, _describe = Borrowed._describe, _ready = Borrowed._ready,
                  _watch = Borrowed._watch, _unwatch = Borrowed._unwatch }
Settled.__index = Settled

-- Cancels a future and waits for its end, come what may.
function scope.stop(f, reason)
  if f:_ready() then return end
  f:cancel { force = true, reason = reason }
  local _, err = block.wait(setmetatable({ future = f }, Settled))
  if err then error(err, 0) end
end

local function wait_for_future(f, seconds)
  local ready = f:wait(seconds)
  if not ready then
    scope.stop(f, "wait_for: the time was up")
    if f:state() == "cancelled" then
      if task.current() then core.check_cancelled() end -- a cancellation that came meanwhile goes first
      error(timeout_error(seconds), 0)
    end
  end
  return f:result()
end

local stop_unless_done = { __close = function(guard) scope.stop(guard[1], "wait_for was cancelled") end }

local function own_future(f, seconds)
  local _ <close> = setmetatable({ f }, stop_unless_done)
  return wait_for_future(f, seconds)
end

local function in_time(seconds, ok, ...)
  if ok then return ... end
  error(timeout_error(seconds), 0)
end

-- The values of a function or a future, or an error of kind `timeout`; the function or future is cancelled then, and waited
-- for. nil: no limit.
function scope.wait_for(what, seconds, ...)
  local is_future = future.is_future(what)
  if not is_future and type(what) ~= "function" then check.expected(1, "wait_for", "function or future", what) end
  check.seconds(seconds, 2, "wait_for")
  if is_future then return own_future(what, seconds) end
  return in_time(seconds, inside(move_on_after, seconds, what, ...))
end

scope.is_signal, scope.raise_signal = is_signal, raise_signal
scope.check_function = check_function

return scope
