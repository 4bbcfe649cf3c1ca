-- SPDX-License-Identifier: MIT
-- The counters of a pool are traced once in a millisecond. What changed within the last one before its end was left out, and
-- in the report the pool had work for ever.
package.path = "tests/spec/?.lua;" .. package.path
local assert = require "luassert"
local busted = require "busted"
local traces = require "support.traces"
local describe, it = busted.describe, busted.it

describe("the trace of a pool that is soon over", function()
  for _, kind in ipairs { "proc_pool", "thread_pool" } do
    it("ends with no work in a " .. kind, function()
      local trace = traces.of(([[
        for i = 1, 20 do
          local pool <close> = require "%s".new { max_workers = 1, name = "p" .. i }
          pool:submit(math.abs, i):result()
        end]]):format(kind))
      for i = 1, 20 do
        local counters = trace:all { ph = "C", name = "p" .. i }
        local last = assert(counters[#counters], "no counters at all")
        assert.same({ queued = 0, running = 0 }, last.args)
      end
    end)
  end
end)
