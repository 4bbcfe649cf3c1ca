-- SPDX-License-Identifier: MIT
-- A function that there was no memory to load was a value that cannot travel ("not_serializable").
local has_faults, fault = pcall(require, "parhost.core.fault")
local parhost = require "parhost"

;(has_faults and describe or pending)("a function without memory to load it", function()
  it("is want of memory, wherever that comes", function()
    local failed = 0
    for n = 1, 40 do
      local bytes = parhost.dump_value(load("local n = ... return { 'text', n + 1.5 }"))
      fault.arm(("host.lua_alloc:%d*2"):format(n))
      local ok, value = pcall(parhost.load_value, bytes)
      fault.arm ""
      if ok then
        assert.equal(5.5, value(4)[2])
      else
        failed = failed + 1
        assert.equal("not enough memory", value)
      end
    end
    assert.is_true(failed > 5)
  end)
end)
