-- SPDX-License-Identifier: MIT
-- Barriers. The last to arrive serves the whole line, so the next round begins at once.
local block = require "parhost.block"
local check = require "parhost.check"
local errors = require "futures.error"
local Line = require "async.line"

local barrier = {}

local Barrier = { __name = "parhost.Barrier" }
Barrier.__index = Barrier

function barrier.barrier(parties)
  parties = check.integer(parties, 1, "barrier", 1)
  return setmetatable({ size = parties, is_broken = false, line = Line.new "a barrier" }, Barrier)
end

local function broken(state)
  error(errors.new("broken_barrier", "the barrier was " .. state, { state = state }), 0)
end

-- Serves each with its place; the last place is the caller's.
local function open(self)
  local place = 1
  while self.line:serve(place) do place = place + 1 end
  return place
end

-- One who is cancelled or out of time is gone from the line; the others wait on.
function Barrier:wait(timeout)
  check.self(self, Barrier, "wait")
  local deadline = block.deadline(timeout, 1, "wait")
  if self.is_broken then broken "aborted" end
  if self.line.size + 1 == self.size then return open(self) end
  local place = self.line:wait(deadline)
  if place == nil then Line.time_out("the barrier was not complete", timeout) end
  if math.type(place) == nil then broken(place) end
  return place
end

-- Those who wait get `broken_barrier`; the barrier is as new.
function Barrier:reset()
  check.self(self, Barrier, "reset")
  self.is_broken = false
  self.line:serve_all "reset"
end

-- Those who wait, and who come until it is reset, get `broken_barrier`.
function Barrier:abort()
  check.self(self, Barrier, "abort")
  self.is_broken = true
  self.line:serve_all "aborted"
end

function Barrier:parties()
  check.self(self, Barrier, "parties")
  return self.size
end

function Barrier:n_waiting()
  check.self(self, Barrier, "n_waiting")
  return self.line.size
end

function Barrier:broken()
  check.self(self, Barrier, "broken")
  return self.is_broken
end

function Barrier:__tostring()
  local state = self.is_broken and " broken" or ""
  return ("parhost.Barrier: %p%s waiting=%d/%d"):format(self, state, self.line.size, self.size)
end

return barrier
