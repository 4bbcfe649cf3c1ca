-- SPDX-License-Identifier: MIT
-- The death of a worker: what it was running fails, by name, and nothing else.
package.path = "tests/spec/?.lua;" .. package.path
local futures = require "futures"
local gate = require "support.gate"
local hostile = require "support.hostile"
local proc_pool = require "proc_pool"

local function assert_died(f, seconds)
  local ok, err = f:outcome(seconds or 20)
  assert.is_false(ok)
  assert.is_true(futures.is(err, "worker_died"), tostring(err))
  return err
end

local function kill(signal, pid)
  assert(os.execute(("kill -%s %d"):format(signal, pid)))
end

-- A task that stands behind a gate in a worker; its pid.
local function start_stayer(pool)
  local g = gate.new()
  local f = pool:submit(hostile.stay, g.path)
  g:open()
  for _, w in ipairs(pool:workers()) do
    if w.task then return f, w.pid end
  end
end

describe("the death of a worker", function()
  it("CR-01 fails its task and no other", function()
    for _, signal in ipairs { "TERM", "KILL" } do
      local pool <close> = proc_pool.new(2)
      local f, pid = start_stayer(pool)
      local others = {}
      for i = 1, 20 do others[i] = pool:submit(hostile.same, i) end
      kill(signal, pid)
      local err = assert_died(f)
      assert.same({ "SIG" .. signal, pid }, { err.signal, err.pid })
      assert.is_nil(err.exit_code)
      for i = 1, 20 do assert.equal(i, others[i]:result()) end
      assert.equal(1, pool:submit(hostile.same, 1):result())
      assert.equal(1, pool:stats().restarts)
    end
  end)

  it("CR-01 with on_worker_death = break fails all of them", function()
    local pool <close> = proc_pool.new { max_workers = 1, on_worker_death = "break", name = "fragile" }
    local f, pid = start_stayer(pool)
    local waiting = { pool:submit(hostile.same, 1), pool:submit(hostile.same, 2) }
    kill("KILL", pid)
    assert_died(f)
    for _, w in ipairs(waiting) do
      local ok, err = w:outcome(20)
      assert.is_false(ok)
      assert.equal("parhost.broken_pool: fragile is broken: a worker died", tostring(err))
      assert.same({ "worker_died", "SIGKILL" }, { err.cause.kind, err.cause.signal })
    end
    local ok, err = pcall(pool.submit, pool, hostile.same)
    assert.is_false(ok)
    assert.is_true(futures.is(err, "broken_pool"))
  end)

  it("CR-03 by os.exit has its exit code", function()
    local pool <close> = proc_pool.new(1)
    for given, code in pairs { [42] = 42, [0] = 0, [true] = 0, [false] = 1 } do
      local err = assert_died(pool:submit("os:exit", given))
      assert.equal(code, err.exit_code)
      assert.is_nil(err.signal)
    end
  end)

  it("CR-05 by a crash in C names the signal, the task and a likely cause", function()
    local cases = {
      segfault = { "SIGSEGV", "a crash in C code.*" },
      overflow_c_stack = { "SIGSEGV", "its stack overflowed" },
      abort = { "SIGABRT", "C code gave up" },
    }
    local pool <close> = proc_pool.new(1)
    for name, expected in pairs(cases) do
      local err = assert_died(pool:submit(hostile[name]))
      assert.equal(expected[1], err.signal)
      local place = "tests/spec/support/hostile%.lua:%d+"
      assert.matches(("^worker 1 %%(pid %d%%) was ended by %s %%(.*%s%%) while running .*%s")
        :format(err.pid, expected[1], expected[2], place), err.message)
      assert.matches(place, err.task)
      assert.is_true(err.max_rss > 1 << 20)
    end
    assert.equal(1, pool:submit(hostile.same, 1):result())
  end)

  it("by a real-time signal has a name, too", function()
    local pool <close> = proc_pool.new(1)
    local f, pid = start_stayer(pool)
    kill("40", pid)
    local err = assert_died(f)
    assert.equal("signal 40", err.signal)
    assert.matches("was ended by signal 40 while running", err.message)
  end)

  it("SIGKILL points to the memory", function()
    local pool <close> = proc_pool.new(1)
    local f, pid = start_stayer(pool)
    kill("KILL", pid)
    assert.matches("SIGKILL %(killed from outside; out of memory%?%)", assert_died(f).message)
  end)

  it("that never stops breaks the pool in the end", function()
    local pool <close> = proc_pool.new { max_workers = 1, max_restarts = 2 }
    local list = {}
    for i = 1, 3 do list[i] = pool:submit(hostile.segfault) end
    local last = pool:submit(hostile.same, 1)
    for i = 1, 3 do assert_died(list[i]) end
    local ok, err = last:outcome(20)
    assert.is_false(ok)
    assert.equal("broken_pool", err.kind)
    assert.matches("3 workers in a row died", err.message)
  end)

  it("with retries runs the task again", function()
    local mark = os.tmpname()
    os.remove(mark)
    local pool <close> = proc_pool.new(1)
    local f = pool:with { retries = 1 }:submit(hostile.exit_once, mark)
    assert.equal("second", f:result(20))
    os.remove(mark)
    assert.equal(1, pool:stats().retried)
  end)

  it("CR-25 gives each future an error of its own", function()
    local pool <close> = proc_pool.new { max_workers = 1, on_worker_death = "break" }
    local f, pid = start_stayer(pool)
    local a, b = pool:submit(hostile.same, 1), pool:submit(hostile.same, 2)
    kill("KILL", pid)
    assert_died(f)
    local first, second = a:error(20), b:error(20)
    first.message, first.cause.extra = "changed", true
    assert.is_not.equal(first, second)
    assert.is_not.equal("changed", second.message)
    assert.is_nil(second.cause.extra)
  end)

  it("CR-27 in the middle of writing a result is a death like any other", function()
    local pool <close> = proc_pool.new(2)
    local list = {}
    for i = 1, 6 do list[i] = pool:submit(hostile.long_string, 50 << 20) end
    for _, pid in ipairs(hostile.worker_pids(pool)) do kill("KILL", pid) end
    local died = 0
    for _, f in ipairs(list) do
      local ok, value = f:outcome(60)
      if ok then assert.equal(50 << 20, #value) else died = died + 1 end
      if not ok then assert.equal("worker_died", value.kind) end
    end
    assert.is_true(died <= 2)
    assert.equal(1, pool:submit(hostile.same, 1):result())
  end)

  it("CR-23 by a finalizer does not touch the result", function()
    local pool <close> = proc_pool.new(1)
    local pid = pool:submit(hostile.leave_bomb):result()
    assert.is_true(hostile.gone({ pid }))
    assert.is_not.equal(pid, pool:submit(hostile.pid):result())
    assert.equal(1, pool:stats().restarts)
  end)

  it("CR-39 takes along what the task has started", function()
    local pool <close> = proc_pool.new { max_workers = 1, grace = 0.1 }
    for _, how in ipairs { "kill", "cancel" } do
      local g, pidfile = gate.new(), os.tmpname()
      local f = pool:submit(hostile.start_sleeper_and_stay, pidfile, g.path)
      g:open()
      local sleeper, worker = tonumber(hostile.read(pidfile)), pool:workers()[1].pid
      os.remove(pidfile)
      assert.is_true(hostile.exists(sleeper))
      if how == "kill" then kill("KILL", worker) else f:cancel { force = true } end
      f:outcome(20)
      assert.is_true(hostile.gone { sleeper, worker })
    end
  end)

  it("while idle is noticed by the next look, and by the next task", function()
    local pool <close> = proc_pool.new(1)
    local pid = pool:submit(hostile.pid):result()
    kill("KILL", pid)
    assert.is_true(hostile.gone { pid })
    local other = pool:submit(hostile.pid):result(20)
    assert.is_not.equal(pid, other)
  end)

  it("a stopped worker keeps only the task that it runs", function()
    local pool <close> = proc_pool.new(2)
    local g = gate.new()
    local f = pool:submit(gate.pass, g.path)
    local open = g:reached()
    local pid = pool:workers()[1].pid
    kill("STOP", pid)
    open()
    for i = 1, 100 do assert.equal(i, pool:submit(hostile.same, i):result(20)) end
    assert.is_false(f:done())
    kill("CONT", pid)
    assert.equal("", f:result(20))
  end)

  it("a stopped idle worker gets no task to keep", function()
    local pool <close> = proc_pool.new(2)
    local gates = { gate.new(), gate.new() }
    local list = {}
    for i = 1, 2 do list[i] = pool:submit(gate.pass, gates[i].path) end
    for i = 1, 2 do gates[i] = gates[i]:reached() end
    for i = 1, 2 do gates[i]() end
    futures.wait(list)
    local pid = pool:workers()[1].pid
    kill("STOP", pid)
    for i = 1, 100 do assert.equal(i, pool:submit(hostile.same, i):result(20)) end
    kill("CONT", pid)
    assert.equal(2, #pool:workers())
  end)
end)
