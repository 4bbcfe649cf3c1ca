-- SPDX-License-Identifier: MIT
-- Tasks and pools: awaiting their futures, to_process and its like.
local async = require "async"
local futures = require "futures"
local gate = require "tests.spec.support.gate"
local proc_pool = require "proc_pool"
local run = require "tests.spec.support.run"
local virtual = require "tests.spec.support.virtual"

local raised_by = virtual.raised_by

describe("futures of pools", function()
  it("are awaited like any other", function()
    local pool <close> = proc_pool.new(2)
    async.run(function()
      local beats, stop = 0, false
      async.create_task(function()
        while not stop do
          async.checkpoint()
          beats = beats + 1
        end
      end)
      assert.same({ 1, nil, 3, n = 3 }, table.pack(pool:submit(select, 2, 0, 1, nil, 3):result()))
      local t = async.create_task(function() return pool:submit(math.sqrt, 16):result() end)
      local results = async.gather { t, pool:submit(math.abs, -1), function() return "f" end }
      assert.same({ 4.0, 1, "f", n = 3 }, results)
      for i, v in pool:map(math.abs, { -1, -2, -3 }) do assert.equal(i, v) end
      pool:drain()
      stop = true
      assert.is_true(beats > 0)
    end)
  end)

  it("errors keep their remote traceback", function()
    local pool <close> = proc_pool.new(1)
    async.run(function()
      local t = async.create_task(function()
        pool:submit("tests.spec.support.tasks:fail", "remote"):result()
        return 1
      end)
      local _, err, traceback = t:outcome()
      assert.equal("remote", err)
      assert.matches('of proc_pool "proc_pool%-%d+"', traceback)
      assert.matches("support/tasks.lua:%d+: in function", traceback)
      assert.matches("async_bridge_spec.lua:%d+: in function", traceback)
    end)
  end)

  it("RU-27 cancelling the waiter cancels a pending one, and leaves a running one", function()
    local pool <close> = proc_pool.new(1)
    local door = gate.new()
    local running = pool:submit(gate.pass, door.path)
    local open = door:reached()
    local pending = pool:submit(math.abs, -1)
    async.run(function()
      local a, b = async.create_task(running.result, running), async.create_task(pending.result, pending)
      async.sleep(0)
      a:cancel()
      b:cancel()
      a:wait()
      b:wait()
      assert.is_true(a:cancelled() and b:cancelled())
      assert.is_true(pending:cancelled())
      assert.is_false(running:done())
    end)
    open()
    assert.equal("", running:result())
  end)

  it("a pending one that somebody else waits for is left alone", function()
    local pool <close> = proc_pool.new(1)
    local door = gate.new()
    pool:submit(gate.pass, door.path)
    local open = door:reached()
    local f = pool:submit(math.abs, -1)
    async.run(function()
      local a, b = async.create_task(f.result, f), async.create_task(f.result, f)
      async.sleep(0)
      a:cancel()
      a:wait()
      open()
      assert.equal(1, b:result())
    end)
  end)

  it("wait_for stops a running one", function()
    local pool <close> = proc_pool.new(1)
    async.run(function()
      local f = pool:submit(function() while true do end end)
      assert.equal("timeout", raised_by(async.wait_for, f, 0.05).kind)
      assert.is_true(f:cancelled())
    end)
  end)

  it("plain code that waits for one keeps tasks running", function()
    local pool <close> = proc_pool.new(1)
    local door = gate.new()
    local f = pool:submit(gate.pass, door.path)
    async.create_task(function()
      async.sleep(0.001)
      door:open("opened by a task")
    end)
    assert.equal("opened by a task", f:result())
  end)

  it("closing a pool in a task lets others run", function()
    local door = gate.new()
    async.run(function()
      local tg <close> = async.task_group()
      local pool <close> = proc_pool.new(1)
      local f = pool:submit(gate.pass, door.path)
      tg:create_task(function() door:open("opened by a task") end)
      pool:close()
      assert.equal("opened by a task", f:result())
    end)
  end)
end)

describe("to_process", function()
  -- Leaves a job alone that stands at the gate. Gives what opens it.
  local function abandon(door, options)
    local task = async.create_task(function() async.with(options):to_process(gate.pass, door.path) end)
    async.sleep(0)
    local open = door:reached()
    task:cancel()
    assert.is_true(task:wait() and task:cancelled())
    return open
  end

  it("runs a function in a default pool that ends with the run", function()
    local pid
    async.run(function()
      assert.same({ 3, n = 1 }, table.pack(async.to_process(math.max, 1, 3, 2)))
      pid = async.to_process("tests.spec.support.tasks:worker_pid")
      assert.equal("x", raised_by(async.to_process, error, "x", 0))
    end)
    assert.is_nil(io.open(("/proc/%d/stat"):format(pid)))
  end)

  it("TH-13 cancelled: the job is stopped", function()
    local pool <close> = proc_pool.new(1)
    async.run(function()
      local ended = async.move_on_after(0.05, function()
        async.with { pool = pool }:to_process("tests.spec.support.tasks:check_for_ever")
      end)
      assert.is_false(ended)
      pool:drain()
      assert.equal(1, pool:stats().cancelled)
    end)
  end)

  it("abandon_on_cancel: the job is left alone", function()
    local pool <close> = proc_pool.new(1)
    local door = gate.new()
    local open
    async.run(function()
      open = abandon(door, { pool = pool, abandon_on_cancel = true })
      assert.equal(1, pool:stats().running)
    end)
    open()
    pool:drain()
    assert.equal(1, pool:stats().completed)
  end)

  it("RU-13 a default pool that is stuck holds the run up for shutdown_timeout at most", function()
    local door, open = gate.new()
    local warned = virtual.warnings_of(function()
      async.run({ shutdown_timeout = 0.05 }, function() open = abandon(door, { abandon_on_cancel = true }) end)
    end)
    open()
    assert.matches("the tasks of the default proc_pool have not ended within 0.05 s", warned[1])
  end)

  it("works when the loop has run before", function()
    local result = run.script([[
      local async = require "async"
      async.sleep(0.001)
      print(async.run(function()
        async.sleep(0.001)
        return async.to_process(math.abs, -3)
      end))
    ]])
    assert.same({ "3\n", "", 0 }, { result.out, result.err, result.code })
  end)

  it("works in plain code; with checks its options", function()
    assert.equal(2, async.to_process(math.abs, -2))
    assert.matches("option 'pool': pool expected, got number", raised_by(async.with, { pool = 5 }))
    assert.equal(futures.wait, async.wait)
    assert.is_function(async.to_thread)
  end)
end)
