-- SPDX-License-Identifier: MIT
-- Events: a flag to wait for.
local block = require "parhost.block"
local check = require "parhost.check"
local Line = require "async.line"

local event = {}

local SET <const> = true

local Event = { __name = "parhost.Event" }
Event.__index = Event

function event.event()
  return setmetatable({ flag = false, line = Line.new "an event" }, Event)
end

-- Wakes all who wait now, even when it is cleared before they run.
function Event:set()
  check.self(self, Event, "set")
  if self.flag then return end
  self.flag = true
  self.line:serve_all(SET)
end

function Event:clear()
  check.self(self, Event, "clear")
  self.flag = false
end

function Event:is_set()
  check.self(self, Event, "is_set")
  return self.flag
end

function Event:wait(timeout)
  check.self(self, Event, "wait")
  local deadline = block.deadline(timeout, 1, "wait")
  return self.flag or self.line:wait(deadline) ~= nil
end

function Event:__tostring()
  return ("parhost.Event: %p %s waiting=%d"):format(self, self.flag and "set" or "unset", self.line.size)
end

return event
