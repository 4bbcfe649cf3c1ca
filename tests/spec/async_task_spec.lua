-- SPDX-License-Identifier: MIT
-- Tasks: what they are, and their order; plain code beside them. Cancelling is in async_cancel_spec.lua.
local async = require "async"
local futures = require "futures"
local virtual = require "tests.spec.support.virtual"

local inside, raised_by = virtual.it, virtual.raised_by

describe("a task", function()
  it("CA-01 awaits helper functions", inside(function()
    local function half(n)
      async.sleep(1)
      return n / 2
    end
    local t = async.create_task(function(a, b) return half(a) + half(b) end, 10, 20)
    assert.equal(15, t:result())
  end))

  it("is a future", inside(function()
    local t = async.create_task(function(...) async.sleep(1) return ... end, nil, 2, nil)
    assert.equal("pending", t:state())
    assert.is_false(t:done())
    async.checkpoint()
    assert.is_true(t:running())
    local seen
    t:add_done_callback(function(f) seen = f end)
    assert.same({ true, nil, 2, nil, n = 4 }, table.pack(t:outcome()))
    assert.equal(3, select("#", t:result()))
    assert.is_true(t:wait())
    assert.same({ nil, false }, { t:error() })
    async.checkpoint()
    assert.equal(t, seen)
    assert.matches("parhost.Task: 0x.* state=done returned 3 values", tostring(t))
    assert.equal("invalid_state", raised_by(t.set_result, t, 1).kind)
    assert.is_false(t:cancel())
  end))

  it("runs at the next turn, in the order of creation", inside(function()
    local seen = {}
    for i = 1, 5 do async.create_task(function() seen[#seen + 1] = i end) end
    assert.same({}, seen)
    async.checkpoint()
    assert.same({ 1, 2, 3, 4, 5 }, seen)
  end))

  it("wakes sleepers of the same moment in the order in which they went to sleep", inside(function()
    local seen, tasks = {}, {}
    for i = 1, 20 do
      tasks[i] = async.create_task(function()
        async.sleep(1)
        seen[#seen + 1] = i
      end)
    end
    async.gather(tasks)
    for i = 1, 20 do assert.equal(i, seen[i]) end
  end))

  it("eager: runs at once, up to its first park", inside(function()
    local seen = {}
    local t = async.with { eager = true, name = "early" }:create_task(function()
      seen[1] = async.current_task():name()
      async.checkpoint()
      seen[2] = true
    end)
    assert.same({ "early" }, seen)
    t:result()
    assert.same({ "early", true }, seen)
  end))

  it("eager tasks nest without end", inside(function()
    local eager = async.with { eager = true }
    local function nest(n)
      if n == 0 then return 0 end
      return eager:create_task(nest, n - 1):result() + 1
    end
    assert.equal(500, nest(500))
  end))

  it("has a name", inside(function()
    local t = async.create_task(async.checkpoint)
    assert.matches("^task%-%d+$", t:name())
    t:set_name("x")
    assert.equal("x", t:name())
    t:result()
    assert.equal("x", t:name())
    assert.matches("bad argument #1 to 'set_name'", raised_by(t.set_name, t, 5))
    assert.matches("bad argument #1 to 'create_task' %(function expected", raised_by(async.create_task, 5))
    assert.matches("unknown option 'nam'", raised_by(async.with, { nam = "x" }))
  end))

  it("CA-21 is the current one between its parks", inside(function()
    local function check()
      local me = async.current_task()
      for _ = 1, 3 do
        async.checkpoint()
        assert.equal(me, async.current_task())
      end
      return me
    end
    local a, b = async.create_task(check), async.create_task(check)
    assert.equal(a, a:result())
    assert.equal(b, b:result())
  end))

  it("CA-21 there is none in plain code", function()
    assert.is_nil(async.current_task())
  end)

  it("CA-25 keeps its traceback when it fails", inside(function()
    local function culprit() error("broken", 0) end
    local t = async.create_task(function() culprit() return 1 end)
    local ok, err, traceback = t:outcome()
    assert.same({ false, "broken" }, { ok, err })
    assert.matches("async_task_spec.lua:%d+: in upvalue 'culprit'", traceback)
    assert.equal(traceback, t:traceback())
  end))

  it("keeps any error value", inside(function()
    for _, value in ipairs { "text", 5, false, {} } do
      local t = async.create_task(error, value, 0)
      local err, failed = t:error()
      assert.equal(value, err)
      assert.is_true(failed)
    end
    local err, failed = async.create_task(error):error()
    assert.is_nil(err)
    assert.is_true(failed)
  end))

  it("CA-23 that waits for itself gets a deadlock error", inside(function()
    local t
    t = async.create_task(function() return t:result() end)
    assert.equal("deadlock", select(2, t:outcome()).kind)
  end))

  it("RU-29 is listed until it has ended", inside(function()
    local t = async.create_task(async.sleep, 1)
    local u = async.create_task(async.checkpoint)
    assert.same({ async.current_task(), t, u }, async.all_tasks())
    u:result()
    assert.same({ async.current_task(), t }, async.all_tasks())
  end))

  it("has a parent in a group", inside(function()
    local tg <close> = async.task_group()
    local t = tg:create_task(async.checkpoint)
    assert.equal(async.current_task(), t:parent())
    assert.is_nil(async.create_task(async.checkpoint):parent())
    t:result()
    assert.is_nil(t:parent())
  end))

  it("shows where it is parked", inside(function()
    local t = async.create_task(function() async.sleep(1) return 1 end)
    async.checkpoint()
    assert.matches("async_task_spec.lua:%d+:", t:traceback())
    local u = async.create_task(function()
      coroutine.wrap(function() async.sleep(1) coroutine.yield(1) end)()
    end)
    async.checkpoint()
    assert.matches("in a coroutine of:", u:traceback())
  end))

  it("does not share its coroutine once the program knows it", inside(function()
    local seen = {}
    for i = 1, 3 do
      async.create_task(function() seen[i] = coroutine.running() end):result()
    end
    assert.not_equal(seen[1], seen[2])
    assert.not_equal(seen[2], seen[3])
  end))

  it("cannot be resumed, closed or yielded from by hand", inside(function()
    local co
    local t = async.create_task(function()
      co = coroutine.running()
      async.sleep(1)
      return 1
    end)
    async.checkpoint()
    assert.same({ false, "cannot resume a coroutine that waits in a task" }, { coroutine.resume(co) })
    assert.matches("cannot close a waiting coroutine", raised_by(coroutine.close, co))
    assert.equal(1, t:result())
    local u = async.create_task(function() coroutine.yield(1) return 1 end)
    assert.matches("attempt to yield from outside a coroutine", select(2, u:outcome()))
  end))

  it("a generator that waits in one task cannot be used in another", inside(function()
    local next_value = coroutine.wrap(function() async.sleep(1) coroutine.yield("value") end)
    local t = async.create_task(next_value)
    async.checkpoint()
    assert.matches("cannot resume a coroutine that waits in a task", raised_by(next_value))
    assert.equal("value", t:result())
  end))
end)

describe("sleeping", function()
  it("CA-19 refuses NaN, takes negative numbers for 0", inside(function()
    assert.matches("bad argument #1 to 'sleep' %(number expected, got NaN", raised_by(async.sleep, 0 / 0))
    assert.equal(0, virtual.seconds(async.sleep, -1))
  end))

  it("is exact", inside(function()
    assert.equal(1000000.0, math.floor(virtual.seconds(async.sleep, 1e6) + 1e-6))
    local when = async.time() + 2
    async.sleep_until(when)
    assert.is_true(math.abs(async.time() - when) < 1e-6)
  end))

  it("wakes in the order of the times, and of going to sleep where these are equal", function()
    local random = math.random
    for _ = 1, 10 do
      virtual.run(function()
        local slept, woken, tasks = {}, {}, {}
        local spread = random(1, 60)
        for i = 1, 200 do
          local seconds = random() < 0.1 and 1000 or random(1, spread)
          tasks[i] = async.create_task(function()
            async.sleep(seconds)
            woken[#woken + 1] = i
          end)
          slept[i] = { at = seconds, i = i }
        end
        async.checkpoint()
        for i = 200, 1, -random(2, 5) do
          tasks[i]:cancel()
          table.remove(slept, i)
        end
        table.sort(slept, function(a, b) return a.at < b.at or a.at == b.at and a.i < b.i end)
        async.sleep(2000)
        for n, sleeper in ipairs(slept) do assert.equal(sleeper.i, woken[n]) end
        assert.equal(#slept, #woken)
      end)
    end
  end)

  it("of many, again and again, leaves memory as it was", function()
    virtual.run(function()
      local most = {}
      for round = 1, 12 do
        local half = (round - 1) // 6 + 1
        local group <close> = async.task_group()
        for _ = 1, 1000 do group:create_task(async.sleep, 1) end
        async.checkpoint()
        most[half] = math.max(most[half] or 0, collectgarbage "count")
      end
      assert.is_true(most[2] < most[1] * 1.5, ("%.0f KB, then %.0f KB"):format(most[1], most[2]))
    end)
  end)

  it("does not collect when the program has stopped the collector", function()
    virtual.run(function()
      local garbage = setmetatable({ {} }, { __mode = "v" })
      collectgarbage "stop"
      local _ <close> = setmetatable({}, { __close = function() collectgarbage "restart" end })
      for _ = 1, 10000 do assert({}) end
      if garbage[1] == nil then return end -- in a build that collects whatever it is told
      for _ = 1, 1000 do async.create_task(async.sleep, 1) end
      async.sleep(2)
      assert.is_table(garbage[1])
      assert.is_false(collectgarbage "isrunning")
    end)
  end)

  it("works in plain code", function()
    local start = async.time()
    async.sleep(0.01)
    assert.is_true(async.time() - start >= 0.01)
    async.sleep(0)
    async.checkpoint()
    async.sleep_until(start)
  end)
end)

describe("plain code", function()
  it("runs tasks while it waits", function()
    local seen = {}
    local t = async.create_task(function()
      async.sleep(0.001)
      seen[#seen + 1] = "task"
      return "value"
    end)
    assert.equal("value", t:result())
    assert.same({ "task" }, seen)
    local f = futures.new()
    async.create_task(function()
      async.sleep(0.001)
      f:set_result("from a task")
    end)
    assert.equal("from a task", f:result())
    assert.is_false(async.create_task(async.sleep, 0.02):wait(0.001))
    assert.same({ "a" }, { async.move_on_after(1, function() return "a" end) and "a" })
  end)

  it("gets a deadlock error for what no task will do", function()
    local f = futures.new()
    local t = async.create_task(function() return f:result() end)
    assert.equal("deadlock", raised_by(t.result, t).kind)
    t:cancel()
    assert.is_true(t:wait())
  end)
end)
