-- SPDX-License-Identifier: MIT
-- The contract of executors: what came with values and collection: needs workers whose states live on.
local assert = require "luassert"
local busted = require "busted"
local common = require "support.contract.common"
local futures = require "futures"
local gate = require "support.gate"
local parhost = require "parhost"

local it = busted.it
local same, fail, pass, assert_kind = common.same, common.fail, common.pass, common.assert_kind

return function(new)
  it("EX-35 collects what a task left behind soon after it", function()
    local pool <close> = new(1)
    local g = gate.new()
    local class = { __gc = function(object)
      if parhost.worker() then io.open(object.path, "w"):close() end
    end }
    parhost.register("contract.collected", class)
    pool:submit(function(object) return object ~= nil end, setmetatable({ path = g.path }, class)):result()
    assert.equal("", gate.pass(g.path))
  end)

  it("EX-47 delivers an error that cannot be written to", function()
    local pool <close> = new(1)
    local class = { __newindex = function() error("locked") end }
    parhost.register("contract.locked", class)
    local f = pool:submit(fail, setmetatable({ code = 5 }, class))
    local ok, err, traceback = f:outcome()
    assert.is_false(ok)
    assert.equal(class, getmetatable(err))
    assert.equal(5, err.code)
    assert.is_string(traceback)
    assert.equal(traceback, futures.traceback_of(err))
  end)

  it("EX-55 does not stall when workers idle out quickly", function()
    local pool <close> = new { max_workers = 2, idle_timeout = 0.001 }
    local slow = {}
    for i = 1, 20000 do slow[i] = { i } end
    for _ = 1, 5 do assert.equal(20000, pool:submit(function(t) return #t end, slow):result()) end
  end)

  it("CR-25 gives each future an error object of its own", function()
    local pool = new(1)
    local g = gate.new()
    local held = pool:submit(pass, g.path)
    local open = g:reached()
    local a, b = pool:submit(same), pool:submit(same)
    pool:shutdown { wait = false, cancel_pending = true }
    open()
    held:wait()
    local err = select(2, a:outcome())
    err.message = "changed"
    assert.not_equal("changed", select(2, b:outcome()).message)
    pool:join()
  end)

  it("IN-07 runs the initializer in replaced workers, too", function()
    local pool <close> = new {
      max_workers = 1, max_tasks_per_worker = 3, initializer = function() SETTING = "here" end, -- luacheck: ignore
    }
    local pids = {}
    for i = 1, 4 do
      local pid, setting = pool:submit(function()
        return require("parhost").worker().pid, SETTING -- luacheck: ignore
      end):result()
      assert.equal("here", setting)
      pids[i] = pid
    end
    assert.same({ pids[1], pids[1] }, { pids[2], pids[3] })
    assert.equal(1, #pool:workers())
  end)

  it("reproduces random numbers with a seed, whatever the number of workers", function()
    local runs = {}
    for workers = 1, 2 do
      local pool <close> = new { max_workers = workers, seed = 42 }
      runs[workers] = pool:map(function() return math.random(1000000) end, { 1, 2, 3, 4, 5, 6 }):collect()
    end
    assert.same(runs[1], runs[2])
    assert.not_equal(runs[1][1], runs[1][2])
  end)

  it("fails a task at its deadline, queued or running", function()
    local pool <close> = new(1)
    local running = pool:with { deadline = parhost.monotonic() + 0.05 }:submit(function() while true do end end)
    local queued = pool:with { deadline = parhost.monotonic() + 0.01 }:submit(same)
    local late = pool:with { deadline = parhost.monotonic() - 1 }:submit(same)
    for _, f in ipairs { running, queued, late } do assert_kind("timeout", select(2, f:outcome(20))) end
    assert.equal(1, pool:submit(same, 1):result())
  end)

  it("a callback may wait for another task", function()
    local pool <close> = new(1)
    local got
    pool:submit(same, 1):add_done_callback(function(f)
      local g = pool:submit(same, 2)
      got = f:result() + g:result()
    end)
    pool:drain()
    assert.equal(3, got)
  end)
end
