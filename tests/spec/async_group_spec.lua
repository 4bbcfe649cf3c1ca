-- SPDX-License-Identifier: MIT
-- Task groups.
local async = require "async"
local virtual = require "tests.spec.support.virtual"

local inside, on_close, raised_by = virtual.it, virtual.on_close, virtual.raised_by

local function sleep_and_return(seconds, ...)
  async.sleep(seconds)
  return ...
end

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
  it("TG-01 waits for its children", inside(function()
    local a, b
    assert.equal(200, math.floor(0.5 + 1000 * virtual.seconds(function()
      local tg <close> = async.task_group()
      a = tg:create_task(sleep_and_return, 0.1, 42)
      b = tg:create_task(sleep_and_return, 0.2, 11)
    end)))
    assert.equal(42, a:result())
    assert.equal(11, b:result())
  end))

  it("TG-03 ends normally when a child was cancelled", inside(function()
    local a, b
    do
      local tg <close> = async.task_group()
      a = tg:create_task(async.sleep, 10)
      b = tg:create_task(sleep_and_return, 0.1, 2)
      async.checkpoint()
      a:cancel()
    end
    assert.is_true(a:cancelled())
    assert.equal(2, b:result())
  end))

  it("TG-05 TG-07 a failing child cancels the others and the body", inside(function()
    local others, after, closed
    local err = group_error(function(tg)
      others = { tg:create_task(sleep_and_fail, 0.1, "a"), tg:create_task(sleep_and_fail, 0.1, "b"),
                 tg:create_task(sleep_and_fail, 0.1, "c"), tg:create_task(async.sleep, 100) }
      local _ <close> = on_close(function(e) closed = e.source end)
      async.sleep(100)
      after = true
    end)
    assert.equal("group", err.kind)
    assert.same({ "a", "b", "c" }, err.errors)
    assert.matches("3 errors in a task group: a", err.message)
    assert.is_nil(after)
    assert.equal("group", closed)
    for _, t in ipairs(others) do assert.is_true(t:done()) end
    assert.is_true(others[4]:cancelled())
  end))

  it("TG-09 an error of the body cancels the children", inside(function()
    local t
    local err = group_error(function(tg)
      t = tg:create_task(async.sleep, 100)
      async.sleep(0.1)
      error("body", 0)
    end)
    assert.same({ "body" }, err.errors)
    assert.is_true(t:cancelled())
  end))

  it("TG-11 nested groups that fail during a cancellation give nested errors", inside(function()
    local err = group_error(function(outer)
      outer:create_task(function()
        local inner <close> = async.task_group()
        inner:create_task(function()
          local _ <close> = on_close(function() error("cleanup", 0) end)
          async.sleep(100)
        end)
        async.sleep(100)
      end)
      async.checkpoint()
      async.checkpoint()
      error("body", 0)
    end)
    assert.equal(2, #err.errors)
    assert.equal("body", err.errors[1])
    assert.equal("group", err.errors[2].kind)
    assert.same({ "cleanup" }, err.errors[2].errors)
    assert.same({ "body", "cleanup" }, err:flatten())
  end))

  it("TG-13 the outer group has only the error, the inner children are cancelled", inside(function()
    local inner_child
    local err = group_error(function(outer)
      outer:create_task(sleep_and_fail, 0.1, "outer")
      local inner <close> = async.task_group()
      inner_child = inner:create_task(async.sleep, 100)
    end)
    assert.same({ "outer" }, err.errors)
    assert.is_true(inner_child:cancelled())
  end))

  it("TG-15 a child's error during shielded cleanup of a cancelled body", inside(function()
    local t = async.create_task(function()
      local tg <close> = async.task_group()
      tg:create_task(function() async.shield(sleep_and_fail, 0.3, "child") end)
      local _ <close> = on_close(function() async.shield(async.sleep, 0.5) end)
      async.sleep(100)
    end)
    async.sleep(0.01)
    t:cancel()
    local _, err = t:outcome()
    assert.equal("group", err.kind)
    assert.same({ "child" }, err.errors)
  end))

  it("TG-17 an empty group hands a cancellation on", inside(function()
    local t = async.create_task(function()
      local _ <close> = async.task_group()
      async.sleep(100)
    end)
    async.checkpoint()
    t:cancel { reason = "why" }
    assert.equal("why", select(2, t:outcome()).reason)
  end))

  it("TG-19 TG-21 errors of child and body are both kept, whatever they are", inside(function()
    local err = group_error(function(tg)
      tg:create_task(sleep_and_fail, 0.1, 42)
      local _ <close> = on_close(function() error(false, 0) end)
      async.sleep(100)
    end)
    assert.same({ 42, false }, err.errors)
  end))

  it("TG-23 counts those that live", inside(function()
    local tg <close> = async.task_group()
    for i = 1, 10 do
      tg:create_task(async.sleep, i)
      assert.equal(i, #tg)
      assert.equal(i, #tg:tasks())
    end
    for i = 9, 0, -1 do
      async.sleep(1)
      async.checkpoint()
      assert.equal(i, #tg)
    end
    assert.same({}, tg:tasks())
    assert.is_true(tg:join())
  end))

  it("TG-25 children that multiply are refused once one has failed", inside(function()
    local hydras, refused = 0, 0
    local err = group_error(function(tg)
      local function hydra()
        hydras = hydras + 1
        async.catch_cancelled(async.sleep, 0.01)
        for _ = 1, 2 do
          local ok, e = pcall(tg.create_task, tg, hydra)
          if not ok then
            refused = refused + 1
            assert(e.kind == "invalid_state" and e.message:find "is shutting down")
          end
        end
      end
      tg:create_task(hydra)
      tg:create_task(function()
        while hydras < 10 do async.sleep(0.015) end
        error("enough", 0)
      end)
    end)
    assert.same({ "enough" }, err.errors)
    assert.is_true(hydras >= 10 and refused > 0)
  end))

  it("TG-29 errors of a resource and of a child are both in the group", inside(function()
    local err = group_error(function(tg)
      local _ <close> = on_close(function() error("resource", 0) end)
      tg:create_task(error, "child", 0)
      async.sleep(100)
    end)
    assert.same({ "child", "resource" }, err.errors)
    assert.is_false(async.current_task():cancelling())
    async.sleep(1)
  end))

  it("TG-31 needs a task", function()
    local err = raised_by(async.task_group)
    assert.equal("invalid_state", err.kind)
    assert.matches("task_group: no task runs here", err.message)
    assert.matches("unknown option", raised_by(async.task_group, { nam = "x" }))
  end)

  it("TG-33 after a caught error the task is not being cancelled", inside(function()
    group_error(function(tg)
      tg:create_task(error, "x")
      async.sleep(10)
    end)
    assert.is_false(async.current_task():cancelling())
    assert.is_false(async.cancelled())
  end))

  it("TG-35 the group's error comes before a cancellation of the same moment", inside(function()
    local seen
    local t = async.create_task(function()
      seen = group_error(function(tg)
        tg:create_task(sleep_and_fail, 1, "child")
        async.sleep(100)
      end)
      async.checkpoint()
      return "not reached"
    end)
    async.sleep(1)
    t:cancel()
    t:wait()
    assert.same({ "child" }, seen.errors)
    assert.is_true(t:cancelled())
  end))

  it("TG-37 tg:cancel does not lose an outer timeout", inside(function()
    local err = raised_by(function()
      local _ <close> = async.timeout(1)
      local tg <close> = async.task_group()
      tg:create_task(function()
        local _ <close> = on_close(function() async.shield(async.sleep, 5) end)
        async.sleep(100)
      end)
      async.checkpoint()
      tg:cancel()
    end)
    assert.equal("timeout", err.kind)
  end))

  it("TG-39 an eager child that fails at once does not cancel its parent within create_task", inside(function()
    local after
    local err = group_error(function(tg)
      tg:with { eager = true }:create_task(error, "at once", 0)
      after = true
    end)
    assert.is_true(after)
    assert.same({ "at once" }, err.errors)
  end))

  it("TG-45 a failing child wakes a body that is parked for ever", inside(function()
    local err = group_error(function(tg)
      tg:create_task(error, "wake up", 0)
      async.sleep_forever()
    end)
    assert.same({ "wake up" }, err.errors)
  end))

  it("TG-47 collect: siblings go on, all errors come at the end", inside(function()
    local t
    local err = group_error(function(tg)
      tg:create_task(sleep_and_fail, 1, "a")
      tg:create_task(sleep_and_fail, 3, "b")
      t = tg:create_task(sleep_and_return, 2, "value")
      error("body", 0)
    end, { on_error = "collect", name = "all of it" })
    assert.same({ "body", "a", "b" }, err.errors)
    assert.matches("3 errors in task group 'all of it': body", err.message)
    assert.equal("value", t:result())
  end))

  it("TG-49 a service is cancelled when the others are done", inside(function()
    local beats = 0
    local service
    do
      local tg <close> = async.task_group()
      service = tg:service(function()
        while true do
          async.sleep(1)
          beats = beats + 1
        end
      end)
      tg:create_task(async.sleep, 3.5)
    end
    assert.equal(3, beats)
    assert.is_true(service:cancelled())
  end))

  it("TG-51 return inside of the block gives its values after the children have ended", inside(function()
    local ended
    local function f()
      local tg <close> = async.task_group()
      tg:create_task(function()
        async.sleep(1)
        ended = true
      end)
      return (function() return 1, nil, 3 end)()
    end
    assert.same({ 1, nil, 3, n = 3 }, table.pack(f()))
    assert.is_true(ended)
  end))

  it("TG-53 closed where it cannot wait: a clear error, and its children are cancelled", inside(function()
    local t
    local warned = virtual.warnings_of(function()
      local err = raised_by(table.sort, { 1, 2 }, function()
        local tg <close> = async.task_group()
        t = tg:create_task(async.sleep, 100)
        return true
      end)
      assert.matches("cannot wait inside 'table.sort'", err.message)
    end)
    assert.matches("could not wait for its tasks", warned[1])
    t:wait()
    assert.is_true(t:cancelled())
  end))

  it("TG-55 abandoned in a generator: a warning, and the end of the run cancels its children", function()
    local t
    local warned = virtual.warnings_of(function()
      virtual.run(function()
        local generator = coroutine.wrap(function()
          local tg <close> = async.task_group()
          t = tg:create_task(async.sleep, 100)
          coroutine.yield(1)
        end)
        generator()
        generator = nil -- luacheck: ignore 311
        collectgarbage()
        collectgarbage()
        async.sleep(1)
        assert.is_false(t:done())
      end)
    end)
    assert.equal(1, #warned)
    assert.matches("task group, opened at .*async_group_spec.lua:%d+, was collected before it was closed; 1 task",
      warned[1])
    assert.equal("shutdown", select(2, t:outcome()).source)
  end)

  it("left open when its task ends: a warning", function()
    local child
    local warned = virtual.warnings_of(function()
      virtual.run(function()
        local t = async.create_task(function()
          local tg = async.task_group()
          child = tg:create_task(async.sleep, 100)
          async.sleep(1)
        end)
        t:wait()
      end)
    end)
    assert.matches("was not closed before its task ended; 1 task", warned[1])
    assert.is_true(child:cancelled())
  end)
end)
