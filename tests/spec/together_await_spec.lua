-- SPDX-License-Identifier: MIT
-- Tasks that wait for threads and processes, and for all sorts of futures at once.
local async = require "async"
local futures = require "futures"
local gate = require "tests.spec.support.gate"
local proc_pool = require "proc_pool"
local thread_pool = require "thread_pool"
local virtual = require "tests.spec.support.virtual"

local raised_by = virtual.raised_by
local tasks = "tests.spec.support.tasks:"
local together = "tests.spec.support.together:"

local POOLS <const> = { process = proc_pool, thread = thread_pool }

-- Runs fn beside a task that counts; gives the count.
local function beside_a_counter(fn)
  local beats = 0
  async.run(function()
    local tg <close> = async.task_group()
    tg:service(function()
      while true do
        async.checkpoint()
        beats = beats + 1
      end
    end)
    tg:create_task(fn)
  end)
  return beats
end

-- Cancels a task that waits for a job in a worker, which stands at a gate; gives the function that opens it.
local function abandon_at_gate(name, how)
  local door = gate.new()
  local task = async.create_task(function() how["to_" .. name](how, gate.pass, door.path) end)
  async.sleep(0)
  local open = door:reached()
  task:cancel()
  futures.wait { task }
  assert.is_true(task:cancelled())
  return open
end

for name, module in pairs(POOLS) do
  describe("in a task, the future of a " .. name, function()
    it("RU-27 is cancelled with the waiter when pending, left alone when running", function()
      local pool <close> = module.new(1)
      local door = gate.new()
      local running = pool:submit(gate.pass, door.path)
      local open = door:reached()
      local pending = pool:submit(math.abs, -1)
      async.run(function()
        local a, b = async.create_task(running.result, running), async.create_task(pending.result, pending)
        async.sleep(0)
        a:cancel()
        b:cancel()
        futures.wait { a, b }
        assert.is_true(a:cancelled() and b:cancelled())
        assert.equal("cancelled", pending:state())
        assert.equal("running", running:state())
      end)
      open()
      assert.equal("", running:result(20))
      assert.equal(1, pool:stats().cancelled)
    end)

    it("TH-13 its job sees that the task was cancelled, by check_cancelled and by itself", function()
      local pool <close> = module.new(1)
      for _, step in ipairs { "checks", "loops", "sleeps", "awaits" } do
        local job, mark = step .. "_until_stopped", os.tmpname()
        async.run(function()
          local door = gate.new()
          local t = async.create_task(async.with({ pool = pool })["to_" .. name], async.with { pool = pool },
            together .. job, door.path, mark)
          async.sleep(0)
          door:open()
          t:cancel { reason = "enough" }
          assert.is_false(t:wait(20) and (t:outcome()))
          assert.is_true(t:cancelled())
        end)
        local file <close> = assert(io.open(mark))
        assert.equal("closed", file:read("a"), job)
        os.remove(mark)
      end
      pool:drain()
      assert.same({ 1, 4, 0 }, { pool:stats().workers, pool:stats().cancelled, pool:stats().restarts })
    end)

    it("TH-15 may come after the run that abandoned it", function()
      local pool <close> = module.new(1)
      local open = async.run(abandon_at_gate, name, async.with { pool = pool, abandon_on_cancel = true })
      open()
      pool:drain()
      assert.equal(1, pool:stats().completed)
    end)

    it("RU-13 of a default pool that is stuck holds up the end of the run for shutdown_timeout", function()
      local open
      local warned = virtual.warnings_of(function()
        open = async.run({ shutdown_timeout = 0.05 }, abandon_at_gate, name, async.with { abandon_on_cancel = true })
      end)
      open()
      assert.equal(1, #warned)
      assert.matches("the tasks of the default " .. (name == "thread" and "thread_pool" or "proc_pool")
        .. " have not ended within 0.05 s", warned[1])
    end)

    it("RU-11 comes from a run in the worker", function()
      local pool <close> = module.new(1)
      assert.equal("done", async.run(function() return pool:submit(tasks .. "run_async"):result() end))
    end)

    it("holds up its task alone: at result, in iterators, at a full queue, at the end of the pool", function()
      local door = gate.new()
      local pool = module.new { max_workers = 1, max_queue = 2 }
      local order = {}
      local beats = beside_a_counter(function()
        local held = pool:submit(gate.pass, door.path)
        local open = door:reached()
        async.create_task(function()
          async.sleep(0.02)
          order[#order + 1] = "opens"
          open()
        end)
        for i = 1, 5 do pool:submit(math.abs, -i) end -- parks at the third
        order[#order + 1] = "submitted"
        assert.equal("", held:result())
        for i, v in pool:map(math.abs, { -1, -2, -3, -4, -5, -6, -7, -8 }) do
          assert.equal(i, v)
          if i == 5 then break end
        end
        for i, v in pool:with { buffer_size = 2 }:map_unordered(math.abs, { -1, -2, -3, -4 }) do assert.equal(i, v) end
        pool:close()
      end)
      assert.same({ "opens", "submitted" }, order)
      assert.is_true(beats > 100)
    end)

    it("as <close> in a task: others go on while it is left", function()
      local opened = false
      local beats = beside_a_counter(function()
        local door = gate.new()
        local pool <close> = module.new(2)
        pool:submit(gate.pass, door.path)
        async.create_task(function()
          async.sleep(0.02)
          opened = true
          door:open()
        end)
      end)
      assert.is_true(opened and beats > 100)
    end)

    it("at the end of a pool that a cancelled task leaves, what runs ends in its time", function()
      local door = gate.new()
      local f, pending
      async.run(function()
        local t = async.create_task(function()
          local pool <close> = module.new(1)
          f, pending = pool:submit(gate.pass, door.path), pool:submit(math.abs, -1)
          f:result()
        end)
        async.sleep(0)
        local open = door:reached()
        t:cancel()
        async.sleep(0.01)
        open()
        t:wait(20)
        assert.is_true(t:cancelled())
      end)
      assert.is_true(pending:cancelled())
      assert.equal("", f:result(20))
    end)

    it("10^4 of them in as many tasks", function()
      local pool <close> = module.new(2)
      local function once(n)
        async.run(function()
          local tg <close> = async.task_group()
          local sum = 0
          for i = 1, n do
            tg:create_task(function()
              local v = pool:submit(math.abs, -i):result()
              sum = sum + v
            end)
          end
          tg:join()
          assert.equal(n * (n + 1) // 2, math.tointeger(sum))
        end)
        collectgarbage()
        collectgarbage()
        return collectgarbage "count"
      end
      once(1000)
      local before = once(1000)
      once(10000)
      assert.is_true(once(1000) < before + 1000) -- kilobytes; the tasks take ten times as much
    end)
  end)
end

describe("futures of all kinds", function()
  local threads, processes = thread_pool.new(1), proc_pool.new(1)
  teardown(function()
    threads:close()
    processes:close()
  end)

  -- One of each: done one after the other.
  local function four()
    local promise = futures.new()
    local t = async.create_task(function()
      async.sleep(0.001)
      promise:set_result("promise")
      return "task"
    end)
    return {
      threads:submit(tostring, "thread"), processes:submit(tostring, "process"), t, promise,
    }
  end

  local function sorted(list)
    table.sort(list)
    return table.concat(list, " ")
  end

  local ALL <const> = "process promise task thread"

  local function check_all()
    local list = four()
    local done, not_done = futures.wait(list, { timeout = 20 })
    assert.same({ 4, 0 }, { #done, #not_done })
    local values = {}
    for f in futures.as_completed(four(), 20) do values[#values + 1] = f:result() end
    assert.equal(ALL, sorted(values))
    assert.equal(ALL, sorted(async.gather(four())))
    assert.equal(ALL, sorted { async.all(table.unpack(four())) })
    local index, value = async.race { futures.new(), threads:submit(tostring, "won") }
    assert.same({ 2, "won" }, { index, value })
    local bad, worse = threads:submit(error, "x"), processes:submit(error, "y")
    assert.same({ 3, "last" }, { async.any { bad, worse, async.create_task(tostring, "last") } })
    local err = raised_by(async.any, { threads:submit(error, "x", 0), processes:submit(error, "y", 0) })
    assert.same({ "group", "x", "y" }, { err.kind, err.errors[1], err.errors[2] })
    local mixed = { threads:submit(error, "x"), futures.new() }
    done, not_done = futures.wait(mixed, { return_when = "first_error", timeout = 20 })
    assert.same({ 1, 1, "x", true }, { #done, #not_done, done[1]:error() })
  end

  it("mix in plain code", check_all)
  it("mix in tasks", function() async.run(check_all) end)
  it("mix in a task, beside another that does so", function()
    async.run(function() async.gather { check_all, check_all, check_all } end)
  end)

  it("a race leaves nobody behind: losers that run are stopped", function()
    async.run(function()
      local index = async.race {
        threads:submit(tasks .. "check_for_ever"), processes:submit(tasks .. "check_for_ever"),
        function() async.sleep(100) end, function() return "first" end,
      }
      assert.equal(4, index)
    end)
    assert.equal(1, threads:submit(math.abs, -1):result(20))
    assert.equal(1, processes:submit(math.abs, -1):result(20))
  end)
end)
