-- SPDX-License-Identifier: MIT
-- What is special about threads.
package.path = "tests/spec/?.lua;" .. package.path
local assert = require "luassert"
local busted = require "busted"
local futures = require "futures"
local gate = require "support.gate"
local parhost = require "parhost"
local program = require "support.program"
local tasks = require "support.tasks"
local thread_pool = require "thread_pool"

local describe, it = busted.describe, busted.it
-- That of tasks, instead of the one that busted makes for this file.
local _ENV = package.loaded._G -- luacheck: ignore 211

local function pass(path) return gate.pass(path) end
local function same(...) return ... end

-- A task that sits in C code, where no signal reaches it, until the gate opens.
local function sit(path) os.execute("cat " .. path) end

local function threads()
  local path, names = os.tmpname(), {}
  os.execute("cat /proc/$PPID/task/*/comm 2>/dev/null >" .. path)
  for name in io.lines(path) do names[#names + 1] = name end
  os.remove(path)
  return names
end

-- The number of threads, once those that end have ended.
local function count_threads(expected)
  local deadline = parhost.monotonic() + 10
  local n
  repeat n = #threads() until n == expected or parhost.monotonic() > deadline
  return n
end

describe("thread_pool", function()
  it("TH-01 names its threads", function()
    for name, pattern in pairs { SpecialPool = "^SpecialPool_%d$", [false] = "^thread_pool%-%d+_%d$" } do
      local pool <close> = thread_pool.new { max_workers = 2, name = name or nil }
      local task = pool:submit(function() return require("parhost").worker() end):result()
      assert.matches(pattern, task.name)
      assert.equal(task.name, pool:workers()[1].name)
      assert.equal("integer", math.type(pool:workers()[1].tid))
      assert.is_nil(pool:workers()[1].pid)
      local found = 0
      for _, thread in ipairs(threads()) do found = found + (thread:find(pattern) and 1 or 0) end
      assert.is_true(found >= 1)
    end
  end)

  it("runs tasks in this process, each in a state of its own", function()
    local pool <close> = thread_pool.new(2)
    local pid = pool:submit("parhost:worker"):result().pid
    local me = io.open("/proc/self/stat"):read("n")
    assert.equal(me, pid)
    pool:submit(function() seen_in_worker = true end):result() -- luacheck: ignore
    assert.is_nil(_G.seen_in_worker)
    assert.is_nil(parhost.worker())
  end)

  it("has a default number of workers", function()
    local pool <close> = thread_pool.new()
    assert.matches(("%d workers at most"):format(math.min(32, parhost.cpu_count() + 4)), tostring(pool))
  end)

  it("refuses options of processes", function()
    for _, key in ipairs { "start_method", "env", "cwd", "nice" } do
      local ok, err = pcall(thread_pool.new, { [key] = "x" })
      assert.is_false(ok)
      assert.matches(("option '%s' is for worker processes"):format(key), err)
    end
  end)

  it("TH-07 takes any error value", function()
    local pool <close> = thread_pool.new(1)
    local f = pool:submit(function() error(nil) end)
    assert.same({ nil, true }, { f:error() })
    assert.same({}, pool:submit(function() error({}) end):error())
    assert.equal(print, pool:submit(function() error(print) end):error())
    local err = pool:submit(function() error(coroutine.create(print)) end):error()
    assert.is_true(futures.is(err, "not_serializable"))
    assert.equal(1, pool:submit(same, 1):result())
  end)

  it("SE-23 lets light userdata through", function()
    local pool <close> = thread_pool.new(1)
    local id = debug.upvalueid(function() return pool end, 1)
    assert.equal("userdata", type(id))
    assert.equal(id, pool:submit(same, id):result())
    assert.equal(id, pool:submit(same, { id }):result()[1])
  end)

  it("os.exit in a task raises worker_exit", function()
    local pool <close> = thread_pool.new(1)
    for _, code in ipairs { 42, true, false } do
      local ok, err = pool:submit(function(n) os.exit(n, true) end, code):outcome()
      assert.is_false(ok)
      assert.is_true(futures.is(err, "worker_exit"))
      assert.equal(code == 42 and 42 or code and 0 or 1, err.exit_code)
    end
    assert.equal(0, pool:stats().restarts)
  end)

  it("TH-17 stops loops in coroutines", function()
    local pool <close> = thread_pool.new(1)
    local g = gate.new()
    local f = pool:submit(function(path)
      coroutine.wrap(function()
        coroutine.resume(coroutine.create(function()
          require("support.gate").pass(path)
          while true do pcall(math.abs, 1) end
        end))
      end)()
    end, g.path)
    g:open()
    assert.is_true(f:cancel { force = true })
    assert.is_true(futures.is(select(2, f:outcome(20)), "cancelled"))
    assert.equal(1, pool:submit(same, 1):result())
    assert.equal(0, pool:stats().abandoned)
  end)

  it("runs <close> variables of a task that it stops", function()
    local pool <close> = thread_pool.new(1)
    local g, closed = gate.new(), gate.new()
    local f = pool:submit(function(path, mark)
      local _ <close> = setmetatable({}, { __close = function() io.open(mark, "w"):close() end })
      require("support.gate").pass(path)
      while true do pcall(function() while true do end end) end
    end, g.path, closed.path)
    g:open()
    f:cancel { force = true }
    assert.equal("", closed.pass(closed.path))
    assert.is_true(futures.is(select(2, f:outcome(20)), "cancelled"))
  end)

  it("TH-19 abandons a thread that sits in C code, and goes on with another", function()
    local before = #threads()
    local pool = thread_pool.new { max_workers = 1, name = "Stuck" }
    local g = gate.new()
    local f, behind = pool:submit(sit, g.path), pool:submit(same, 2)
    local open = g:reached()
    local tid = pool:workers()[1].tid
    assert.is_true(f:cancel { force = true, grace = 0.05, reason = "stuck" })
    local ok, err = f:outcome(20)
    assert.is_false(ok)
    assert.is_true(futures.is(err, "cancelled"))
    assert.equal("stuck", err.reason)
    assert.equal(2, behind:result(20))
    assert.equal(1, pool:stats().abandoned)
    assert.not_equal(tid, pool:workers()[1].tid)
    pool:close()
    open()
    assert.equal(before, count_threads(before))
  end)

  it("abandons a thread that does not come back from a time-out, a kill, and the end of its pool", function()
    local before = #threads()
    local g = { gate.new(), gate.new() }
    local pool = thread_pool.new { max_workers = 2, grace = 0.05 }
    local late = pool:with { timeout = 0.01 }:submit(sit, g[1].path)
    local first = g[1]:reached()
    assert.is_true(futures.is(select(2, late:outcome(20)), "timeout"))
    local stuck = pool:submit(sit, g[2].path)
    local second = g[2]:reached()
    pool:kill()
    assert.is_true(pool:join(20))
    assert.is_true(futures.is(select(2, stuck:outcome(20)), "cancelled"))
    assert.equal(2, pool:stats().abandoned)
    first()
    second()
    assert.equal(before, count_threads(before))
  end)

  it("TH-15 an abandoned thread hinders no end of a program, and may come back during it", function()
    for _, text in ipairs { "f:cancel { force = true, grace = 0.01 } f:wait()", "error('out', 0)", "os.exit(1, true)" } do
      local g = gate.new()
      local out, err, code = program.run(([[
        local pool = require("thread_pool").new { max_workers = 1, grace = 0.01, at_exit = "kill" }
        local path = %q
        local f = pool:submit(function(path) os.execute("exec cat " .. path) return "late" end, path)
        while not f:running() do end
        file = io.open(path, "w") -- closed by the end of the program
        %s]]):format(g.path, text))
      assert.equal("", out)
      assert.equal(text:find("error") and "parhost: out" or "", err:match("^[^\n]*"))
      assert.equal(text:find("cancel") and 0 or 1, code)
    end
  end)

  it("TH-21 keeps nothing of its tasks", function()
    local pool <close> = thread_pool.new(2)
    local function memory()
      for line in io.lines("/proc/self/status") do
        local kilobytes = line:match("VmRSS:%s+(%d+)")
        if kilobytes then return tonumber(kilobytes) end
      end
    end
    local function round(n)
      local view = pool:with { buffer_size = 1000 }
      local i = 0
      for _, v in view:map(same, function() i = i + 1 return i <= n and { i, "text" .. i } or nil end) do
        assert.equal(2, #v)
      end
      collectgarbage()
    end
    local function heap()
      return pool:submit(function() collectgarbage() return collectgarbage "count" end):result()
    end
    round(20000)
    local before, heap_before = memory(), heap()
    round(80000)
    assert.is_true(heap() - heap_before < 64, heap() - heap_before)
    if not os.getenv "ASAN_OPTIONS" then -- which keeps back what is freed
      assert.is_true(memory() - before < 4096, memory() - before)
    end
  end)

  it("lines come out whole, in the order of the program", function()
    local out, err, code = program.run [[
      local pool = require("thread_pool").new(3)
      print "begin"
      local list = {}
      for i = 1, 3 do
        list[i] = pool:submit(function(letter)
          for n = 1, 200 do
            if n % 2 == 0 then print(letter:rep(20), letter) else io.write(letter:rep(20), "\t", letter, "\n") end
          end
        end, ("abc"):sub(i, i))
      end
      for i = 1, 3 do list[i]:result() end
      pool:submit(function() io.write "rest" end):result()
      print "end"]]
    assert.same({ "", 0 }, { err, code })
    local n = 0
    local body = out:match("^begin\n(.*)restend\n$")
    for line in body:gmatch("[^\n]*\n") do
      n = n + 1
      local letter = line:sub(1, 1)
      assert.equal(letter:rep(20) .. "\t" .. letter .. "\n", line)
    end
    assert.equal(600, n)
  end)

  it("a task that waits for a file holds up no program that another starts", function()
    local pool <close> = thread_pool.new(2)
    local g = gate.new()
    local f = pool:submit(pass, g.path)
    local open = g:reached()
    local function echo()
      local pipe <close> = assert(io.popen "echo here")
      return pipe:read("l")
    end
    assert.equal("here", pool:submit(echo):result(20))
    assert.equal("here", echo())
    open()
    assert.equal("", f:result(20))
    local err = pool:submit(function() io.open(nil) end):error()
    assert.matches("bad argument #1 to 'open' %(string expected, got nil%)", err)
  end)

  it("memory_limit holds for a state", function()
    local pool <close> = thread_pool.new { max_workers = 1, memory_limit = 8 << 20 }
    local ok, err = pool:submit(function() return #("x"):rep(64 << 20) end):outcome()
    assert.is_false(ok)
    assert.is_true(futures.is(err, "memory_limit"))
    assert.equal(8 << 20, err.limit)
    assert.equal(1, pool:submit(same, 1):result())
  end)

  it("idle_timeout and max_tasks_per_worker end threads", function()
    local before = #threads()
    do
      local pool <close> = thread_pool.new { max_workers = 1, max_tasks_per_worker = 2 }
      local ids = {}
      for i = 1, 4 do ids[i] = pool:submit(tasks.thread_id):result() end
      assert.equal(ids[1], ids[2])
      assert.equal(ids[3], ids[4])
      assert.not_equal(ids[1], ids[3])
      local idle <close> = thread_pool.new { max_workers = 1, idle_timeout = 0.01 }
      idle:submit(same):result()
      local deadline = parhost.monotonic() + 10
      while #idle:workers() > 0 and parhost.monotonic() < deadline do end
      assert.equal(0, #idle:workers())
    end
    assert.equal(before, count_threads(before))
  end)

  it("math.random differs per worker, and follows a seed", function()
    local pool <close> = thread_pool.new(2)
    local g = { gate.new(), gate.new() }
    local list = {}
    for i = 1, 2 do list[i] = pool:submit(function(path) pass(path) return math.random(1 << 60) end, g[i].path) end
    local open = { g[1]:reached(), g[2]:reached() }
    open[1]()
    open[2]()
    assert.not_equal(list[1]:result(), list[2]:result())
    local function draw(n)
      local seeded <close> = thread_pool.new { max_workers = n, seed = 7 }
      return seeded:map(function() return math.random(1 << 60) end, { 1, 2, 3, 4 }):collect()
    end
    assert.same(draw(1), draw(3))
  end)

  it("CR-41 this process cannot be forked while there are threads", function()
    local out, err, code = program.run [[
      local proc_pool, thread_pool = require "proc_pool", require "thread_pool"
      local threads <close> = thread_pool.new(2)
      threads:warm_up()
      print(select(2, pcall(proc_pool.new, { start_method = "fork", on_worker_death = "break" })))
      local processes <close> = proc_pool.new(1)
      print(processes:submit(math.abs, -1):result(), threads:submit(math.abs, -2):result())]]
    assert.same({ "", 0 }, { err, code })
    assert.matches("^parhost.invalid_state: cannot fork workers: this process has %d threads beside its own", out)
    assert.matches("\n1\t2\n$", out)
    out, err, code = program.run [[
      local threads <close> = require("thread_pool").new(2)
      threads:warm_up()
      local processes <close> = require("proc_pool").new(1) -- from the fork server, which was there before
      print(processes:submit(math.abs, -1):result())]]
    assert.same({ "1\n", "", 0 }, { out, err, code })
  end)
end)
