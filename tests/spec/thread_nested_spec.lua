-- SPDX-License-Identifier: MIT
-- Pools used by their own workers, and by others.
package.path = "tests/spec/?.lua;" .. package.path
local assert = require "luassert"
local busted = require "busted"
local futures = require "futures"
local gate = require "support.gate"
local program = require "support.program"
local thread_pool = require "thread_pool"

local describe, it = busted.describe, busted.it
-- That of tasks, instead of the one that busted makes for this file.
local _ENV = package.loaded._G -- luacheck: ignore 211

local function same(...) return ... end
local function pass(path) return require("support.gate").pass(path) end

local function fib(pool, n)
  if n < 2 then return n end
  local a, b = pool:submit(fib, pool, n - 1), pool:submit(fib, pool, n - 2)
  return a:result() + b:result()
end

describe("a thread_pool in its own workers", function()
  it("TH-03 a task may wait for tasks of its own pool", function()
    for workers = 1, 3 do
      local pool <close> = thread_pool.new(workers)
      assert.equal(7, pool:submit(function(p) return p:submit(math.abs, -7):result() end, pool):result(20))
      assert.equal(55, pool:submit(fib, pool, 10):result(60))
      assert.equal(workers, pool:stats().workers)
    end
  end)

  it("tasks may lie on top of each other to a depth; below, deadlock says so", function()
    local pool <close> = thread_pool.new(1)
    local function down(p, n)
      if n == 0 then return 0 end
      return 1 + p:submit(down, p, n - 1):result()
    end
    assert.equal(50, pool:submit(down, pool, 50):result(60))
    local ok, err = pool:submit(down, pool, 200):outcome(60)
    assert.is_false(ok)
    assert.is_true(futures.is(err, "deadlock"), tostring(err))
    assert.equal(3, pool:submit(same, 3):result(20))
  end)

  it("helps with maps, views, chunks and errors", function()
    local pool <close> = thread_pool.new(1)
    local function sum(p, view)
      local total = 0
      for _, n in p:map(function(n) return n * n end, { 1, 2, 3, 4 }) do total = total + n end
      for _, n in p:with { chunk_size = 2 }:map_unordered(function(n) return n end, { 10, 20, 30 }) do
        total = total + n
      end
      local _, err = view:submit(error, "inner"):outcome()
      return total, err
    end
    assert.same({ 90, "inner" }, { pool:submit(sum, pool, pool:with { name = "inside" }):result(20) })
  end)

  it("goes on with tasks that were handed to the worker early", function()
    local pool <close> = thread_pool.new(1)
    local g = gate.new()
    local list = { pool:submit(function(p, path)
      require("support.gate").pass(path)
      return p:submit(same, "child"):result()
    end, pool, g.path) }
    for i = 2, 70 do list[i] = pool:submit(same, i) end
    g:open()
    assert.equal("child", list[1]:result(20))
    for i = 2, 70 do assert.equal(i, list[i]:result(20)) end
  end)

  it("a task that waits can be stopped, and times out", function()
    local pool <close> = thread_pool.new(2)
    local function wait_for_child(p, path) return p:submit(pass, path):result() end
    for _, how in ipairs { "cancel", "timeout" } do
      local g = gate.new()
      local view = how == "timeout" and pool:with { timeout = 0.05 } or pool
      local hold = how == "timeout" and g:hold() -- its child may have no time to come
      local f = view:submit(wait_for_child, pool, g.path)
      local open = hold or g:reached()
      if how == "cancel" then f:cancel { force = true } end
      local ok, err = f:outcome(20)
      open()
      assert.is_false(ok)
      assert.is_true(futures.is(err, how == "cancel" and "cancelled" or "timeout"), tostring(err))
      assert.equal(1, pool:submit(same, 1):result(20))
    end
    assert.equal(0, pool:stats().abandoned)
  end)

  it("other pools' workers may use it", function()
    local pool <close> = thread_pool.new { max_workers = 1, name = "mine" }
    local other <close> = thread_pool.new(2)
    local function use(p)
      return p:submit(math.abs, -5):result(), p:name(), p:map(math.abs, { -1, -2 }):collect()[2], tostring(p)
    end
    local shown = 'parhost.thread_pool: "mine" (1 workers at most)'
    assert.same({ 5, "mine", 2, shown }, { other:submit(use, pool):result(20) })
    assert.same({ 5, "mine", 2, shown }, { other:submit(function() return use(pool) end):result(20) })
    local back = other:submit(same, pool):result(20)
    assert.equal(3, back:submit(math.abs, -3):result(20))
  end)

  it("a guest does not end it, and finds it ended", function()
    local pool = thread_pool.new { max_workers = 1, name = "mine" }
    local other <close> = thread_pool.new(1)
    for _, method in ipairs { "close", "shutdown", "kill", "terminate", "join" } do
      local ok, err = other:submit(function(p, name) return pcall(p[name], p) end, pool, method):result(20)
      assert.is_false(ok)
      assert.is_true(futures.is(err, "invalid_state"), tostring(err))
      assert.matches('thread_pool "mine" is ended by the state that made it', err.message)
    end
    assert.equal(2, pool:submit(same, 2):result(20))
    other:submit(function(p) keep = p end, pool):result(20) -- luacheck: ignore
    pool:close()
    for _, task in ipairs { function() return pcall(keep.submit, keep, print) end, -- luacheck: ignore
      function() return pcall(keep.map, keep, print, { 1 }) end } do -- luacheck: ignore
      local ok, err = other:submit(task):result(20)
      assert.is_false(ok)
      assert.is_true(futures.is(err, "shutdown"), tostring(err))
    end
    local ok, err = other:submit(function(p) return pcall(p.submit, p, print) end, pool):result(20)
    assert.is_false(ok)
    assert.is_true(futures.is(err, "shutdown"), tostring(err))
    assert.equal(0, other:submit(function() return keep:stats().workers end):result(20)) -- luacheck: ignore
  end)

  it("tasks of a guest whose worker ends go on, unheard", function()
    local pool <close> = thread_pool.new(1)
    local g = gate.new()
    do
      local other <close> = thread_pool.new(1)
      other:submit(function(p, path) p:submit(pass, path) end, pool, g.path):result(20)
    end
    g:open()
    assert.is_true(pool:drain(20))
    assert.equal(1, pool:stats().completed)
  end)

  it("its handle does not leave the process", function()
    local out, err, code = program.run [[
      local proc_pool, thread_pool = require "proc_pool", require "thread_pool"
      local processes <close> = proc_pool.new(1)
      local threads <close> = thread_pool.new(1)
      print(pcall(processes.submit, processes, print, threads))
      print(pcall(require("parhost").dump_value, threads))
      print(threads:submit(function(p) return p:submit(math.abs, -1):result() end, processes):result(20))]]
    assert.same({ "", 0 }, { err, code })
    assert.equal("false\tparhost.nested: args[1]: the handle of a thread_pool cannot leave its process\n"
      .. "false\tparhost.nested: value: the handle of a thread_pool cannot leave its process\n1\n",
      (out:gsub("value%[1%]", "value")))
  end)
end)

describe("futures in other states", function()
  it("settle when the original does", function()
    local pool <close> = thread_pool.new(2)
    local function get(f) return f:outcome() end
    local f = pool:submit(function() return 42, nil, "x" end)
    assert.same({ n = 4, true, 42, nil, "x" }, table.pack(pool:submit(get, f):result(20)))
    assert.same({ true, 42, nil, "x" }, { pool:submit(get, f):result(20) })
    local cases = {
      { function(p) p:set_result({ 1 }) end, { true, { 1 } } },
      { function(p) p:set_error("no", "a traceback") end, { false, "no", "a traceback" } },
      { function(p) p:set_error(nil) end, { false, nil } },
    }
    for _, case in ipairs(cases) do
      local promise = futures.new()
      local g = gate.new()
      local early = pool:submit(function(p, path) require("support.gate").pass(path) return p:outcome() end, promise, g.path)
      g:open()
      case[1](promise)
      assert.same(case[2], { early:result(20) })
      assert.same(case[2], { pool:submit(get, promise):result(20) })
    end
    local cancelled = futures.new()
    local waiting = pool:submit(get, cancelled)
    cancelled:cancel { reason = "not needed" }
    local ok, err = waiting:result(20)
    assert.is_false(ok)
    assert.is_true(futures.is(err, "cancelled"))
    assert.equal("not needed", err.reason)
  end)

  it("may be waited for in rows, be results, and be cancelled only at home", function()
    local pool <close> = thread_pool.new(2)
    local f = pool:submit(same, 0)
    for _ = 1, 200 do f = pool:submit(function(before) return before:result() + 1 end, f) end
    assert.equal(200, f:result(60))
    local promise = futures.new()
    local back = pool:submit(same, promise):result(20)
    assert.equal("pending", back:state())
    assert.is_false(back:cancel())
    promise:set_result(3)
    assert.equal(3, back:result(20))
    local list = {}
    for i = 1, 5 do list[i] = pool:submit(same, i) end
    local n = pool:submit(function(all) return #(require("futures").wait(all)) end, list)
    assert.equal(5, n:result(20))
  end)

  it("say when a value cannot travel on, or their state has ended", function()
    local pool <close> = thread_pool.new(1)
    local promise = futures.new()
    local f = pool:submit(function(p) return p:outcome() end, promise)
    promise:set_result(io.stdout)
    local ok, err = f:result(20)
    assert.is_false(ok)
    assert.is_true(futures.is(err, "not_serializable"))
    local kept
    do
      local other <close> = thread_pool.new(1)
      kept = other:submit(function() return require("futures").new() end):result(20)
    end
    ok, err = kept:outcome(20)
    assert.is_false(ok)
    assert.is_true(futures.is(err, "cancelled"))
    assert.equal("shutdown", err.source)
  end)

  it("do not leave the process", function()
    local out, err, code = program.run [[
      local pool <close> = require("proc_pool").new(1)
      local ok, e = pcall(pool.submit, pool, print, require("futures").new())
      print(e.kind, e.path)]]
    assert.same({ "not_serializable\targs[1]\n", "", 0 }, { out, err, code })
  end)
end)

describe("waits that nothing can end", function()
  it("TH-05 raise deadlock, naming the cycle", function()
    local pool <close> = thread_pool.new { max_workers = 2, name = "P" }
    local promise = futures.new()
    local a = pool:submit(function(p) return p:result() end, promise)
    local b = pool:submit(function(f) return f:result() end, a)
    local ok, err = b:outcome()
    assert.is_false(ok)
    assert.is_true(futures.is(err, "deadlock"), tostring(err))
    assert.matches("waits for P#1", err.tasks)
    assert.matches("P#%d waits for ", err.tasks)
    assert.equal(3, pool:submit(same, 3):result())
    ok, err = a:outcome()
    assert.is_false(ok)
    assert.is_true(futures.is(err, "deadlock"), tostring(err))
  end)

  it("TH-05 between two tasks that wait for each other", function()
    local pool <close> = thread_pool.new { max_workers = 2, name = "P" }
    local for_a, for_b = futures.new(), futures.new()
    local a = pool:submit(function(f) return f:result() end, for_a)
    local b = pool:submit(function(f) return f:result() end, for_b)
    b:add_done_callback(function(f) for_a:set_error(select(2, f:outcome())) end)
    a:add_done_callback(function(f) for_b:set_error(select(2, f:outcome())) end)
    for _, f in ipairs { a, b } do
      local ok, err = f:outcome()
      assert.is_false(ok)
      assert.is_true(futures.is(err, "deadlock"), tostring(err))
      assert.matches("P#1 waits for .*P#2 waits for ", (err.tasks .. "\n" .. err.tasks):gsub("\n", " "))
    end
  end)

  it("TH-05 also while the program waits with a limit", function()
    local pool <close> = thread_pool.new { max_workers = 2, name = "P" }
    local promise = futures.new()
    local a = pool:submit(function(p) return p:result():result() end, promise)
    local b = pool:submit(function(f) return f:result() end, a)
    promise:set_result(b)
    for _, f in ipairs { a, b } do
      local ok, err = f:outcome(20)
      assert.is_false(ok)
      assert.is_true(futures.is(err, "deadlock"), tostring(err))
    end
  end)

  it("are found at the end of a pool, too", function()
    local pool = thread_pool.new { max_workers = 2, name = "P" }
    local list = {}
    for i = 1, 2 do list[i] = pool:submit(function(p) return p:result() end, futures.new()) end
    pool:close()
    for i = 1, 2 do
      local ok, err = list[i]:outcome(0)
      assert.is_false(ok)
      assert.is_true(futures.is(err, "deadlock"), tostring(err))
    end
  end)

  it("are not taken for those that a time-out, another task or the caller ends", function()
    local pool <close> = thread_pool.new(3)
    local promise = futures.new()
    local function wait(p, t) return p:outcome(t) end
    local ok, err = pool:submit(wait, promise, 0.05):result()
    assert.is_false(ok)
    assert.is_true(futures.is(err, "timeout"))
    ok, err = pool:with { timeout = 0.05 }:submit(wait, promise):outcome()
    assert.is_false(ok)
    assert.is_true(futures.is(err, "timeout"), tostring(err))
    local g = gate.new()
    local slow = pool:submit(pass, g.path)
    local behind = pool:submit(function(f) return f:result() end, slow)
    behind:wait(0.02)
    g:open("text")
    assert.equal("text", behind:result())
    local late = pool:submit(wait, promise)
    pool:submit(same, 1):add_done_callback(function() promise:set_result(5) end)
    assert.same({ true, 5 }, { late:result() })
  end)

  it("may be ended by tasks that no worker is left for: a blocked one helps", function()
    local pool <close> = thread_pool.new(1)
    local promise = futures.new()
    local blocked = pool:submit(function(p) return p:result() end, promise)
    pool:submit(same, "from behind"):add_done_callback(function(f) promise:set_result(f:result()) end)
    assert.equal("from behind", blocked:result())
  end)
end)
