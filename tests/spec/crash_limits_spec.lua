-- SPDX-License-Identifier: MIT
-- Too little memory, too few descriptors, too big values.
package.path = "tests/spec/?.lua;" .. package.path
local futures = require "futures"
local gate = require "support.gate"
local hostile = require "support.hostile"
local proc_pool = require "proc_pool"
local run = require "support.run"

local MIB <const> = 1 << 20

describe("memory_limit", function()
  it("CR-07 fails the task alone and keeps the worker", function()
    local pool <close> = proc_pool.new { max_workers = 1, memory_limit = 64 * MIB }
    local pid = pool:submit(hostile.pid):result()
    for _, task in ipairs { hostile.build_string, hostile.build_table } do
      local ok, err = pool:submit(task, 1 << 30):outcome(60)
      assert.is_false(ok)
      assert.is_true(futures.is(err, "memory_limit"), tostring(err))
      assert.equal(64 * MIB, err.limit)
      assert.equal("the task needs more than its memory limit of 64.0 MiB", err.message)
    end
    assert.equal(pid, pool:submit(hostile.pid):result())
    assert.equal(10 * MIB, pool:submit(hostile.build_string, 10 * MIB):result())
  end)

  it("may be the task's own, and may be caught in it", function()
    local pool <close> = proc_pool.new(1)
    local small = pool:with { memory_limit = 8 * MIB }
    assert.same({ false, "not enough memory" }, { small:submit(hostile.catch_memory_error, 1 << 30):result() })
    assert.is_true(futures.is(small:submit(hostile.build_string, 1 << 30):error(20), "memory_limit"))
    assert.equal(32 * MIB, pool:submit(hostile.build_string, 32 * MIB):result())
  end)

  it("that is ridiculously small is an error like any other", function()
    local pool <close> = proc_pool.new(1)
    assert.is_true(futures.is(pool:with { memory_limit = 1 }:submit(hostile.same):error(20), "memory_limit"))
    assert.equal(1, pool:submit(hostile.same, 1):result(20))
  end)

  it("does not count what earlier tasks have left behind", function()
    local pool <close> = proc_pool.new { max_workers = 1, memory_limit = 32 * MIB }
    for _ = 1, 10 do assert.equal(12 * MIB, pool:submit(hostile.build_string, 12 * MIB):result(20)) end
  end)
end)

describe("a stack", function()
  it("that overflows in Lua is an ordinary error, with a short traceback", function()
    local pool <close> = proc_pool.new(1)
    local pid = pool:submit(hostile.pid):result()
    for _, task in ipairs { hostile.overflow_lua_stack, hostile.overflow_handler_stack } do
      local ok, err, traceback = pool:submit(task):outcome(20)
      assert.is_false(ok)
      assert.matches("overflow", tostring(err))
      assert.is_true(traceback == nil or #traceback < 5000)
    end
    assert.equal(pid, pool:submit(hostile.pid):result())
  end)

  it("that overflows in C through Lua's own functions is, too", function()
    local pool <close> = proc_pool.new(1)
    local pid = pool:submit(hostile.pid):result()
    local ok, err = pool:submit(hostile.nest_calls):outcome(20)
    assert.is_false(ok)
    assert.matches("C stack overflow", tostring(err))
    assert.equal(pid, pool:submit(hostile.pid):result())
  end)
end)

describe("big values", function()
  it("CR-47 100 MB go there and back, and their memory comes back", function()
    local pool <close> = proc_pool.new(1)
    local pid = pool:submit(hostile.pid):result()
    collectgarbage()
    collectgarbage()
    local before, worker_before = hostile.resident(), hostile.resident(pid)
    do
      local text = ("0123456789"):rep(10 * MIB)
      assert.is_true(pool:submit(hostile.same, text):result(60) == text)
    end
    local limit = require("parhost").monotonic() + 20
    local function comes_back(who, of, was)
      while hostile.resident(of) - was > 16 * MIB do
        assert.is_true(require("parhost").monotonic() < limit, who)
        collectgarbage()
        pool:submit(hostile.pid):result()
      end
    end
    comes_back("host", nil, before)
    comes_back("worker", pid, worker_before)
  end)

  it("CR-49 50 MB in both directions at once do not meet head-on", function()
    local pool <close> = proc_pool.new(2)
    local text, list = ("x"):rep(50 * MIB), {}
    for i = 1, 4 do list[i] = pool:submit(hostile.same, text) end
    for i = 1, 4 do assert.equal(50 * MIB, #list[i]:result(60)) end
  end)
end)

describe("too few descriptors", function()
  local crash = require "crash"

  -- Calls f when there is room for so many descriptors more.
  local function with_descriptors(more, f)
    local before = crash.limit("nofile", hostile.highest_descriptor() + 1 + more)
    local files, opened = {}, io.open("/dev/null")
    while opened do
      files[#files + 1] = opened
      opened = io.open("/dev/null")
    end
    for _ = 1, more do table.remove(files):close() end
    local ok, err = pcall(f)
    crash.limit("nofile", before)
    for _, file in ipairs(files) do file:close() end
    if not ok then error(err, 0) end
  end

  it("for a pool: an error, and nothing left open", function()
    proc_pool.new(1):close()
    local before = hostile.possessions()
    for more = 0, 4 do
      with_descriptors(more, function()
        local ok, err = pcall(proc_pool.new, 1)
        if ok then return err:close() end
        assert.is_true(futures.is(err, "os"), tostring(err))
        assert.matches("Too many open files", err.message)
      end)
    end
    collectgarbage()
    collectgarbage()
    assert.equal(before, hostile.possessions())
  end)

  it("for the first worker: the pool is broken, and says why", function()
    local pool <close> = proc_pool.new(1)
    with_descriptors(0, function()
      local err = pool:submit(hostile.same, 1):error(20)
      assert.is_true(futures.is(err, "broken_pool"))
      assert.matches("a worker could not be started: .*Too many open files", err.message)
    end)
  end)

  it("for another worker: the work goes on, and the worker comes later", function()
    local pool <close> = proc_pool.new(2)
    local g = gate.new()
    assert.equal(1, pool:submit(hostile.same, 1):result())
    local list = {}
    with_descriptors(0, function()
      for i = 1, 10 do list[i] = pool:submit(hostile.same, i) end
      for i = 1, 10 do assert.equal(i, list[i]:result(20)) end
      list[1], list[2] = pool:submit(gate.pass, g.path), pool:submit(hostile.same, 2)
      assert.is_false(list[2]:wait(0.02))
    end)
    local open = g:reached()
    assert.equal(2, list[2]:result(20))
    open()
    assert.equal("", list[1]:result(20))
  end)

  it("in the zygote: the pool is broken, and does not hang", function()
    local result = run.script [[
      local proc_pool = require "proc_pool"
      local first, second = proc_pool.new(1), proc_pool.new(2)
      print(second:submit(math.abs, -1):result())
      os.execute("prlimit --nofile=6 --pid $(ps -o pid=,comm= --ppid $PPID | awk '/zygote/ { print $1 }')")
      print(first:submit(math.abs, -1):error(20).message)
      second:warm_up()
      print(second:submit(math.abs, -2):result())]]
    local text = "proc_pool-1 is broken: a worker could not be started: Too many open files"
    assert.same({ out = ("1\n%s\n2\n"):format(text), err = "", code = 0 }, result)
  end)

  it("in a worker: the task's own affair", function()
    local pool <close> = proc_pool.new(1)
    assert.matches("Too many open files", pool:submit(hostile.open_without_descriptors):result(20))
    assert.equal(1, pool:submit(hostile.same, 1):result(20))
  end)
end)

-- Sanitizers take all the address space there is.
local describe_plain = hostile.address_space() < 1 << 40 and describe or pending

describe_plain("too little memory", function()
  local function run_with(kilobytes, text)
    return run.sh(("ulimit -v %d; exec timeout 60 %s -e %s"):format(kilobytes, run.parhost, run.quote(text)))
  end

  it("for the link of a worker: the pool is broken, and says why", function()
    local result = run.script [[
      local options = { max_workers = 1, name = "p", initializer = math.abs, init_args = { 1 } }
      local pool <close> = require("proc_pool").new(options)
      print(require("proc_pool").new(1):submit(math.abs, -1):result()) -- the zygote is there, and has its name
      os.execute("prlimit --as=1000000 --pid $(ps -o pid=,comm= --ppid $PPID | awk '/zygote/ { print $1 }')")
      print(pool:submit(math.abs, -1):error(20).message)]]
    local text = "p is broken: a worker could not be started: Cannot allocate memory\n"
    assert.same({ out = "1\n" .. text, err = "", code = 0 }, result)
  end)

  it("for a result: its future fails, and the pool works on", function()
    local result = run_with(200000, [[
      local pool <close> = require("proc_pool").new(1)
      local function make(n) return ("x"):rep(n) end
      local ok, err = pool:submit(make, 150 << 20):outcome(50)
      print(ok, tostring(err):find("not enough memory", 1, true) ~= nil)
      print(#pool:submit(make, 1 << 20):result())]])
    assert.same({ out = "false\ttrue\n1048576\n", err = "", code = 0 }, result)
  end)

  it("to receive a result: its future fails, and the pool works on", function()
    local pool <close> = proc_pool.new(1)
    local crash = require "crash"
    assert.equal(1, pool:submit(hostile.same, 1):result())
    local f = pool:submit(hostile.long_string, 64 * MIB)
    local before = crash.limit("as", hostile.address_space() + 16 * MIB)
    local ok, err = f:outcome(60)
    crash.limit("as", before)
    assert.is_false(ok)
    assert.matches("not enough memory", tostring(err))
    assert.equal(2, pool:submit(hostile.same, 2):result(20))
    assert.equal(0, pool:stats().restarts)
  end)

  it("to receive arguments: their futures fail, and the worker works on", function()
    local pool <close> = proc_pool.new(1)
    local text = ("x"):rep(64 * MIB)
    local ok, err
    assert.is_true(pool:submit(hostile.limit_memory, 16 * MIB):result())
    local list = { pool:submit(hostile.length, text), pool:submit(hostile.same, 2) }
    ok, err = list[1]:outcome(60)
    assert.is_false(ok)
    assert.equal("parhost.os: not enough memory to receive the arguments or the result of the task", tostring(err))
    assert.equal("ENOMEM", err.code)
    assert.equal(2, list[2]:result(20))
    local chunks = pool:with { chunk_size = 2 }:map(hostile.length, { text, text })
    for _ = 1, 2 do assert.is_true(futures.is(select(2, pcall(chunks.next, chunks)), "os")) end
    assert.equal(0, pool:stats().restarts)
  end)

  it("for arguments: an error at the call, or in the future", function()
    local result = run_with(300000, [[
      local pool <close> = require("proc_pool").new(1)
      local text = ("x"):rep(140 << 20)
      local function length(s) return #s end
      local ok, f = pcall(pool.submit, pool, length, text)
      local err = f
      if ok then ok, err = f:outcome(50) end
      print(ok, tostring(err):find("not enough memory", 1, true) ~= nil)
      print(pool:submit(length, "xx"):result())]])
    assert.same({ out = "false\ttrue\n2\n", err = "", code = 0 }, result)
  end)
end)
