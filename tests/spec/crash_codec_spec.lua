-- SPDX-License-Identifier: MIT
-- Values whose __dump and __load error, exit or crash: on the way in and on the way out, at either end.
package.path = "tests/spec/?.lua;" .. package.path
local futures = require "futures"
local hostile = require "support.hostile"
local proc_pool = require "proc_pool"

local bombs = require "support.bombs"

local function outcome_of(pool, how, ...)
  local f = pool:submit(hostile.same, ...)
  local neighbour = pool:submit(hostile.same, how)
  local ok, err = f:outcome(20)
  assert.equal(how, neighbour:result(20))
  return ok, err
end

describe("a value that cannot be read", function()
  it("CR-09 as its __load exits the worker, fails its task alone", function()
    local pool <close> = proc_pool.new(1)
    local ok, err = outcome_of(pool, "exit", bombs.on_load("exit"))
    assert.is_false(ok)
    assert.same({ "worker_died", 9 }, { err.kind, err.exit_code })
  end)

  it("CR-11 as its __load crashes, fails its task alone", function()
    local pool <close> = proc_pool.new(1)
    local ok, err = outcome_of(pool, "crash", bombs.on_load("crash"))
    assert.is_false(ok)
    assert.same({ "worker_died", "SIGSEGV" }, { err.kind, err.signal })
  end)

  it("as its __load errors, gives that error", function()
    local pool <close> = proc_pool.new(1)
    local ok, err = outcome_of(pool, "error", bombs.on_load("error"))
    assert.is_false(ok)
    assert.equal("bomb: error", err)
  end)

  it("CR-13 as the __dump of the result crashes or exits", function()
    local pool <close> = proc_pool.new(1)
    for how, expected in pairs { crash = "SIGSEGV", exit = 9 } do
      local f = pool:submit("support.bombs:on_dump", how)
      local ok, err = f:outcome(20)
      assert.is_false(ok)
      assert.equal("worker_died", err.kind)
      assert.equal(expected, err.signal or err.exit_code)
      assert.equal(how, pool:submit(hostile.same, how):result(20))
    end
  end)

  it("as the __dump of the result errors, gives that error", function()
    local pool <close> = proc_pool.new(1)
    local ok, err = pool:submit("support.bombs:on_dump", "error"):outcome(20)
    assert.is_false(ok)
    assert.equal("bomb: error", err)
  end)

  it("as the __dump of an error value fails, says so", function()
    local pool <close> = proc_pool.new(1)
    local ok, err = pool:submit("support.bombs:raise_on_dump", "error"):outcome(20)
    assert.is_false(ok)
    assert.matches("could not be sent", tostring(err))
    assert.equal(1, pool:submit(hostile.same, 1):result(20))
  end)

  it("CR-15 as the __load of the result errors here, fails its future alone", function()
    local pool <close> = proc_pool.new(1)
    local list = { pool:submit("support.bombs:for_parent"), pool:submit(hostile.same, 2) }
    local ok, err = list[1]:outcome(20)
    assert.is_false(ok)
    assert.equal("bomb: error", err)
    assert.equal(2, list[2]:result(20))
    assert.equal(3, pool:submit(hostile.same, 3):result(20))
  end)

  it("CR-17 raises at submit and leaves nothing that a shutdown waits for", function()
    local pool = proc_pool.new(1)
    local ok, err = pcall(pool.submit, pool, hostile.same, { deep = { coroutine.create(print) } })
    assert.is_false(ok)
    assert.is_true(futures.is(err, "not_serializable"))
    assert.equal("args[1].deep[1]", err.path)
    local pids = hostile.worker_pids(pool)
    pool:shutdown { wait = false }
    assert.is_true(pool:join(20))
    assert.is_true(hostile.gone(pids))
    assert.equal(0, #pids)
  end)

  it("raises at submit what its __dump raises there", function()
    local pool <close> = proc_pool.new(1)
    local ok, err = pcall(pool.submit, pool, hostile.same, bombs.on_dump("error"))
    assert.is_false(ok)
    assert.equal("bomb: error", err)
    assert.equal(1, pool:submit(hostile.same, 1):result(20))
  end)
end)
