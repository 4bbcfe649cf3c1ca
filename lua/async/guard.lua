-- SPDX-License-Identifier: MIT
-- What `local g <close> = lock:guard()` holds: something acquired, released once.
local check = require "parhost.check"
local errors = require "futures.error"
local exit = require "parhost.exit"

local Guard = { __name = "parhost.Guard" }
Guard.__index = Guard

local guard = {}

-- `held` has been acquired.
function guard.of(held)
  return setmetatable({ held = held }, Guard)
end

-- Releases now; again is fine.
function Guard:close()
  check.self(self, Guard, "close")
  local held = self.held
  if held then
    self.held = nil
    held:release()
  end
end

Guard.__close = Guard.close

-- Collecting may happen anywhere, so it must not wake anybody; but it can say what will be missing.
function Guard:__gc()
  if self.held and not exit.closing() then
    warn(("parhost: a guard was collected without being closed, and %s stays acquired"):format(
      errors.text(self.held)))
  end
end

return guard
