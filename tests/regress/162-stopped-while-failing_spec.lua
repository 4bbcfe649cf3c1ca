-- SPDX-License-Identifier: MIT
-- A task that was stopped while the error that it had raised was being encoded failed with "the error value of the task
-- could not be sent", rather than with what had stopped it.
package.path = "tests/spec/?.lua;" .. package.path

local hostile = require "support.hostile"
local proc_pool = require "proc_pool"
local thread_pool = require "thread_pool"

for _, module in ipairs { proc_pool, thread_pool } do
  describe("a task that is stopped while its error is encoded", function()
    it("fails with the timeout, in a " .. (module == proc_pool and "process" or "thread"), function()
      local pool <close> = module.new(1)
      assert.same("timeout", pool:with { timeout = 0.05 }:submit(hostile.fail_for_ever):error().kind)
      assert.same(1, pool:submit(math.abs, -1):result())
    end)
  end)
end
