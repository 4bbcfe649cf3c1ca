-- SPDX-License-Identifier: MIT
-- Runs of tasks in thread workers: they help their pool while they wait, and can be stopped.
package.path = "tests/spec/?.lua;" .. package.path
local gate = require "support.gate"
local servers = require "support.servers"
local thread_pool = require "thread_pool"

local together = "support.together:"

describe("a run in the only worker of a pool", function()
  local pool = thread_pool.new(1)
  teardown(function() pool:close() end)

  it("waits for tasks of that pool in all ways", function()
    assert.same({ 4, 10, 4, 12, 2 }, { pool:submit(together .. "await_own_pool", pool):result(20) })
  end)

  it("may help with a task that has a run of its own, to a depth", function()
    assert.equal("at the bottom", pool:submit(together .. "run_on_runs", pool, 5):result(20))
  end)

  it("is not mixed up with the run of a task that it helps with", function()
    assert.same({ "inner ended", "outer went on", "outer is main" },
      { pool:submit(together .. "run_on_top", pool):result(20) })
  end)

  it("helps at its end with what its leftovers wait for", function()
    assert.same({ "shielded 9", "close 8", "main" }, { pool:submit(together .. "leave_waiting_tasks", pool):result(20) })
  end)

  it("refuses a virtual clock on top of a run", function()
    local err = pool:submit(together .. "virtual_on_top", pool):error(20)
    assert.equal("invalid_state", err.kind)
    assert.matches("no virtual clock of its own", err.message)
    assert.equal(1, pool:submit(math.abs, -1):result(20))
  end)

  it("has its stopped task stopped alone, not the run below", function()
    assert.same({ "cancelled", "outer goes on" }, { pool:submit(together .. "stop_on_top", pool):result(20) })
  end)

  it("raises deadlock when its tasks wait for nothing that could come, with their tree", function()
    local err = pool:submit(together .. "wait_for_nothing", pool):error(20)
    assert.equal("deadlock", err.kind)
    assert.matches("task%-%d+.*parked", err.tasks or err.message)
    assert.equal(1, pool:submit(math.abs, -1):result(20))
  end)

  it("RU-17 raises none while a timer, a program, a request or another pool goes on", function()
    local server <close> = servers.bad()
    for _, what in ipairs { "timer", "program", "request", "thread", "process", "own" } do
      assert.equal(what, pool:submit(together .. "wait_beside", what, pool, server.url):result(20))
    end
  end)
end)

describe("a task of a thread pool", function()
  local server
  setup(function() server = servers.bad() end)
  teardown(function() server:stop() end)

  it("is stopped promptly wherever it waits, and its worker is used again", function()
    local pool <close> = thread_pool.new { max_workers = 1, grace = 30 }
    local token = pool:submit("support.tasks:thread_id"):result(20)
    local places = { "sleep", "request", "future", "task_sleep", "task_request", "task_future", "pool", "program" }
    for _, where in ipairs(places) do
      local door = gate.new()
      local f = pool:submit(together .. "wait_at", where, door.path, server.url, pool)
      door:open()
      assert.is_true(f:cancel { force = true, reason = where })
      assert.is_true(f:wait(10), where)
      assert.equal("cancelled", f:state(), where)
      assert.equal(token, pool:submit("support.tasks:thread_id"):result(20))
    end
    assert.equal(0, pool:stats().abandoned or 0)
  end)

  it("makes many requests at once, in tasks, beside others that do so", function()
    local pool <close> = thread_pool.new(3)
    local list = {}
    for i = 1, 6 do list[i] = pool:submit(together .. "many_requests", server.url, 20) end
    for _, f in ipairs(list) do assert.equal(20, f:result(60)) end
  end)

  it("gives requests up by async.timeout, and goes on", function()
    local pool <close> = thread_pool.new(2)
    local a = pool:submit(together .. "requests_that_time_out", server.url, 10)
    local b = pool:submit(together .. "requests_that_time_out", server.url, 10)
    assert.same({ 10, 200, 10, 200 }, { a:result(60), select(2, a:result()), b:result(60), select(2, b:result()) })
  end)
end)
