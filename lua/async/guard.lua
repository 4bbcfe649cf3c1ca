-- SPDX-License-Identifier: MIT
-- What `local g <close> = lock:guard()` holds: something acquired, released once.
local check = require "parhost.check"

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

return guard
