-- SPDX-License-Identifier: MIT
-- Stopping what does not want to stop.
package.path = "tests/spec/?.lua;" .. package.path
local futures = require "futures"
local gate = require "support.gate"
local hostile = require "support.hostile"
local proc_pool = require "proc_pool"

-- A task in a worker, behind its gate.
local function start(pool, task, ...)
  local g = gate.new()
  local f = pool:submit(task, g.path, ...)
  g:open()
  return f
end

local function assert_cancelled(f)
  local ok, err = f:outcome(20)
  assert.is_false(ok)
  assert.is_true(futures.is(err, "cancelled"), tostring(err))
end

describe("cancel with force", function()
  it("CR-37 closes the variables of Lua code and keeps the worker", function()
    local pool <close> = proc_pool.new(1)
    local pid, mark = pool:submit(hostile.pid):result(), os.tmpname()
    local f = start(pool, hostile.spin_with_cleanup, mark)
    assert.is_true(f:cancel { force = true })
    assert_cancelled(f)
    assert.equal("closed", hostile.read(mark))
    os.remove(mark)
    assert.equal(pid, pool:submit(hostile.pid):result())
  end)

  it("stops loops that catch everything, and keeps the worker", function()
    local pool <close> = proc_pool.new(1)
    local pid = pool:submit(hostile.pid):result()
    for _, task in ipairs { "spin", "spin_protected", "spin_in_coroutines" } do
      local f = start(pool, hostile[task])
      f:cancel { force = true }
      assert_cancelled(f)
      assert.equal(pid, pool:submit(hostile.pid):result())
    end
  end)

  it("CR-35 kills after the grace what sits in C code, even when it does not see SIGTERM", function()
    local pool <close> = proc_pool.new { max_workers = 1, grace = 0.05 }
    for _, task in ipairs { "stay", "ignore_sigterm" } do
      local f = start(pool, hostile[task])
      local pid = hostile.worker_pids(pool)[1]
      f:cancel { force = true }
      assert_cancelled(f)
      assert.is_true(hostile.gone { pid })
      assert.is_not.equal(pid, pool:submit(hostile.pid):result())
    end
  end)

  it("leaves what stands behind the task alone", function()
    local pool <close> = proc_pool.new { max_workers = 1, grace = 0.05 }
    local path = os.tmpname()
    local f = start(pool, hostile.stay)
    local behind = {}
    for i = 1, 10 do behind[i] = pool:submit(hostile.append, path, i .. "\n") end
    f:cancel { force = true }
    assert_cancelled(f)
    for i = 1, 10 do behind[i]:result(20) end
    assert.equal("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n", hostile.read(path))
    os.remove(path)
  end)

  it("is no death: it does not use max_restarts up, nor break a pool that breaks on deaths", function()
    local pool <close> = proc_pool.new { max_workers = 1, grace = 0, max_restarts = 0, on_worker_death = "break" }
    for _ = 1, 3 do
      local f = start(pool, hostile.stay)
      f:cancel { force = true }
      assert_cancelled(f)
    end
    assert.equal(1, pool:submit(hostile.same, 1):result())
    assert.equal(3, pool:stats().restarts)
  end)

  it("works on a stopped process", function()
    local pool <close> = proc_pool.new { max_workers = 1, grace = 0.05 }
    local f = start(pool, hostile.spin)
    os.execute("kill -STOP " .. hostile.worker_pids(pool)[1])
    f:cancel { force = true }
    assert_cancelled(f)
    assert.equal(1, pool:submit(hostile.same, 1):result())
  end)

  it("may come twice, the second time with less grace", function()
    local pool <close> = proc_pool.new { max_workers = 1, grace = 600 }
    local f = start(pool, hostile.stay)
    assert.is_true(f:cancel { force = true })
    assert.is_false(f:wait(0.05))
    assert.is_true(f:cancel { force = true, grace = 0 })
    assert_cancelled(f)
  end)
end)

describe("a timeout", function()
  it("kills what sits in C code, as often as need be", function()
    local pool <close> = proc_pool.new { max_workers = 1, grace = 0.01, max_restarts = 1 }
    for _ = 1, 4 do
      local ok, err = pool:with { timeout = 0.01 }:submit(hostile.stay):outcome(20)
      assert.is_false(ok)
      assert.same({ "timeout", 0.01 }, { err.kind, err.seconds })
    end
    assert.equal(1, pool:submit(hostile.same, 1):result())
  end)

  it("of a chunk's item leaves the others alone", function()
    local pool <close> = proc_pool.new { max_workers = 1, grace = 0.05 }
    local list = pool:with { chunk_size = 4 }:map(hostile.block_if_negative, { 1, 2, 3, 4 }):collect()
    assert.same({ 1, 2, 3, 4, n = 4 }, list)
    local it = pool:with { chunk_size = 4, deadline = require("parhost").monotonic() + 0.3 }
      :map(hostile.block_if_negative, { 1, -2, 3, 4 })
    assert.same({ 1, 1 }, { it:next() })
    for _ = 2, 4 do
      local ok, err = pcall(it.next, it)
      assert.is_false(ok)
      assert.is_true(futures.is(err, "timeout"), tostring(err))
      assert.equal("the deadline of the task has passed", err.message)
    end
    assert.is_nil(it:next())
  end)

  it("of a deadline stops each item of a chunk that spins", function()
    local pool <close> = proc_pool.new(1)
    local deadline = require("parhost").monotonic() + 0.2
    local it = pool:with { chunk_size = 3, deadline = deadline }:map(hostile.spin, { false, false, false })
    for _ = 1, 3 do
      local ok, err = pcall(it.next, it)
      assert.is_false(ok)
      assert.is_true(futures.is(err, "timeout"), tostring(err))
    end
  end)
end)

describe("ending a pool", function()
  it("SD-33 with big tasks in all places does not hang", function()
    local pool = proc_pool.new(2)
    local list = {}
    for i = 1, 10 do list[i] = pool:submit(hostile.long_string, 100 << 20) end
    futures.wait(list, { return_when = "first_completed" })
    for _, f in ipairs(list) do f:cancel() end
    pool:terminate()
    assert.is_true(pool:join(60))
    for _, f in ipairs(list) do assert.is_true(f:done()) end
  end)

  it("by terminate stops every task that has begun, at any moment", function()
    for round = 1, 30 do
      local pool = proc_pool.new { max_workers = 2, grace = 30 }
      local list = {}
      for i = 1, 40 do list[i] = pool:submit(i % 4 == 0 and hostile.spin or hostile.same) end
      futures.wait({ list[round % 3 + 1] })
      pool:terminate()
      assert.is_true(pool:join(20), "round " .. round)
      for _, f in ipairs(list) do assert.is_true(f:done()) end
    end
  end)

  it("by kill does not wait for anything", function()
    local pool = proc_pool.new { max_workers = 2, grace = 600 }
    local list = { start(pool, hostile.stay), start(pool, hostile.ignore_sigterm) }
    list[3] = pool:submit(hostile.same, 1)
    local pids = hostile.worker_pids(pool)
    pool:kill()
    assert.is_true(pool:join(20))
    assert.is_true(hostile.gone(pids))
    for _, f in ipairs(list) do assert_cancelled(f) end
  end)

  it("with retries ahead does not run them", function()
    local pool = proc_pool.new { max_workers = 1, grace = 0 }
    local f = start(pool:with { retries = 5 }, hostile.stay)
    pool:terminate()
    assert.is_true(pool:join(20))
    assert_cancelled(f)
  end)
end)
