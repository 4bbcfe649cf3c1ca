-- SPDX-License-Identifier: MIT
-- Records that found no memory to be published stayed with the pool until something else ended there: futures of tasks that
-- had ended did not settle.
package.path = "tests/spec/?.lua;" .. package.path
local has_faults, fault = pcall(require, "parhost.core.fault")
local gate = require "support.gate"
local proc_pool = require "proc_pool"
local thread_pool = require "thread_pool"

local monotonic = require("parhost").monotonic
local function same(n) return n end

-- Three tasks end while nobody takes their records, and the n-th allocation of the pool fails.
local function try(pool, n)
  local futures, gates, before, limit = {}, {}, pool:stats().completed, monotonic() + 20
  for i = 1, 3 do
    gates[i] = gate.new()
    futures[i] = pool:submit(gate.pass, gates[i].path)
  end
  fault.arm(("host.alloc:%d"):format(n))
  for i = 1, 3 do
    gates[i]:open(tostring(i))
    while pool:stats().completed < before + i and monotonic() < limit do end
  end
  local tripped = fault.tripped "alloc"
  fault.arm ""
  for i = 1, 3 do assert.equal(tostring(i), futures[i]:result(20)) end
  return tripped
end

;(has_faults and describe or pending)("records without memory to publish them", function()
  for name, module in pairs { proc_pool = proc_pool, thread_pool = thread_pool } do
    it("come with the next look: " .. name, function()
      local tripped = 0
      for n = 1, 6 do
        local pool <close> = module.new(1)
        assert.equal(0, pool:submit(same, 0):result(30))
        tripped = tripped + try(pool, n)
      end
      assert.is_true(tripped > 0)
    end)
  end
end)
