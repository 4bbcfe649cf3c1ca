-- SPDX-License-Identifier: MIT
-- Initializers that fail, exit, crash, loop.
package.path = "tests/spec/?.lua;" .. package.path
local futures = require "futures"
local gate = require "support.gate"
local hostile = require "support.hostile"
local proc_pool = require "proc_pool"

-- The pool may be broken already: then it is submit that raises.
local function failure_of(pool, ...)
  local ok, err = pcall(pool.submit, pool, ...)
  if ok then ok, err = err:outcome(20) end
  assert.is_false(ok)
  assert.is_true(futures.is(err, "initializer_failed"), tostring(err))
  return err
end

describe("an initializer", function()
  it("that raises breaks the pool with its error as the cause", function()
    local pool <close> = proc_pool.new { max_workers = 2, name = "p", initializer = error, init_args = { "no", 0 } }
    local err = failure_of(pool, hostile.same)
    assert.equal("parhost.initializer_failed: the initializer of p failed: no", tostring(err))
    assert.equal("no", err.cause)
    local ok, again = pcall(pool.submit, pool, hostile.same)
    assert.is_false(ok)
    assert.equal("initializer_failed", again.kind)
  end)

  it("that exits or crashes is told from one that raises", function()
    local cases = { { "os:exit", { 3 }, "exit_code", 3 }, { hostile.segfault, {}, "signal", "SIGSEGV" } }
    for _, case in ipairs(cases) do
      local pool <close> = proc_pool.new { max_workers = 1, initializer = case[1], init_args = case[2], name = "p" }
      local err = failure_of(pool, hostile.same)
      assert.equal("the initializer of p ended its worker", err.message)
      assert.equal("worker_died", err.cause.kind)
      assert.equal(case[4], err.cause[case[3]])
    end
  end)

  it("that loops in one worker does not keep tasks from the others", function()
    local g, mark = gate.new(), os.tmpname()
    os.remove(mark)
    local pool = proc_pool.new {
      max_workers = 2, initializer = hostile.spin_unless_first, init_args = { mark }, grace = 0.05,
    }
    assert.equal(1, pool:submit(hostile.same, 1):result(20))
    local held = pool:submit(gate.pass, g.path)
    local open = g:reached()
    local list = {}
    for i = 1, 20 do list[i] = pool:submit(hostile.same, i) end
    open()
    for i = 1, 20 do assert.equal(i, list[i]:result(20)) end
    assert.equal("", held:result())
    pool:terminate()
    assert.is_true(pool:join(20))
    os.remove(mark)
  end)

  it("that loops does not hold up the end of its pool", function()
    for _, how in ipairs { "close", "terminate", "kill" } do
      local pool = proc_pool.new { max_workers = 1, initializer = hostile.spin, grace = 0.05 }
      local f = pool:submit(hostile.same, 1)
      local pid = hostile.worker_pids(pool)[1]
      assert.is_true(f:cancel())
      pool[how](pool)
      assert.is_true(pool:join(20))
      assert.is_true(hostile.gone { pid })
    end
  end)

  it("that loops beside one that fails neither", function()
    local mark = os.tmpname()
    os.remove(mark)
    local pool = proc_pool.new {
      max_workers = 2, initializer = hostile.fail_or_spin, init_args = { mark }, grace = 0.05,
    }
    pool:warm_up()
    failure_of(pool, hostile.same)
    assert.is_true(pool:shutdown { timeout = 20 })
    os.remove(mark)
  end)

  it("is not run again for a task that is cancelled meanwhile", function()
    local path = os.tmpname()
    local pool <close> = proc_pool.new { max_workers = 1, initializer = hostile.append, init_args = { path, "x" } }
    local f = pool:submit(hostile.same, 1)
    f:cancel()
    assert.equal(2, pool:submit(hostile.same, 2):result(20))
    assert.equal("x", hostile.read(path))
    os.remove(path)
  end)
end)

describe("a module of preload", function()
  it("that is not there breaks the pool, naming it", function()
    local pool <close> = proc_pool.new { max_workers = 1, preload = { "no.such.module" } }
    assert.matches("module 'no.such.module' not found", failure_of(pool, hostile.same).message)
  end)
end)
