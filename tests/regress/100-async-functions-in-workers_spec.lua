-- SPDX-License-Identifier: MIT
-- C functions of async went to workers by the name that they have below async, where async was not loaded.
local async = require "async"

describe("functions of async", function()
  for _, module in ipairs { "proc_pool", "thread_pool" } do
    it("may be the task of a fresh worker of a " .. module, function()
      local pool <close> = require(module).new(1)
      pool:submit(async.sleep, 0.001):result(20)
      pool:submit(async.checkpoint):result(20)
      assert.equal("number", type(pool:submit(async.time):result(20)))
      assert.equal(1, pool:submit(async.run, math.abs, -1):result(20))
    end)
  end
end)
