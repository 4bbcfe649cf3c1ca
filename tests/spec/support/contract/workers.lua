-- SPDX-License-Identifier: MIT
-- The contract of executors: what needs tasks that run beside the caller.
local assert = require "luassert"
local busted = require "busted"
local common = require "support.contract.common"
local futures = require "futures"
local gate = require "support.gate"

local it = busted.it
local add, same, fail, pass = common.add, common.same, common.fail, common.pass
local raised_by, assert_kind, count_states = common.raised_by, common.assert_kind, common.count_states

local function counter(limit)
  local n = -1
  return function()
    n = n + 1
    if n < (limit or math.huge) then return n end
  end
end

return function(new)
  it("FU-21 WA-09 EX-63 a running task is running, and finishes", function()
    local pool <close> = new(1)
    local g = gate.new()
    local f = pool:submit(pass, g.path)
    local open = g:reached()
    assert.matches("state=running$", tostring(f))
    assert.is_true(f:running())
    assert.equal("running", f:state())
    assert.is_false(f:cancel())
    assert_kind("timeout", raised_by(f.result, f, 0.01))
    assert.is_false(f:wait(0))
    open()
    assert.equal("", f:result())
    assert.is_false(f:cancel())
  end)

  it("EX-65 a task that waits behind another can be cancelled", function()
    local pool <close> = new(1)
    local g = gate.new()
    local running = pool:submit(pass, g.path)
    local open = g:reached()
    local waiting, other = pool:submit(fail, "must not run"), pool:submit(same, 1)
    local called
    waiting:add_done_callback(function(f) called = f:cancelled() end)
    assert.equal("pending", waiting:state())
    assert.is_true(waiting:cancel { reason = "not needed" })
    assert.is_true(called)
    assert.is_true(waiting:cancel())
    local _, err = waiting:outcome()
    assert_kind("cancelled", err)
    assert.equal("not needed", err.reason)
    open()
    assert.equal("", running:result())
    assert.equal(1, other:result())
    assert.is_true(waiting:cancelled())
  end)

  it("EX-61 a running task can be stopped by force", function()
    local pool <close> = new(1)
    local g = gate.new()
    local f = pool:submit(function(path)
      gate.pass(path)
      while true do end
    end, g.path)
    g:open()
    assert.is_true(f:cancel { force = true, reason = "enough" })
    local ok, err = f:outcome(20)
    assert.is_false(ok)
    assert_kind("cancelled", err)
    assert.equal("enough", err.reason)
    assert.equal(1, pool:submit(same, 1):result())
  end)

  it("stops a task at its timeout, and not while it waits (EX-59)", function()
    local pool <close> = new(1)
    local f = pool:with { timeout = 0.05 }:submit(function() while true do end end)
    local behind = pool:with { timeout = 0.05 }:submit(same, 1)
    local ok, err = f:outcome(20)
    assert.is_false(ok)
    assert_kind("timeout", err)
    assert.equal(1, behind:result())
  end)

  it("EX-07 EX-27 map raises timeout after what was ready", function()
    for _, method in ipairs { "map", "map_unordered" } do
      local pool <close> = new(1)
      local view = pool:with { timeout = 0.3 }
      local results = view[method](view, function(n) while n > 5 do end return n end, { 0, 1, 6 })
      assert.same({ 1, 0 }, { results:next() })
      assert.same({ 2, 1 }, { results:next() })
      local err = raised_by(results.next, results)
      assert_kind("timeout", err)
      assert.same({ 1, 3, 0.3 }, { err.unfinished, err.total, err.seconds })
      assert.equal(0, select("#", results:next()))
    end
  end)

  it("EX-23 leaving a map loop cancels what has not started", function()
    local pool <close> = new(1)
    local first, second = gate.new(), gate.new()
    local ran = os.tmpname()
    os.remove(ran)
    local open
    for i in pool:map(function(path, mark)
      if mark then io.open(mark, "w"):close() end
      return path and gate.pass(path)
    end, { false, first.path, second.path, false }, { false, false, false, ran }) do
      assert.equal(1, i)
      open = first:reached()
      if i == 1 then break end
    end
    open()
    pool:drain()
    assert.is_nil(io.open(ran))
    assert.equal(2, pool:stats().cancelled)
  end)

  it("EX-37 EX-39 SD-17 starts workers on demand, never more than allowed", function()
    local pool <close> = new(3)
    assert.equal(0, #pool:workers())
    assert.equal(1, pool:submit(same, 1):result())
    assert.equal(1, #pool:workers())
    local gates, list = {}, {}
    for i = 1, 3 do
      gates[i] = gate.new()
      list[i] = pool:submit(pass, gates[i].path)
    end
    for i = 1, 42 do list[3 + i] = pool:submit(same, i) end
    for i = 1, 3 do gates[i] = gates[i]:reached() end
    assert.equal(3, #pool:workers())
    for i = 1, 3 do gates[i]() end
    futures.wait(list)
    assert.is_true(#pool:workers() <= 3)
  end)

  it("EX-49 with on_full = error refuses what is too much", function()
    local pool <close> = new { max_workers = 1, max_queue = 2, on_full = "error", name = "small" }
    local g = gate.new()
    local list = { pool:submit(pass, g.path) }
    local open = g:reached()
    list[2], list[3] = pool:submit(same, 2), pool:submit(same, 3)
    local err = raised_by(pool.submit, pool, same, 4)
    assert_kind("queue_full", err)
    assert.matches('^the queue of [%w_]+ "small" is full %(max_queue = 2%)$', err.message)
    open()
    assert.same({ "", 2, 3 }, { list[1]:result(), list[2]:result(), list[3]:result() })
  end)

  it("EX-51 with on_full = caller_runs runs it here", function()
    local pool <close> = new { max_workers = 1, max_queue = 2, on_full = "caller_runs" }
    local g = gate.new()
    local held = pool:submit(pass, g.path)
    local open = g:reached()
    local a, b = pool:submit(same, 2), pool:submit(same, 3)
    local here = pool:submit(add, 2, 2)
    assert.is_true(here:done())
    assert.equal(4, here:result())
    open()
    assert.same({ "", 2, 3 }, { held:result(), a:result(), b:result() })
  end)

  it("with on_full = block waits for room", function()
    local pool <close> = new { max_workers = 1, max_queue = 1 }
    local list = {}
    for i = 1, 20 do list[i] = pool:submit(same, i) end
    for i = 1, 20 do assert.equal(i, list[i]:result()) end
    assert.equal(60, pool:map(same, counter(60)):collect().n)
  end)

  it("EX-57 runs by priority, first in first out within", function()
    local pool <close> = new { max_workers = 1 }
    local g = gate.new()
    local held = pool:submit(pass, g.path)
    local open = g:reached()
    local order = {}
    for _, row in ipairs { { "A", 0 }, { "B", 5 }, { "C", 5 } } do
      pool:with { priority = row[2] }:submit(same, row[1]):add_done_callback(function(f)
        order[#order + 1] = f:result()
      end)
    end
    held:wait(0.01)
    open()
    pool:drain()
    assert.same({ "B", "C", "A" }, order)
  end)

  it("SD-05 SD-27 shutdown can cancel what waits", function()
    local pool = new(2)
    local gates, list = { gate.new(), gate.new() }, {}
    for i = 1, 2 do list[i] = pool:submit(pass, gates[i].path) end
    local open = { gates[1]:reached(), gates[2]:reached() }
    for i = 3, 30 do list[i] = pool:submit(same, i) end
    assert.is_false(pool:shutdown { wait = false, cancel_pending = true })
    assert.is_false(pool:shutdown { timeout = 0 })
    assert.is_false(pool:join(0))
    open[1]()
    open[2]()
    assert.is_true(pool:join(20))
    assert.same({ done = 2, cancelled = 28 }, count_states(list))
    local _, err = list[3]:outcome()
    assert.equal("shutdown", err.source)
  end)

  it("SD-21 SD-31 terminate and kill end it with tasks running", function()
    for _, how in ipairs { "terminate", "kill" } do
      local pool = new { max_workers = 1, grace = 0.1 }
      local g = gate.new()
      local list = { pool:submit(function(path)
        gate.pass(path)
        while true do end
      end, g.path) }
      g:open()
      for i = 2, 10 do list[i] = pool:submit(same, i) end
      pool[how](pool)
      assert_kind("shutdown", raised_by(pool.submit, pool, same))
      assert.is_true(pool:join(20))
      local states = count_states(list)
      assert.is_nil(states.pending)
      assert.is_nil(states.running)
      assert.is_true(states.cancelled >= 9)
      for _, f in ipairs(list) do f:cancel() end
    end
  end)

  it("leaving the block by an error drops what waits", function()
    local list, g = {}, gate.new()
    local err = raised_by(function()
      local pool <close> = new(1)
      list[1] = pool:submit(pass, g.path)
      local open = g:reached()
      for i = 2, 5 do list[i] = pool:submit(same, i) end
      open()
      error("out", 0)
    end)
    assert.equal("out", err)
    assert.equal("done", list[1]:state())
    for i = 2, 5 do assert.is_true(list[i]:done()) end
  end)

  it("WA-13 as_completed yields in the order of completion, over several pools", function()
    local a <close> = new(1)
    local b <close> = new(1)
    local g = gate.new()
    local slow, quick = a:submit(pass, g.path), b:submit(same, 1)
    local open = g:reached()
    local order = {}
    for f in futures.as_completed { slow, quick } do
      order[#order + 1] = f
      if f == quick then open() end
    end
    assert.same({ quick, slow }, order)
  end)
end
