-- SPDX-License-Identifier: MIT
-- Cancel scopes: timeouts, move_on_after, scopes cancelled by hand.
local async = require "async"
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

local function sleep_long() async.sleep(10) end

describe("timeout", function()
  it("TO-01 turns its expiry into an error", inside(function()
    local err, t
    local seconds = virtual.seconds(function() err, t = in_block(0.01, sleep_long) end)
    assert.equal("timeout", err.kind)
    assert.equal(0.01, err.seconds)
    assert.matches("the time limit of 0.01 s has passed", err.message)
    assert.is_true(t:expired())
    assert.is_true(seconds < 1)
  end))

  it("TO-03 nested with the same deadline: the outer one raises", inside(function()
    local inner, outer, inner_error, closed
    local err = raised_by(function()
      local o <close> = async.timeout(1)
      outer = o
      inner_error = in_block(1, function(t)
        inner = t
        local _ <close> = on_close(function(e) closed = e.source end)
        sleep_long()
      end)
    end)
    assert.equal("timeout", err.kind)
    assert.is_nil(inner_error)
    assert.equal("deadline", closed)
    assert.is_true(inner:expired() and outer:expired())
  end))

  it("only the one that fired raises", inside(function()
    local inner_error
    local err = in_block(10, function()
      inner_error = in_block(1, sleep_long)
      async.sleep(1)
    end)
    assert.equal("timeout", inner_error.kind)
    assert.equal(1, inner_error.seconds)
    assert.is_nil(err)
    err = in_block(1, function() in_block(5, sleep_long) end)
    assert.equal(1, err.seconds)
  end))

  it("TO-05 TO-25 nothing happens when the block ends in time", function()
    local start = async.time()
    async.run(function()
      local err, t = in_block(100, async.checkpoint)
      assert.is_nil(err)
      assert.is_false(t:expired())
    end)
    assert.is_true(async.time() - start < 50)
    assert.is_nil(virtual.run(in_block, nil, async.checkpoint))
  end)

  it("TO-07 TO-09 of 0, or in the past, raises at the first park", inside(function()
    for _, seconds in ipairs { 0, -1 } do
      local before, after
      local err = in_block(seconds, function()
        before = true
        async.sleep(seconds == 0 and 10 or 0)
        after = true
      end)
      assert.equal("timeout", err.kind)
      assert.is_true(before)
      assert.is_nil(after)
    end
    assert.is_nil((in_block(0, function() end)))
  end))

  it("TO-11 an error of the cleanup wins, and keeps the timeout as its cause", inside(function()
    local mine = {}
    local err = in_block(1, function()
      local _ <close> = on_close(function() error(mine) end)
      sleep_long()
    end)
    assert.equal(mine, err)
    assert.equal("timeout", err.cause.kind)
    err = in_block(1, function()
      local _ <close> = on_close(function() error("text", 0) end)
      sleep_long()
    end)
    assert.equal("text", err)
    local early = {}
    assert.equal(early, (in_block(1, function() error(early) end)))
    assert.is_nil(early.cause)
  end))

  it("TO-13 leaves the task as it was", inside(function()
    in_block(1, sleep_long)
    assert.is_false(async.current_task():cancelling())
    async.sleep(1)
  end))

  it("TO-15 inner and outer expire one after the other", inside(function()
    local inner_error
    local err = in_block(2, function()
      inner_error = in_block(1, sleep_long)
      async.sleep(10)
    end)
    assert.equal(1, inner_error.seconds)
    assert.equal(2, err.seconds)
  end))

  it("TO-15 a busy step makes the inner one late, then the outer one interrupts", function()
    async.run(function()
      local inner_error
      local err = in_block(0.3, function()
        inner_error = in_block(0.01, function()
          local start = async.time()
          while async.time() < start + 0.03 do end
          async.sleep(10)
        end)
        async.sleep(10)
      end)
      assert.equal(0.01, inner_error.seconds)
      assert.equal(0.3, err.seconds)
    end)
  end)

  it("TO-17 works during the cleanup of another, in a shield", inside(function()
    local inner_error
    local err = in_block(1, function()
      local _ <close> = on_close(function()
        async.shield(function() inner_error = in_block(2, sleep_long) end)
      end)
      sleep_long()
    end)
    assert.equal(2, inner_error.seconds)
    assert.equal(1, err.seconds)
  end))

  it("TO-19 can be moved while it is active, and not else", inside(function()
    local function refused(t, state)
      local err = raised_by(t.reschedule, t, 1)
      assert.same({ "invalid_state", state }, { err.kind, err.state })
      assert.matches(state, err.message)
    end
    local err, t = in_block(1, function(t)
      local start = async.time()
      assert.is_true(math.abs(t:when() - start - 1) < 1e-6)
      t:reschedule(3)
      async.sleep(2)
      t:reschedule(nil)
      assert.is_nil(t:when())
      async.sleep(20)
      t:reschedule(1)
      local _ <close> = on_close(function() refused(t, "expiring") end)
      sleep_long()
    end)
    assert.equal("timeout", err.kind)
    refused(t, "expired")
    local _, left = in_block(1, function() end)
    refused(left, "finished")
    assert.matches("parhost.Timeout: 0x.* state=finished", tostring(left))
    assert.matches("number expected, got NaN", raised_by(async.timeout, 0 / 0))
  end))

  it("timeout_at takes a point in time", inside(function()
    local when = async.time() + 2
    local err
    assert.equal(2, math.floor(0.5 + virtual.seconds(function()
      err = raised_by(function()
        local _ <close> = async.timeout_at(when)
        sleep_long()
      end)
    end)))
    assert.equal("timeout", err.kind)
  end))

  it("TO-21 around a group whose child fails in its cleanup", inside(function()
    local child
    local err = in_block(1, function()
      local tg <close> = async.task_group()
      child = tg:create_task(function()
        local _ <close> = on_close(function() error("cleanup", 0) end)
        sleep_long()
      end)
    end)
    assert.equal("group", err.kind)
    assert.same({ "cleanup" }, err.errors)
    assert.equal("timeout", err.cause.kind)
    assert.is_true(child:done())
  end))

  it("needs a task", function()
    assert.equal("invalid_state", raised_by(async.timeout, 1).kind)
  end)

  it("is not caught by pcall inside of its block", inside(function()
    local rounds = 0
    local err = in_block(1, function()
      while true do
        pcall(async.sleep, 10)
        rounds = rounds + 1
      end
    end)
    assert.equal("timeout", err.kind)
    assert.equal(0, rounds)
  end))
end)

describe("move_on_after", function()
  it("TO-23 goes on when the time is up", inside(function()
    assert.equal(1, math.floor(0.5 + virtual.seconds(function()
      assert.same({ false, n = 1 }, table.pack(async.move_on_after(1, async.sleep, 100)))
    end)))
    assert.same({ true, "a", nil, n = 3 }, table.pack(async.move_on_after(1, function(...) return ... end, "a", nil)))
    assert.equal("x", raised_by(async.move_on_after, 1, error, "x", 0))
    assert.is_true((async.move_on_after(nil, async.sleep, 100)))
    assert.matches("bad argument #2 to 'move_on_after'", raised_by(async.move_on_after, 1, 5))
  end))

  it("an outer cancellation goes on", inside(function()
    local seen
    assert.is_false((async.move_on_after(1, function()
      seen = async.move_on_after(1, async.sleep, 10)
    end)))
    assert.is_nil(seen)
  end))

  it("works in plain code", function()
    assert.is_false((async.move_on_after(0.001, async.sleep, 100)))
  end)
end)

describe("a scope", function()
  it("CA-29 cancelled twice is cancelled once; each park raises", inside(function()
    local raised = {}
    assert.is_false((async.scope(function(scope)
      assert.is_true(scope:cancel("once"))
      assert.is_false(scope:cancel("twice"))
      raised[1], raised[2] = async.catch_cancelled(async.checkpoint)
      raised[3] = async.catch_cancelled(async.sleep, 1)
      assert.is_true(scope:cancelled())
      async.checkpoint()
    end)))
    assert.is_false(raised[1] or raised[3])
    assert.matches("parhost.cancelled: once %(source: explicit%)", tostring(raised[2]))
    assert.equal("once", raised[2].reason)
    async.sleep(1)
  end))

  it("CA-31 cancels what was spawned inside of it, by whomever", inside(function()
    local mine, theirs
    assert.is_false((async.scope(function(scope)
      async.group(function(tg)
        mine = tg:create_task(async.sleep, 100)
        async.create_task(function() theirs = tg:create_task(async.sleep, 100) end):result()
        scope:cancel()
      end)
    end)))
    assert.is_true(mine:cancelled() and theirs:cancelled())
  end))

  it("CA-33 that has been left cannot be cancelled", inside(function()
    local kept
    assert.same({ true, 5 }, { async.scope(function(scope) kept = scope return 5 end) })
    assert.is_false(kept:cancel())
    assert.is_false(kept:cancelled())
    async.sleep(1)
  end))

  it("is cancelled from outside", inside(function()
    local kept
    local t = async.create_task(function()
      return async.scope(function(scope) kept = scope async.sleep(100) end)
    end)
    async.checkpoint()
    kept:cancel()
    assert.is_false(t:result())
  end))

  it("CA-35 says why in info.source", inside(function()
    local function source_of(fn, ...)
      local _, info = async.catch_cancelled(fn, ...)
      return info.source
    end
    local sources = {}
    async.move_on_after(1, function() sources[1] = source_of(async.sleep, 10) end)
    async.scope(function(scope) scope:cancel() sources[2] = source_of(async.sleep, 10) end)
    pcall(async.group, function(tg)
      tg:create_task(error, "x")
      sources[3] = source_of(async.sleep, 10)
    end)
    assert.same({ "deadline", "explicit", "group" }, sources)
    async.scope(function(scope)
      scope:cancel()
      local _, info = async.catch_cancelled(async.checkpoint)
      assert.is_nil(info.reason)
      assert.equal("parhost.cancelled: cancelled (source: explicit)", tostring(info))
    end)
  end))

  it("in a generator counts only while that runs", inside(function()
    local expired
    local function generator()
      return coroutine.wrap(function()
        local t <close> = async.timeout(1)
        async.sleep(0.4)
        coroutine.yield(1)
        expired = t:expired()
        async.sleep(0.1)
        coroutine.yield(2)
      end)
    end
    local next_value = generator()
    assert.equal(1, next_value())
    async.sleep(5) -- the generator's time is up meanwhile
    assert.is_false(async.cancelled())
    assert.equal("timeout", raised_by(next_value).kind)
    assert.is_true(expired)
    async.sleep(1)
    next_value = generator()
    next_value()
    next_value = nil -- luacheck: ignore 311
    async.sleep(5)
    collectgarbage()
    async.sleep(5)
  end))

  it("in a generator is inside of what its consumer has opened", inside(function()
    local next_value = coroutine.wrap(function()
      local _ <close> = async.timeout(100)
      coroutine.yield(1)
      local _ <close> = async.timeout(100)
      coroutine.yield(2)
      async.sleep(10)
    end)
    next_value()
    async.move_on_after(1, next_value)
    assert.is_false((async.move_on_after(1, next_value)))
    async.sleep(1)
    assert.matches("cannot resume dead coroutine", raised_by(next_value))
  end))

  it("in a generator may be used up by another task, and outlive its own", inside(function()
    local next_value
    async.create_task(function()
      next_value = coroutine.wrap(function()
        local _ <close> = async.timeout(1)
        coroutine.yield(1)
        async.sleep(10)
      end)
      next_value()
    end):result()
    assert.equal("timeout", raised_by(next_value).kind)
    assert.is_false(async.cancelled())
  end))

  it("many, nested", inside(function()
    local depth = 0
    local function nest(n, top)
      if n == 0 then return top:cancel() and async.sleep(1) end
      depth = depth + 1
      return async.scope(function(scope) return nest(n - 1, top or scope) end)
    end
    assert.is_false((nest(100)))
    assert.equal(100, depth)
  end))
end)
