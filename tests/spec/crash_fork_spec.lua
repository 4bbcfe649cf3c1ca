-- SPDX-License-Identifier: MIT
-- start_method = "fork", and programs and tasks that fork by themselves.
package.path = "tests/spec/?.lua;" .. package.path
local futures = require "futures"
local hostile = require "support.hostile"
local proc_pool = require "proc_pool"
local run = require "support.run"
local tasks = require "support.tasks"

describe("start_method = fork", function()
  it("CR-41 is refused while there are other threads, saying how many", function()
    local crash = require "crash"
    local err
    crash.with_thread(function()
      err = select(2, pcall(proc_pool.new, { max_workers = 1, start_method = "fork" }))
    end)
    assert.is_true(futures.is(err, "invalid_state"), tostring(err))
    assert.matches("this process has 1 threads? beside its own", err.message)
    local pool <close> = proc_pool.new { max_workers = 1, start_method = "fork" }
    assert.equal(1, pool:submit(hostile.same, 1):result())
  end)

  it("is possible beside other process pools, which end in any order", function()
    for _, first in ipairs { 1, 2, 3 } do
      local pools = {
        proc_pool.new { max_workers = 1, start_method = "fork" },
        proc_pool.new(1),
        proc_pool.new { max_workers = 1, start_method = "fork" },
      }
      local pids = {}
      for i = 1, 3 do pids[i] = pools[i]:submit(hostile.pid):result() end
      for i = 0, 2 do
        local k = (first + i - 1) % 3 + 1
        assert.is_true(pools[k]:shutdown { timeout = 20 })
        assert.is_true(hostile.gone { pids[k] })
        for j = i + 1, 2 do
          assert.equal(j, pools[(first + j - 1) % 3 + 1]:submit(hostile.same, j):result(20))
        end
      end
    end
  end)

  it("sees big tables as they were, without copying them", function()
    for i = 1, 200000 do tasks.big[i] = i end
    local pool <close> = proc_pool.new { max_workers = 1, start_method = "fork" }
    tasks.big[1] = "changed"
    local start = hostile.resident()
    for _ = 1, 20 do
      assert.same({ 1, 200000 }, { pool:submit(tasks.first_and_length, tasks.big):result() })
    end
    assert.is_true(hostile.resident() - start < 8 << 20)
    for i = #tasks.big, 1, -1 do tasks.big[i] = nil end
  end)

  it("breaks with a dead worker, and says so", function()
    local pool <close> = proc_pool.new { max_workers = 1, start_method = "fork" }
    local ok, err = pool:submit(hostile.segfault):outcome(20)
    assert.is_false(ok)
    assert.equal("worker_died", err.kind)
    assert.is_true(futures.is(select(2, pcall(pool.submit, pool, hostile.same)), "broken_pool"))
  end)
end)

describe("a fork", function()
  it("by a task comes back once", function()
    local pool <close> = proc_pool.new(1)
    for _ = 1, 5 do
      assert.equal("parent", pool:submit(hostile.fork_and_return):result(20))
      assert.equal(1, pool:submit(hostile.same, 1):result(20))
    end
    assert.equal(0, pool:stats().restarts)
  end)

  it("by the program leaves the pools to the parent", function()
    local result = run.script(hostile.prelude .. [[
      local crash = require "crash"
      local pool = require("proc_pool").new(1)
      require("parhost").on_exit(function() print "hook" end)
      local f = pool:submit(math.abs, -1)
      print(f:result())
      local pid = crash.fork()
      if pid == 0 then return end
      print(crash.wait(pid))
      print(pool:submit(math.abs, -2):result())]])
    assert.same({ out = "1\nhook\n0\n2\nhook\n", err = "", code = 0 }, result)
  end)

  it("of the program does not keep workers alive when the program is killed", function()
    local result = run.script(hostile.prelude .. [[
      local crash = require "crash"
      local pool = require("proc_pool").new(1)
      local pid = pool:submit(function() return require("parhost").worker().pid end):result()
      local child = crash.fork()
      if child == 0 then
        crash.close_from(0, 2)
        crash.block(30)
        crash.leave()
      end
      print(pid, child)
      io.stdout:flush()
      os.execute("kill -KILL $PPID")]])
    assert.equal(137, result.code)
    local pid, child = result.out:match("^(%d+)\t(%d+)\n$")
    assert.is_true(hostile.gone { pid })
    assert.is_true(hostile.exists(child))
    os.execute("kill -KILL " .. child)
  end)
end)
