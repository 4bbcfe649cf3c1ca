-- SPDX-License-Identifier: MIT
-- The contract of executors: initializers and preloads.
local assert = require "luassert"
local busted = require "busted"
local common = require "support.contract.common"
local futures = require "futures"

local it = busted.it
local same, assert_kind = common.same, common.assert_kind

return function(new)
  it("IN-01 IN-09 runs the initializer first, with its arguments", function()
    local pool <close> = new {
      max_workers = 2,
      initializer = function(settings, twice) SETTING = twice(settings.value) end, -- luacheck: ignore
      init_args = { { value = 21 }, function(x) return 2 * x end },
    }
    local function read() return SETTING end -- luacheck: ignore
    for _ = 1, 4 do assert.equal(42, pool:submit(read):result()) end
  end)

  it("preloads modules", function()
    local pool <close> = new { max_workers = 1, preload = { "futures" } }
    assert.is_true(pool:submit(function() return package.loaded.futures ~= nil end):result())
  end)

  it("breaks when the initializer fails", function()
    local pool <close> = new { max_workers = 1, initializer = function() error("no way", 0) end }
    local ok, err = pool:submit(same):outcome()
    assert.is_false(ok)
    assert_kind("initializer_failed", err)
    assert.equal("no way", err.cause)
    ok, err = pcall(pool.submit, pool, same)
    assert.is_false(ok)
    assert.is_true(futures.is(err, "initializer_failed") or futures.is(err, "broken_pool"))
  end)
end
