-- SPDX-License-Identifier: MIT
-- Locks and conditions. A lock is handed over: whoever releases it gives it to the first in line, so that nobody can
-- overtake, not even the one who releases.
local block = require "parhost.block"
local caller = require "async.caller"
local check = require "parhost.check"
local errors = require "futures.error"
local guard = require "async.guard"
local host = require "parhost.core.host"
local Line = require "async.line"

local catch = host.catch
local current = caller.current
local getmetatable = getmetatable

local lock = {}

local OWNER <const> = Line.OWNER
local SERVED <const> = true

-- Lock ------------------------------------------------------------------------------------------------------

-- owner: a task, or what stands for plain code; nil: free, and then nobody waits.
local Lock = { __name = "parhost.Lock" }
Lock.__index = Lock

local function pass_on(self)
  local waiter = self.line:serve(SERVED)
  self.owner = waiter and waiter[OWNER]
end

function lock.lock()
  local self = setmetatable({ owner = nil }, Lock)
  self.line = Line.new("a lock", self, pass_on)
  return self
end


local function invalid_state(state, message, ...)
  error(errors.new("invalid_state", message:format(...), { state = state }), 0)
end

local function shown(owner)
  return type(owner.name) == "function" and ("task '%s'"):format(owner:name()) or errors.text(owner)
end

local function check_owned(self, name)
  local owner = self.owner
  if owner == current() then return end
  if owner == nil then invalid_state("unlocked", "%s: the lock is not locked", name) end
  invalid_state("locked", "%s: the lock is held by %s", name, shown(owner))
end

local function acquire(self, name, timeout)
  local deadline = block.deadline(timeout, 1, name)
  local me = current()
  if self.owner == nil then
    self.owner = me
  elseif self.owner == me then
    invalid_state("locked", "%s: %s holds the lock already, and would wait for itself", name, shown(me))
  elseif not self.line:wait(deadline, me) then
    Line.time_out("the lock was not free", timeout)
  end
end

function Lock:acquire(timeout)
  check.self(self, Lock, "acquire")
  acquire(self, "acquire", timeout)
  return true
end

function Lock:try_acquire()
  check.self(self, Lock, "try_acquire")
  if self.owner ~= nil then return false end
  self.owner = current()
  return true
end

function Lock:release()
  check.self(self, Lock, "release")
  check_owned(self, "release")
  pass_on(self)
end

function Lock:locked()
  check.self(self, Lock, "locked")
  return self.owner ~= nil
end

function Lock:guard(timeout)
  check.self(self, Lock, "guard")
  acquire(self, "guard", timeout)
  return guard.of(self)
end

function Lock:__tostring()
  local state = self.owner == nil and "unlocked" or ("locked waiting=%d"):format(self.line.size)
  return ("parhost.Lock: %p %s"):format(self, state)
end

-- Condition -------------------------------------------------------------------------------------------------

local Condition = { __name = "parhost.Condition" }
Condition.__index = Condition

local function serve_next(self)
  self.line:serve(SERVED)
end

function lock.condition(given)
  if given ~= nil and getmetatable(given) ~= Lock then check.expected(1, "condition", "lock", given) end
  local self = setmetatable({ lock = given or lock.lock() }, Condition)
  self.line = Line.new("a condition", self, serve_next)
  return self
end

-- The methods of its lock.
for _, name in ipairs { "acquire", "try_acquire", "release", "locked", "guard" } do
  local method = Lock[name]
  Condition[name] = function(self, ...)
    check.self(self, Condition, name)
    return method(self.lock, ...)
  end
end

local function come_back(condition)
  local its_lock = condition.lock
  if its_lock:try_acquire() then return end
  its_lock.line:wait_masked(current())
  caller.check_cancelled()
end

-- Open while a wait has let go of the lock. Closing it takes the lock again, whatever has ended the wait. Who was
-- notified, but cancelled before it had the lock, hands the notification on.
local Absence = {}

function Absence:__close()
  local condition = self.condition
  local ok, err = catch(come_back, condition)
  if ok then return end
  if self.notified then serve_next(condition) end
  Line.raise_again(err)
end

local function wait(self, deadline)
  local absence <close> = setmetatable({ condition = self, notified = false }, Absence)
  pass_on(self.lock)
  absence.notified = self.line:wait(deadline) ~= nil
  return absence.notified
end

function Condition:wait(timeout)
  check.self(self, Condition, "wait")
  check_owned(self.lock, "wait")
  return wait(self, block.deadline(timeout, 1, "wait"))
end

function Condition:wait_for(predicate, timeout)
  check.self(self, Condition, "wait_for")
  if type(predicate) ~= "function" then check.expected(1, "wait_for", "function", predicate) end
  check_owned(self.lock, "wait_for")
  local deadline = block.deadline(timeout, 2, "wait_for")
  local result = predicate()
  while not result and wait(self, deadline) do result = predicate() end
  return result or predicate()
end

function Condition:notify(n)
  check.self(self, Condition, "notify")
  n = n == nil and 1 or check.integer(n, 1, "notify", 0)
  check_owned(self.lock, "notify")
  while n > 0 and self.line:serve(SERVED) do n = n - 1 end
end

function Condition:notify_all()
  check.self(self, Condition, "notify_all")
  check_owned(self.lock, "notify_all")
  self.line:serve_all(SERVED)
end

function Condition:__tostring()
  local state = self.lock.owner == nil and "unlocked" or "locked"
  return ("parhost.Condition: %p %s waiting=%d"):format(self, state, self.line.size)
end

return lock
