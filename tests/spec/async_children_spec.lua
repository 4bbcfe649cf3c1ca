-- SPDX-License-Identifier: MIT
-- Task groups: their children, their limits, their function form.
local async = require "async"
local futures = require "futures"
local virtual = require "tests.spec.support.virtual"

local inside, on_close, raised_by = virtual.it, virtual.on_close, virtual.raised_by

local function sleep_and_fail(seconds, err)
  async.sleep(seconds)
  error(err, 0)
end

-- The error that leaves a group whose body is fn(tg).
local function group_error(fn, options)
  return raised_by(function()
    local tg <close> = async.task_group(options)
    fn(tg)
  end)
end

describe("a task group", function()
  it("TG-41 start: goes on once the task says so; the group stays open", inside(function()
    local port, failure
    do
      local tg <close> = async.task_group()
      tg:create_task(function()
        port = { tg:start(function(n)
          async.sleep(1)
          async.started(n, "ready")
          async.sleep(1)
        end, 80) }
      end)
    end
    assert.same({ 80, "ready" }, port)
    do
      local tg <close> = async.task_group()
      failure = raised_by(tg.start, tg, sleep_and_fail, 1, "not started")
      assert.equal("not started", failure)
      assert.matches("without calling async.started", raised_by(tg.start, tg, async.checkpoint).message)
    end
    assert.equal("invalid_state", raised_by(async.started).kind)
  end))

  it("start that is cancelled ends its task", inside(function()
    local ended
    local tg <close> = async.task_group()
    async.move_on_after(1, function()
      tg:start(function()
        local _ <close> = on_close(function() ended = true end)
        async.sleep(100)
      end)
    end)
    assert.is_true(ended)
    assert.equal(0, #tg)
  end))

  it("TG-43 with start_on_cancel a task starts in a cancelled scope, and its first park raises", inside(function()
    local seen = {}
    async.group(function(tg)
      tg:cancel()
      local never = tg:create_task(function() seen[#seen + 1] = "never" end)
      tg:with { start_on_cancel = true }:create_task(function()
        seen[#seen + 1] = "started"
        async.checkpoint()
        seen[#seen + 1] = "parked"
      end)
      async.shield(never.wait, never)
      assert.is_true(never:cancelled())
    end)
    assert.same({ "started" }, seen)
  end))

  it("is of no use after its end", inside(function()
    local kept
    do
      local tg <close> = async.task_group { name = "short" }
      kept = tg
    end
    local err = raised_by(kept.create_task, kept, print)
    assert.equal("invalid_state", err.kind)
    assert.matches("create_task: task group 'short' has ended", err.message)
    assert.is_false(kept:cancel())
    assert.is_true(kept:join())
    assert.equal(0, #kept)
    assert.matches("parhost.TaskGroup: 0x.* task group 'short', ended", tostring(kept))
    assert.matches("bad argument #1 to 'create_task' %(function expected, got string", raised_by(function()
      local tg <close> = async.task_group()
      tg:create_task("x")
    end).errors[1])
  end))

  it("takes children from other tasks, but is closed by its own", inside(function()
    local seen = {}
    do
      local tg <close> = async.task_group()
      async.create_task(function()
        tg:create_task(function() seen[1] = true end)
        seen[2] = raised_by(getmetatable(tg).__close, tg)
      end):result()
    end
    assert.is_true(seen[1])
    assert.matches("closed outside of the task that opened it", seen[2])
  end))

  it("takes children while it is closing", inside(function()
    local seen
    do
      local tg <close> = async.task_group()
      tg:create_task(function()
        async.sleep(1)
        tg:create_task(function() seen = async.sleep(1) or "late child" end)
      end)
    end
    assert.equal("late child", seen)
  end))

  it("max_concurrency bounds those that run; create_task never blocks", inside(function()
    local running, most = 0, 0
    local seconds = virtual.seconds(function()
      local tg <close> = async.task_group { max_concurrency = 3 }
      for _ = 1, 10 do
        tg:create_task(function()
          running = running + 1
          most = math.max(most, running)
          async.sleep(1)
          running = running - 1
        end)
      end
      assert.equal(10, #tg)
      assert.equal(0, running)
    end)
    assert.equal(3, most)
    assert.equal(4, math.floor(seconds + 0.5))
  end))

  it("max_concurrency: those that wait are cancelled with the rest", inside(function()
    local ran = 0
    local err = group_error(function(tg)
      tg:create_task(sleep_and_fail, 1, "x")
      for _ = 1, 5 do tg:create_task(function() ran = ran + 1 end) end
    end, { max_concurrency = 1 })
    assert.same({ "x" }, err.errors)
    assert.equal(0, ran)
  end))

  it("cancel: an error `cancelled` leaves the block; the function form just ends", inside(function()
    local function cancel_soon(tg)
      tg:create_task(function()
        async.sleep(1)
        tg:cancel("enough")
      end)
      async.sleep(100)
    end
    local err = group_error(cancel_soon)
    assert.same({ "cancelled", "enough", "explicit" }, { err.kind, err.reason, err.source })
    assert.equal(0, select("#", async.group(cancel_soon)))
    async.sleep(1)
  end))

  it("group: the function form gives the body's values or raises", inside(function()
    assert.same({ "a", nil, 3, n = 3 }, table.pack(async.group(function(tg, x)
      tg:create_task(async.sleep, 1)
      return x, nil, 3
    end, "a")))
    local err = raised_by(async.group, { name = "g" }, function(tg)
      tg:create_task(error, "child", 0)
      async.sleep(5)
    end)
    assert.same({ "child" }, err.errors)
    assert.equal("group", raised_by(async.group, error, "x").kind)
    assert.matches("bad argument #2 to 'group'", raised_by(async.group, {}, 5))
  end))

  it("join waits for the children, and leaves the group open", inside(function()
    local tg <close> = async.task_group()
    tg:create_task(async.sleep, 2)
    assert.is_false(tg:join(1))
    assert.is_true(tg:join())
    tg:create_task(async.sleep, 1)
    assert.equal(1, #tg)
  end))

  it("a failed child is not reported as unhandled", function()
    local reported = 0
    futures.on_unhandled(function() reported = reported + 1 end)
    virtual.run(function()
      pcall(async.group, function(tg) tg:create_task(error, "x") end)
      async.create_task(error, "y")
      async.checkpoint()
    end)
    collectgarbage()
    collectgarbage()
    futures.on_unhandled(nil)
    assert.equal(1, reported)
  end)
end)
