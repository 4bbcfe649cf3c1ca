-- SPDX-License-Identifier: MIT
-- Cancelling tasks; where they park.
local async = require "async"
local futures = require "futures"
local proc_pool = require "proc_pool"
local virtual = require "tests.spec.support.virtual"

local inside, on_close, raised_by = virtual.it, virtual.on_close, virtual.raised_by

describe("cancelling", function()
  it("CA-03 reaches a task between checkpoints", inside(function()
    local t = async.create_task(function()
      async.checkpoint()
      async.checkpoint()
      return 1
    end)
    async.checkpoint()
    assert.is_true(t:cancel())
    assert.equal("cancelled", select(2, t:outcome()).kind)
    assert.is_true(t:cancelled())
    assert.is_true(t:cancel())
  end))

  it("CA-05 of a task and of what it awaits", inside(function()
    local inner = async.create_task(async.sleep, 10)
    local outer = async.create_task(inner.result, inner)
    async.checkpoint()
    inner:cancel()
    outer:cancel()
    async.sleep(1)
    assert.is_true(inner:cancelled())
    assert.is_true(outer:cancelled())
  end))

  it("awaiting something else that was cancelled is an ordinary error", inside(function()
    local inner = async.create_task(async.sleep, 10)
    local outer = async.create_task(function() return raised_by(inner.result, inner).kind end)
    async.checkpoint()
    inner:cancel()
    assert.equal("cancelled", outer:result())
  end))

  it("CA-07 is raised again by each park, but not in a shield", inside(function()
    local seen = {}
    local t = async.create_task(function()
      seen[1] = async.catch_cancelled(async.sleep, 10)
      seen[2] = async.catch_cancelled(async.checkpoint)
      seen[3] = async.shield(function()
        async.sleep(1)
        return "shielded"
      end)
      seen[4] = async.catch_cancelled(async.sleep, 0)
      return "value"
    end)
    async.checkpoint()
    t:cancel()
    assert.equal("value", t:result())
    assert.same({ false, false, "shielded", false }, seen)
  end))

  it("CA-09 of itself, without parking afterwards, changes nothing", inside(function()
    local t = async.create_task(function()
      async.current_task():cancel()
      return 5
    end)
    assert.equal(5, t:result())
    assert.equal("done", t:state())
  end))

  it("CA-11 carries its reason", inside(function()
    local info
    local inner = async.create_task(function()
      local ok
      ok, info = async.catch_cancelled(async.sleep, 10)
      assert.is_false(ok)
      async.checkpoint()
    end)
    local outer = async.create_task(function() return inner:result() end)
    async.checkpoint()
    inner:cancel { reason = "my message" }
    local _, err = outer:outcome()
    assert.equal("my message", err.reason)
    assert.same({ "my message", "explicit" }, { info.reason, info.source })
    assert.matches("my message", err.message)
  end))

  it("CA-35 the first reason wins", inside(function()
    local t = async.create_task(async.sleep, 10)
    async.checkpoint()
    t:cancel { reason = "first" }
    t:cancel { reason = "second" }
    assert.equal("first", select(2, t:outcome()).reason)
  end))

  it("CA-13 shows in cancelling()", inside(function()
    local seen = {}
    local t = async.create_task(function()
      local me = async.current_task()
      seen[1] = me:cancelling()
      async.scope(function(scope)
        scope:cancel()
        seen[2] = me:cancelling()
        seen[3] = async.cancelled()
      end)
      seen[4] = me:cancelling()
      async.sleep(10)
    end)
    async.checkpoint()
    t:cancel()
    assert.is_true(t:cancelling())
    t:wait()
    assert.is_false(t:cancelling())
    assert.same({ false, true, true, false }, seen)
  end))

  it("CA-15 leaves a traceback that shows where the task was parked", inside(function()
    local t = async.create_task(function()
      async.sleep(10) -- here
      return 1
    end)
    async.checkpoint()
    t:cancel()
    t:wait()
    local line = debug.getinfo(1, "l").currentline - 6
    assert.matches(("async_cancel_spec.lua:%d:"):format(line), t:traceback())
  end))

  it("CA-17 removes the timer of a sleep", function()
    local start = async.time()
    async.run(function()
      local t = async.create_task(async.sleep, 100)
      async.checkpoint()
      t:cancel()
      t:wait()
    end)
    assert.is_true(async.time() - start < 50)
  end)

  it("CA-27 what is awaited inside is left before the outer cleanup", inside(function()
    local seen = {}
    local t = async.create_task(function()
      local _ <close> = on_close(function() seen[#seen + 1] = "outer" end)
      local function inner()
        local _ <close> = on_close(function() seen[#seen + 1] = "inner" end)
        async.sleep(10)
      end
      inner()
    end)
    async.checkpoint()
    t:cancel()
    t:wait()
    assert.same({ "inner", "outer" }, seen)
  end))

  it("CA-37 is not caught by pcall", inside(function()
    local after = false
    local t = async.create_task(function()
      while true do
        pcall(async.sleep, 1)
        after = async.cancelled()
      end
    end)
    async.sleep(2.5)
    t:cancel()
    t:wait()
    assert.is_true(t:cancelled())
    assert.is_false(after)
  end))

  it("is not caught by xpcall, resume and wrap", inside(function()
    local handled = false
    for _, fn in ipairs {
      function() xpcall(async.sleep, function() handled = true end, 10) return 1 end,
      function() coroutine.resume(coroutine.create(async.sleep), 10) return 1 end,
      function() pcall(coroutine.wrap(async.sleep), 10) return 1 end,
    } do
      local t = async.create_task(fn)
      async.checkpoint()
      t:cancel()
      t:wait()
      assert.is_true(t:cancelled())
    end
    assert.is_false(handled)
  end))

  it("CA-39 closes what generators hold, inner first", inside(function()
    local seen = {}
    local t = async.create_task(function()
      local _ <close> = on_close(function() seen[#seen + 1] = "task" end)
      coroutine.wrap(function()
        local _ <close> = on_close(function() seen[#seen + 1] = "generator" end)
        async.sleep(10)
      end)()
    end)
    async.checkpoint()
    t:cancel()
    t:wait()
    assert.same({ "generator", "task" }, seen)
  end))

  it("CA-41 closes variables in reverse order, each with the signal", inside(function()
    local seen, signals = {}, {}
    local t = async.create_task(function()
      local function note(name)
        return on_close(function(err)
          seen[#seen + 1] = name
          signals[#signals + 1] = err
        end)
      end
      local _ <close> = note "a"
      local _ <close> = note "b"
      local _ <close> = note "c"
      async.sleep(10)
    end)
    async.checkpoint()
    t:cancel { reason = "why" }
    t:wait()
    assert.same({ "c", "b", "a" }, seen)
    assert.equal("why", signals[1].reason)
    assert.equal(signals[1], signals[3])
  end))

  it("CA-43 cleanup may wait in a shield only", inside(function()
    local seen = {}
    local t = async.create_task(function()
      local _ <close> = on_close(function()
        seen[#seen + 1] = async.catch_cancelled(async.sleep, 1)
        local start = async.time()
        async.shield(async.sleep, 1)
        seen[#seen + 1] = async.time() - start > 0.9
        seen[#seen + 1] = async.catch_cancelled(async.shield, { timeout = 0.1 }, async.sleep, 10)
        seen[#seen + 1] = async.time() - start < 1.2
      end)
      async.sleep(10)
    end)
    async.checkpoint()
    t:cancel()
    t:wait()
    assert.same({ false, true, false, true }, seen)
    assert.is_true(t:cancelled())
  end))

  it("before it has started a task never runs", inside(function()
    local ran = false
    local t = async.create_task(function() ran = true end)
    t:cancel { reason = "no" }
    assert.equal("no", select(2, t:outcome()).reason)
    assert.is_false(ran)
  end))

  it("GA-09 a result that is there is not lost", inside(function()
    local f = futures.new()
    local t = async.create_task(function()
      local value = f:result()
      return value, (async.catch_cancelled(async.checkpoint))
    end)
    async.checkpoint()
    f:set_result("value")
    t:cancel()
    assert.same({ "value", false }, { t:result() })
  end))

  it("leaves no waiter behind", inside(function()
    local f = futures.new()
    local waiters = {}
    for i = 1, 5 do waiters[i] = async.create_task(f.result, f) end
    async.checkpoint()
    waiters[2]:cancel()
    waiters[4]:cancel()
    async.checkpoint()
    f:set_result(7)
    for i = 1, 5, 2 do assert.equal(7, waiters[i]:result()) end
    assert.is_true(waiters[2]:cancelled())
  end))

  it("a signal kept and raised later ends only the task that raises it", inside(function()
    local _, info = async.scope(function(scope)
      scope:cancel()
      return async.catch_cancelled(async.checkpoint)
    end)
    assert.is_false(info)
    local signal
    local t = async.create_task(function()
      async.current_task():cancel()
      signal = select(2, async.catch_cancelled(async.checkpoint))
    end)
    t:wait()
    local u = async.create_task(function() pcall(error, signal, 0) return 1 end)
    u:wait()
    assert.is_true(u:cancelled())
  end))
end)

describe("parking", function()
  it("CA-45 where it is not possible names the boundary, and can be caught", inside(function()
    local function fails(name, fn, ...)
      local err = raised_by(fn, ...)
      assert.equal("invalid_state", err.kind)
      assert.matches("cannot wait inside " .. name, err.message)
    end
    local function sleep() async.sleep(1) end
    fails("'table.sort'", table.sort, { 1, 2, 3 }, sleep)
    fails("'string.gsub'", string.gsub, "x", ".", sleep)
    fails("'table.sort'", table.sort, { 1, 2, 3 }, function() pcall(error) sleep() end)
    fails("'string.gsub'", string.gsub, "x", ".", coroutine.wrap(sleep))
    fails("'string.gsub'", string.gsub, "x", ".", coroutine.wrap(function() async.checkpoint() end))
    fails("'string.gsub'", string.gsub, "x", ".", coroutine.wrap(function() coroutine.wrap(sleep)() end))
    fails("'string.gsub'", string.gsub, "x", ".", function() futures.new():result() end)
    fails("'string.gsub'", string.gsub, "x", ".", coroutine.wrap(function() futures.new():result() end))
    local pool <close> = proc_pool.new { max_workers = 1, max_queue = 1 }
    local function stay() while true do end end
    for _ = 1, 2 do pool:submit(stay) end
    fails("'string.gsub'", string.gsub, "x", ".", function() pool:submit(stay) end)
    pool:kill()
    local _, message = load(function() sleep() end)
    assert.matches("cannot wait inside 'load'", message.message)
    package.preload["tests.spec.parks"] = sleep
    fails("'require'", require, "tests.spec.parks")
    local _, err = xpcall(error, function()
      return select(2, pcall(sleep))
    end, "x")
    assert.matches("cannot wait inside a message handler", err.message)
    async.sleep(1)
  end))

  it("is not possible in the cleanup of a generator that was cut off", inside(function()
    local err
    pcall(coroutine.wrap(function()
      local _ <close> = on_close(function() err = raised_by(async.sleep, 1) end)
      error "cut off"
    end))
    assert.matches("cannot wait inside the cleanup of a coroutine that an error", err.message)
  end))

  it("works in 180 nested generators", inside(function()
    local function nest(n)
      if n == 0 then
        async.sleep(1)
        return "bottom"
      end
      return coroutine.wrap(nest)(n - 1)
    end
    assert.equal("bottom", nest(180))
  end))

  it("works across pcall, metamethods and iterators", inside(function()
    local t = setmetatable({}, { __index = function(_, key) async.sleep(1) return key end,
                                 __add = function() async.sleep(1) return "sum" end })
    assert.equal("x", t.x)
    assert.equal("sum", t + 1)
    assert.is_true(pcall(async.sleep, 1))
    for i in function(_, i)
      async.sleep(1)
      return (i or 0) < 3 and (i or 0) + 1 or nil
    end do assert.is_true(i <= 3) end
    local _ <close> = on_close(function() async.sleep(1) end)
  end))

  it("CA-47 is fair", inside(function()
    local seen, stop = {}, false
    local function busy(name)
      while not stop do
        seen[#seen + 1] = name
        async.checkpoint()
      end
    end
    async.create_task(busy, "a")
    async.create_task(busy, "b")
    for _ = 1, 20 do async.checkpoint() end
    stop = true
    for i = 1, 40 do assert.equal(i % 2 == 1 and "a" or "b", seen[i]) end
  end))

  it("CA-47 a task that is always ready does not starve timers", function()
    async.run(function()
      local stop, turns = false, 0
      local t = async.create_task(function()
        while not stop do
          turns = turns + 1
          async.checkpoint()
        end
      end)
      async.sleep(0.01)
      stop = true
      t:result()
      assert.is_true(turns > 10)
    end)
  end)

  it("sequential awaits of finished futures go on for ever", inside(function()
    local f = futures.new()
    f:set_result(1)
    local sum = 0
    for _ = 1, 10000 do sum = sum + f:result() end
    assert.equal(10000, sum)
    local previous = async.create_task(function() return 0 end)
    for _ = 1, 3000 do
      local awaited = previous
      previous = async.create_task(function() return awaited:result() + 1 end)
    end
    assert.equal(3000, previous:result())
  end))
end)
