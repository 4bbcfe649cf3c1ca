-- SPDX-License-Identifier: MIT
-- Semaphores. A permit that is released goes to the first in line, so the value is 0 as long as anybody waits.
local block = require "parhost.block"
local check = require "parhost.check"
local errors = require "futures.error"
local guard = require "async.guard"
local Line = require "async.line"

local semaphore = {}

local SERVED <const> = true

-- limit: of a bounded one, what the value never exceeds.
local Semaphore = { __name = "parhost.Semaphore" }
Semaphore.__index = Semaphore

local function give_permit(self)
  if not self.line:serve(SERVED) then self.permits = self.permits + 1 end
end

local function new(value, bounded, name)
  value = value == nil and 1 or check.integer(value, 1, name, 0)
  local self = setmetatable({ permits = value, limit = bounded and value or nil }, Semaphore)
  self.line = Line.new("a semaphore", self, give_permit)
  return self
end

function semaphore.semaphore(value)
  return new(value, false, "semaphore")
end

function semaphore.bounded_semaphore(value)
  return new(value, true, "bounded_semaphore")
end

local function acquire(self, name, timeout)
  local deadline = block.deadline(timeout, 1, name)
  local value = self.permits
  if value > 0 then
    self.permits = value - 1
  elseif not self.line:wait(deadline) then
    Line.time_out("the semaphore had no permit", timeout)
  end
end

function Semaphore:acquire(timeout)
  check.self(self, Semaphore, "acquire")
  acquire(self, "acquire", timeout)
  return true
end

function Semaphore:try_acquire()
  check.self(self, Semaphore, "try_acquire")
  local value = self.permits
  if value == 0 then return false end
  self.permits = value - 1
  return true
end

function Semaphore:release()
  check.self(self, Semaphore, "release")
  if self.permits == self.limit then
    local message = ("release: all %d permits of the bounded semaphore are there already"):format(self.limit)
    error(errors.new("invalid_state", message, { state = "unlocked" }), 0)
  end
  give_permit(self)
end

-- Whether an acquire would have to wait.
function Semaphore:locked()
  check.self(self, Semaphore, "locked")
  return self.permits == 0
end

function Semaphore:value()
  check.self(self, Semaphore, "value")
  return self.permits
end

function Semaphore:guard(timeout)
  check.self(self, Semaphore, "guard")
  acquire(self, "guard", timeout)
  return guard.of(self)
end

function Semaphore:__tostring()
  return ("parhost.Semaphore: %p value=%d waiting=%d"):format(self, self.permits, self.line.size)
end

return semaphore
