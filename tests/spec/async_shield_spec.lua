-- SPDX-License-Identifier: MIT
-- Shields, and wait_for.
local async = require "async"
local futures = require "futures"
local virtual = require "tests.spec.support.virtual"

local inside, on_close, raised_by = virtual.it, virtual.on_close, virtual.raised_by

-- Runs fn(t) in a block with a timeout, and gives the error that leaves it, or nil.
local function in_block(seconds, fn)
  local kept
  local ok, err = pcall(function()
    local t <close> = async.timeout(seconds)
    kept = t
    fn(t)
  end)
  if ok then err = nil end
  return err, kept
end

describe("a shield", function()
  it("holds a cancellation off, until it is left", inside(function()
    local t = async.create_task(function()
      local value = async.shield(function()
        async.sleep(1)
        return "value"
      end)
      assert.is_true(async.cancelled())
      async.checkpoint()
      return value
    end)
    async.checkpoint()
    t:cancel()
    local seconds = virtual.seconds(t.wait, t)
    assert.is_true(t:cancelled())
    assert.is_true(seconds > 0.9)
  end))

  it("with a timeout, for so long", inside(function()
    local t = async.create_task(function() async.shield({ timeout = 1 }, async.sleep, 10) end)
    async.checkpoint()
    t:cancel()
    assert.is_true(virtual.seconds(t.wait, t) < 2)
    assert.is_true(t:cancelled())
    assert.is_nil(async.shield({ timeout = 1 }, async.sleep, 2))
  end))

  it("WF-17 around a future: cancelling the waiter leaves it alone", inside(function()
    local f = futures.new()
    local t = async.create_task(function() return async.shield(f) end)
    async.checkpoint()
    t:cancel()
    t:wait()
    assert.is_true(t:cancelled())
    f:set_result("not lost")
    assert.equal("not lost", async.shield(f))
    assert.equal("timeout", raised_by(async.shield, { timeout = 0 }, futures.new()).kind)
    assert.matches("bad argument #1 to 'shield'", raised_by(async.shield, 5))
    assert.matches("unknown option 'time'", raised_by(async.shield, { time = 5 }, print))
  end))

  it("in plain code just calls", function()
    assert.equal(5, async.shield(function() return 5 end))
  end)
end)

describe("wait_for", function()
  local function done(...)
    local f = futures.new()
    f:set_result(...)
    return f
  end

  it("WF-01 gives what is there, with 0 seconds", inside(function()
    assert.equal(5, async.wait_for(done(5), 0))
    assert.equal(6, async.wait_for(function() return 6 end, 0))
  end))

  it("WF-03 cancels a running task, and waits for its end", inside(function()
    for _, seconds in ipairs { 0, -1 } do
      local t = async.create_task(async.sleep, 10)
      async.checkpoint()
      assert.equal("timeout", raised_by(async.wait_for, t, seconds).kind)
      assert.is_true(t:cancelled())
    end
  end))

  it("WF-05 without a limit waits", inside(function()
    assert.equal("x", async.wait_for(function(x) async.sleep(100) return x end, nil, "x"))
  end))

  it("WF-07 WF-11 gives the value of what was not stopped by the cancellation", inside(function()
    local function stubborn()
      async.catch_cancelled(async.sleep, 10)
      return 1
    end
    assert.equal(1, async.wait_for(stubborn, 1))
    assert.equal(1, async.wait_for(async.create_task(stubborn), 1))
  end))

  it("WF-09 raises the error of the cleanup", inside(function()
    local function fails()
      local _ <close> = on_close(function() error("cleanup", 0) end)
      async.sleep(10)
    end
    assert.equal("cleanup", raised_by(async.wait_for, fails, 1))
    assert.equal("cleanup", raised_by(async.wait_for, async.create_task(fails), 1))
  end))

  it("WF-13 lasts as long as what it cancels", inside(function()
    local function slow()
      local _ <close> = on_close(function() async.shield(async.sleep, 0.2) end)
      async.sleep(10)
    end
    for _, what in ipairs { slow, async.create_task(slow) } do
      local err
      local seconds = virtual.seconds(function() err = raised_by(async.wait_for, what, 0.1) end)
      assert.equal("timeout", err.kind)
      assert.is_true(seconds > 0.29)
    end
  end))

  it("WF-15 with a shielded future: the task goes on", inside(function()
    local t = async.create_task(function() async.sleep(2) return "value" end)
    assert.equal("timeout", raised_by(async.wait_for, function() return async.shield(t) end, 1).kind)
    assert.is_false(t:done())
    assert.equal("value", async.wait_for(function() return async.shield(t) end, nil))
  end))

  it("the outer cancellation wins", inside(function()
    local caught
    local err = in_block(1, function()
      caught = select(2, pcall(async.wait_for, async.sleep, 1, 10))
    end)
    assert.equal("timeout", err.kind)
    assert.is_nil(caught)
    local t = async.create_task(async.sleep, 10)
    local u = async.create_task(async.wait_for, t, 5)
    async.sleep(1)
    u:cancel()
    u:wait()
    assert.is_true(u:cancelled() and t:cancelled())
  end))

  it("works in plain code", function()
    assert.equal(5, async.wait_for(function() async.sleep(0.001) return 5 end, 10))
    assert.equal("timeout", raised_by(async.wait_for, async.sleep, 0.001, 100).kind)
    assert.matches("bad argument #1 to 'wait_for'", raised_by(async.wait_for, 5, 1))
  end)
end)
