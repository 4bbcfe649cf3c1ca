-- SPDX-License-Identifier: MIT
-- The contract of executors: the end of a pool.
local assert = require "luassert"
local busted = require "busted"
local common = require "support.contract.common"

local it = busted.it
local add, same, raised_by, assert_kind = common.add, common.same, common.raised_by, common.assert_kind

return function(new)
  it("SD-01 takes nothing after shutdown", function()
    local pool = new(1)
    pool:shutdown()
    for _, method in ipairs { "submit", "map", "starmap", "map_unordered" } do
      local err = raised_by(pool[method], pool, same, {})
      assert_kind("shutdown", err)
      assert.matches('^cannot schedule new futures after shutdown of %l+_pool "[%w_-]+"$', err.message)
    end
    assert_kind("shutdown", raised_by(function() pool:with { priority = 1 }:submit(same) end))
  end)

  it("SD-03 finishes everything", function()
    local pool = new(2)
    local list = {}
    for i = 1, 50 do list[i] = pool:submit(add, i, i) end
    assert.is_true(pool:shutdown())
    for i = 1, 50 do assert.equal(2 * i, list[i]:result(0)) end
  end)

  it("SD-19 can be ended again and again", function()
    local pool <close> = new(1)
    pool:submit(same)
    pool:shutdown()
    pool:shutdown()
    pool:close()
    assert.is_true(pool:join())
    assert.is_true(pool:join(0))
    pool:kill()
    pool:terminate()
  end)

  it("SD-23 can be killed before any worker was started", function()
    local pool = new(1)
    pool:kill()
    assert.is_true(pool:join())
    assert_kind("shutdown", raised_by(pool.submit, pool, same))
  end)

  it("SD-25 refuses unknown options of shutdown", function()
    local pool <close> = new(1)
    assert.matches("unknown option 'mode'", raised_by(pool.shutdown, pool, { mode = "x" }))
    assert.equal(1, pool:submit(same, 1):result())
  end)

  it("SD-29 cannot be joined while it takes tasks", function()
    local pool <close> = new(1)
    local err = raised_by(pool.join, pool)
    assert_kind("invalid_state", err)
    assert.equal("pool is still accepting tasks", err.message)
  end)

  it("SD-09 goes on when its handle is collected", function()
    local results = new(2):map(add, { 1, 2, 3 }, { 1, 1, 1 })
    collectgarbage()
    collectgarbage()
    assert.same({ 2, 3, 4, n = 3 }, results:collect())
  end)

  it("shows itself", function()
    local pool = new { max_workers = 2, name = "mine" }
    assert.matches('^parhost%.[%w_]+: "mine" %(2 workers at most%)$', tostring(pool))
    assert.equal("mine", pool:name())
    pool:close()
    assert.matches("shut down", tostring(pool))
    local stats = pool:stats()
    for _, key in ipairs { "workers", "idle", "busy", "queued", "running", "completed", "failed", "cancelled",
      "retried", "restarts" } do
      assert.equal("integer", math.type(stats[key]), key)
    end
    assert.same({}, pool:workers())
  end)
end
