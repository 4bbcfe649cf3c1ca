-- SPDX-License-Identifier: MIT
-- Classes that their first use makes stayed half made when that found no memory: lauxlib's of big buffers ("got a
-- non-closable value" ever after), and ours of errors.
local has_faults = pcall(require, "parhost.core.fault")
local run = require "tests.spec.support.run"

;(has_faults and describe or pending)("want of memory at the first use", function()
  it("of a big buffer, of an error object, does no harm later", function()
    for n = 1, 12 do
      local result = run.script(([[
        local fault = require "parhost.core.fault"
        local text = ("x"):rep(100)
        fault.arm "host.lua_alloc:%d*2"
        pcall(string.rep, text, 300)
        pcall(require, "futures")
        fault.arm ""
        print(#text:rep(300), tostring(require("futures").error("os", "why")))]]):format(n))
      assert.same({ out = "30000\tparhost.os: why\n", err = "", code = 0 }, result)
    end
  end)
end)
