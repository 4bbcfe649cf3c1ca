-- SPDX-License-Identifier: MIT
-- A worker thread that found no memory for its own copy of a big result ended, and its task was one whose worker died.
local has_faults, fault = pcall(require, "parhost.core.fault")
local thread_pool = require "thread_pool"

local TEXT <const> = ("0123456789"):rep(10000)

local require = require -- busted has an environment of its own

-- Its n-th allocation of C code fails.
local function big(n)
  local text = ("0123456789"):rep(10000)
  require("parhost.core.fault").arm(("thread.alloc:%d"):format(n))
  return text
end

;(has_faults and describe or pending)("a big result without memory in its thread", function()
  it("comes all the same, or says so", function()
    local pool <close> = thread_pool.new(1)
    local tripped = 0
    for n = 1, 4 do
      local ok, value = pool:submit(big, n):outcome(30)
      tripped = tripped + fault.tripped "alloc"
      fault.arm ""
      if ok then
        assert.is_true(value == TEXT)
      else
        assert.matches("not enough memory", tostring(value))
      end
    end
    assert.is_true(tripped > 0)
    assert.equal(0, pool:stats().restarts)
  end)
end)
