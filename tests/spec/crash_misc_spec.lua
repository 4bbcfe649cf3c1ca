-- SPDX-License-Identifier: MIT
-- Rows that need nothing hostile but a real process: callbacks, submits in bulk, seeds, environment, tracebacks.
package.path = "tests/spec/?.lua;" .. package.path
local futures = require "futures"
local gate = require "support.gate"
local hostile = require "support.hostile"
local monotonic = require("parhost").monotonic
local proc_pool = require "proc_pool"
local run = require "support.run"

it("CR-19 a hundred thousand submits before anybody waits never block, and complete", function()
  local pool <close> = proc_pool.new(2)
  local gates, list = { gate.new(), gate.new() }, {}
  for i = 1, 2 do pool:submit(gate.pass, gates[i].path) end
  for i = 1, 2 do gates[i] = gates[i]:reached() end
  for i = 1, 100000 do list[i] = pool:submit(hostile.same, i) end
  for i = 1, 2 do gates[i]() end
  for i = 1, 100000 do assert(list[i]:result() == i) end
  assert.equal(100002, pool:stats().completed)
end)

describe("CR-21 a callback", function()
  it("that errors is warned of, and the pool works", function()
    local result = run.script [[
      local pool <close> = require("proc_pool").new(1)
      local f = pool:submit(math.abs, -1)
      f:add_done_callback(function() error("in the callback", 0) end)
      f:add_done_callback(function() print "second" end)
      print(f:result())
      print(pool:submit(math.abs, -2):result())]]
    assert.equal("second\n1\n2\n", result.out)
    assert.matches("^Lua warning: parhost: error in a callback of parhost.Future: 0x%x+ [^\n]*: in the callback\n$",
      result.err)
    assert.equal(0, result.code)
  end)

  it("that calls os.exit ends the program in good order", function()
    local result = run.script [[
      local pool = require("proc_pool").new(1)
      require("parhost").on_exit(function() print "hook" end)
      local f = pool:submit(math.abs, -1)
      pool:submit(function() print "task" end)
      f:add_done_callback(function() os.exit(7) end)
      f:result()
      print "not reached"]]
    assert.same({ "", 7 }, { result.err, result.code })
    assert.is_true(result.out == "hook\ntask\n" or result.out == "task\nhook\n", result.out)
  end)
end)

describe("CR-43 math.random", function()
  it("differs from worker to worker", function()
    local pool <close> = proc_pool.new(4)
    local gates, list, seen = {}, {}, {}
    for i = 1, 4 do
      gates[i] = gate.new()
      list[i] = pool:submit(hostile.random_at, gates[i].path)
    end
    for i = 1, 4 do gates[i] = gates[i]:reached() end
    for i = 1, 4 do gates[i]() end
    for i = 1, 4 do
      local n = list[i]:result()
      assert.is_nil(seen[n])
      seen[n] = true
    end
  end)

  it("with a seed depends on it and the number of the submission alone", function()
    local function numbers(options, chunk_size)
      local pool <close> = proc_pool.new(options)
      local list = {}
      for i = 1, 10 do list[i] = pool:submit(hostile.random) end
      for i = 1, 10 do list[i] = list[i]:result() end
      for i, n in pool:with { chunk_size = chunk_size }:map(hostile.random, table.pack(1, 2, 3, 4, 5)) do
        list[10 + i] = n
      end
      return list
    end
    local expected = numbers({ seed = 1, max_workers = 1 }, 1)
    assert.same(expected, numbers({ seed = 1, max_workers = 3 }, 2))
    assert.same(expected, numbers({ seed = 1, max_workers = 2, max_tasks_per_worker = 1 }, 5))
    assert.is_not.same(expected, numbers({ seed = 2, max_workers = 1 }, 1))
    local seen = {}
    for _, n in ipairs(expected) do
      assert.is_nil(seen[n])
      seen[n] = true
    end
  end)
end)

it("CR-51 env is set in the worker only", function()
  local pool <close> = proc_pool.new { max_workers = 1, env = { X = "1" } }
  assert.equal("1", pool:submit("os:getenv", "X"):result())
  assert.is_nil(os.getenv("X"))
end)

it("CR-53 works while a module body is being required", function()
  local pool <close> = proc_pool.new(1)
  package.preload["support.requiring"] = function()
    return { value = pool:submit(hostile.same, 5):result() }
  end
  assert.equal(5, require("support.requiring").value)
  package.loaded["support.requiring"], package.preload["support.requiring"] = nil, nil
end)

it("FU-19 result waits for what is set later", function()
  local pool <close> = proc_pool.new(1)
  local g, f = gate.new(), futures.new()
  pool:submit(gate.pass, g.path):add_done_callback(function() f:set_result(42) end)
  local open = g:reached()
  local start = monotonic()
  assert.is_false(f:wait(0.05))
  assert.is_true(monotonic() - start >= 0.05)
  open()
  assert.equal(42, f:result(20))
end)

it("WA-23 futures given twice are one", function()
  local pool <close> = proc_pool.new(1)
  local a, b = pool:submit(hostile.same, "a"), pool:submit(hostile.same, "b")
  local seen = {}
  for f in futures.as_completed { a, b, a, b, b } do seen[#seen + 1] = f:result() end
  table.sort(seen)
  assert.same({ "a", "b" }, seen)
  local done, not_done = futures.wait { a, a, b }
  assert.same({ 2, 0 }, { #done, #not_done })
end)

it("TR-09 builds tracebacks of failures only", function()
  local pool <close> = proc_pool.new(1)
  local before = pool:submit(hostile.count_kept_tracebacks):result()
  for i = 1, 50 do pool:submit(hostile.same, i):result() end
  assert.is_true(pool:submit(hostile.catch_error):result())
  assert.equal(before, pool:submit(hostile.count_kept_tracebacks):result())
  assert.matches("stack traceback:", select(3, pool:submit(hostile.overflow_lua_stack):outcome()))
  assert.equal(before + 1, pool:submit(hostile.count_kept_tracebacks):result())
end)

it("a worker's pid is known with its first result", function()
  for _ = 1, 20 do
    local pool <close> = proc_pool.new(1)
    local f = pool:submit(hostile.raise)
    f:wait()
    assert.matches("worker 1 %(pid %d+%)", futures.describe(f:error()))
  end
end)
