-- SPDX-License-Identifier: MIT
-- What a call raises.
local assert = require "luassert"
local futures = require "futures"

local raised = {}

-- The error of fn(...), which must raise one.
function raised.by(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

-- The same, of that kind.
function raised.kind(kind, fn, ...)
  local err = raised.by(fn, ...)
  assert.is_true(futures.is(err, kind), tostring(err))
  return err
end

return raised
