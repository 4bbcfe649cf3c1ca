-- SPDX-License-Identifier: MIT
-- A line of waiters: whoever must wait joins at its end, whoever has something to give serves its head. All
-- primitives of this folder wait here and nowhere else.
--
-- A waiter is a subject of block.wait, one small table, linked both ways: joining, serving and leaving take
-- constant time, and one who has left leaves nothing behind. It is served at most once. When it runs it accepts what it
-- was served with: line.accept(owner, result). If an error (the cancellation signal) comes before or in that, it gives
-- it back: line.give_back(owner, result).
--
-- RESULT   nil while it waits; then what it was served with, never nil
-- OWNER    on whose behalf it waits: a task, a handle
-- VALUE    what it brings along
local block = require "parhost.block"
local caller = require "async.caller"
local errors = require "futures.error"
local host = require "parhost.core.host"

local LINE <const>, BEFORE <const>, BEHIND <const>, WATCHER <const> = 1, 2, 3, 4
local RESULT <const>, OWNER <const>, VALUE <const> = 5, 6, 7

local setmetatable = setmetatable
local wait, check_cancelled = block.wait, caller.check_cancelled
local catch, is_signal, raise_signal = host.catch, host.is_signal, host.raise_signal

local Line = { OWNER = OWNER, VALUE = VALUE }
Line.__index = Line

local Waiter = {}
Waiter.__index = Waiter

-- `what` is waited for, in messages. give_back and accept are optional.
function Line.new(what, owner, give_back, accept)
  return setmetatable({ what = what, owner = owner, give_back = give_back, accept = accept, size = 0 }, Line)
end

local function append(line, owner, value)
  local last = line.last
  local waiter = setmetatable({ line, last, nil, nil, nil, owner, value }, Waiter)
  if last then last[BEHIND] = waiter else line.first = waiter end
  line.last = waiter
  line.size = line.size + 1
  return waiter
end

local function unlink(line, waiter)
  local before, behind = waiter[BEFORE], waiter[BEHIND]
  if before then before[BEHIND] = behind else line.first = behind end
  if behind then behind[BEFORE] = before else line.last = before end
  waiter[BEFORE], waiter[BEHIND] = nil, nil
  line.size = line.size - 1
end

function Waiter:_ready() return self[RESULT] ~= nil end
function Waiter:_watch(watcher) self[WATCHER] = watcher end
function Waiter:_unwatch() self[WATCHER] = nil end
function Waiter:_describe() return self[LINE].what end

function Waiter:__close(err)
  local line, result = self[LINE], self[RESULT]
  if result == nil then
    unlink(line, self)
  elseif err ~= nil and line.give_back then
    line.give_back(line.owner, result)
  end
end

-- One whom a cancellation does not reach.
local Masked = { _masked = true }
for name, method in pairs(Waiter) do Masked[name] = method end
Masked.__index = Masked

-- Serves one waiter, wherever it stands.
function Line:serve_one(waiter, result)
  unlink(self, waiter)
  waiter[RESULT] = result
  local watcher = waiter[WATCHER]
  if watcher then watcher:_settled(waiter) end
end

-- Serves the head. Gives the waiter, nil when nobody waits.
function Line:serve(result)
  local waiter = self.first
  if waiter then self:serve_one(waiter, result) end
  return waiter
end

-- Serves all; when `owner` is given, those who wait on its behalf.
function Line:serve_all(result, owner)
  local waiter = self.first
  while waiter do
    local behind = waiter[BEHIND]
    if owner == nil or waiter[OWNER] == owner then self:serve_one(waiter, result) end
    waiter = behind
  end
end

-- Raises what host.catch has caught.
function Line.raise_again(err)
  if is_signal(err) then raise_signal(err) end
  error(err, 0)
end

-- Joins, and waits until served: the result, or what `accept` makes of it; nil when the deadline has passed before.
-- Raises `deadlock` and, within a task, the cancellation signal.
function Line:wait(deadline, owner)
  local waiter <close> = append(self, owner)
  local _, err = wait(waiter, deadline)
  local result, accept = waiter[RESULT], self.accept
  if result == nil then
    if err then error(err, 0) end
    return nil
  end
  check_cancelled() -- it may have come after the serving
  if accept then return accept(self.owner, result) end
  return result
end

-- The same, but cannot be cancelled, and has no deadline.
function Line:wait_masked(owner)
  local waiter <close> = setmetatable(append(self, owner), Masked)
  local _, err = wait(waiter)
  if err then error(err, 0) end
end

-- The same with something to give, which is gone once served with `taken`: a signal that comes after that is left to
-- the next wait, so that an error always means that nothing was given.
function Line:wait_giving(deadline, owner, value, taken)
  local waiter <close> = append(self, owner, value)
  local ok, ready, err = catch(wait, waiter, deadline)
  local result = waiter[RESULT]
  if result == taken then return result end
  if not ok then Line.raise_again(ready) end
  if err and result == nil then error(err, 0) end
  return result, waiter[VALUE]
end

-- Raises a timeout: "<what> within 0.5 s".
function Line.time_out(what, seconds)
  local limit = seconds > 0 and (" within %s s"):format(errors.seconds_text(seconds)) or ""
  error(errors.new("timeout", what .. limit, { seconds = seconds }), 0)
end

return Line
