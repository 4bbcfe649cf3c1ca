-- SPDX-License-Identifier: MIT
-- The contract of executors: options of pools and views.
local assert = require "luassert"
local busted = require "busted"
local common = require "support.contract.common"

local it = busted.it
local raised_by = common.raised_by

return function(new)
  it("EX-31 EX-53 refuses wrong options", function()
    local cases = {
      { { max_worker = 4 }, "unknown option 'max_worker'; did you mean 'max_workers'?" },
      { { max_workers = 0 }, "option 'max_workers': integer >= 1 expected, got 0" },
      { { max_workers = 10001 }, "option 'max_workers': must be <= 10000, got 10001" },
      { { max_workers = 1 << 32 }, "option 'max_workers': must be <= 10000, got 4294967296" },
      { { max_restarts = 1 << 32 }, "option 'max_restarts': must be <= 2147483647, got 4294967296" },
      { 1 << 32, "option 'max_workers': must be <= 10000, got 4294967296" },
      { { max_workers = 1.5 }, "option 'max_workers': integer >= 1 expected, got 1.5" },
      { { max_workers = "2" }, "option 'max_workers': integer >= 1 expected, got \"2\"" },
      { { min_workers = 16, max_workers = 8 }, "option 'min_workers': 16 is more than max_workers (8)" },
      { { on_full = "drop" }, "option 'on_full': \"block\", \"error\" or \"caller_runs\" expected, got \"drop\"" },
      { { grace = 0 / 0 }, "option 'grace': number >= 0 expected, got " .. tostring(0 / 0) },
      { { initializer = 5 }, "option 'initializer': function or \"module:function\" expected, got 5" },
      { { [1] = 5 }, "unknown option [1]" },
      { "x", "table of options expected, got string" },
      { 0, "integer >= 1 expected, got 0" },
    }
    for _, case in ipairs(cases) do
      local err = raised_by(new, case[1])
      assert.equal(("bad argument #1 to 'new' (%s)"):format(case[2]), err:match("bad argument.*"))
      assert.matches("[%w_]+.lua:%d+: bad", raised_by(function() new(case[1]) end))
    end
  end)

  it("EX-13 refuses wrong options of views", function()
    local pool <close> = new(1)
    for _, size in ipairs { 0, -1 } do
      assert.matches("'buffer_size': must be > 0", raised_by(pool.with, pool, { buffer_size = size }))
    end
    assert.matches("'chunk_size': integer >= 1 or \"auto\" expected, got %-1",
      raised_by(pool.with, pool, { chunk_size = -1 }))
    assert.matches("unknown option 'time_out'; did you mean 'timeout'?",
      raised_by(pool.with, pool, { time_out = 1 }), 1, true)
    assert.matches("'retries': must be <= 2147483647, got 4294967296", raised_by(pool.with, pool, { retries = 1 << 32 }))
    assert.matches("table of options expected, got nil", raised_by(pool.with, pool))
  end)
end
