-- SPDX-License-Identifier: MIT
-- Locks and conditions.
local coop = require "tests.spec.support.coop"
local raised = require "tests.spec.support.raised"
local run = require "tests.spec.support.run"

local async = coop.async
local spawn, cancel, turns, state = coop.spawn, coop.cancel, coop.turns, coop.state

local raised_by, raises_kind = raised.by, raised.kind

local function in_task(name, fn)
  it(name, function() coop.run_both(fn) end)
end

describe("a lock", function()
  in_task("SY-01 is granted first in, first out", function()
    local lock, order = async.lock(), {}
    assert.is_true(lock:acquire())
    for i = 1, 3 do
      spawn(function()
        lock:acquire()
        order[#order + 1] = i
        coop.checkpoint()
        lock:release()
      end)
    end
    turns()
    assert.same({}, order)
    lock:release()
    turns(20)
    assert.same({ 1, 2, 3 }, order)
    assert.is_false(lock:locked())
  end)

  in_task("SY-03 goes to the second when the first is being cancelled", function()
    local lock = async.lock()
    lock:acquire()
    local a = spawn(lock.acquire, lock)
    local b = spawn(lock.acquire, lock)
    turns()
    cancel(a)
    lock:release()
    turns()
    assert.same({ "cancelled", "done" }, { state(a), state(b) })
    assert.is_true(lock:locked())
  end)

  in_task("SY-05 is passed on by one who was woken, then cancelled", function()
    local lock = async.lock()
    lock:acquire()
    local a = spawn(lock.acquire, lock)
    local b = spawn(lock.acquire, lock)
    turns()
    lock:release()
    cancel(a)
    turns()
    assert.same({ "cancelled", "done" }, { state(a), state(b) })
  end)

  in_task("SY-05 is free when the only one who was woken is cancelled", function()
    local lock = async.lock()
    lock:acquire()
    local a = spawn(lock.acquire, lock)
    turns()
    lock:release()
    assert.is_true(lock:locked())
    cancel(a)
    turns()
    assert.is_false(lock:locked())
    assert.is_true(lock:try_acquire())
  end)

  in_task("SY-07 is released by its guard on normal, error and cancelled exit", function()
    local lock = async.lock()
    do
      local g <close> = lock:guard()
      assert.is_true(lock:locked())
      assert.is_function(g.close)
    end
    assert.is_false(lock:locked())
    assert.equal("boom", raised_by(function()
      local _ <close> = lock:guard()
      error("boom", 0)
    end))
    assert.is_false(lock:locked())
    local t = spawn(function()
      local _ <close> = lock:guard()
      coop.turns(1000)
    end)
    turns()
    assert.is_true(lock:locked())
    cancel(t)
    turns()
    assert.same({ "cancelled", false }, { state(t), lock:locked() })
  end)

  in_task("is released once by its guard", function()
    local lock = async.lock()
    do
      local g <close> = lock:guard()
      g:close()
      assert.is_false(lock:locked())
      assert.is_true(lock:try_acquire())
      g:close()
    end
    assert.is_true(lock:locked())
  end)

  it("is reported when its guard is lost", function()
    local result = run.script [[
      local async = require "async.sync"
      local lock = async.lock()
      lock:guard()
      collectgarbage()
      Kept = async.semaphore():guard()
    ]]
    assert.matches("a guard was collected without being closed, and parhost.Lock: 0x%x+ locked waiting=0 stays acquired",
      result.err)
    assert.is_nil(result.err:find("Semaphore", 1, true))
  end)

  in_task("SY-09 puts the one who releases behind those who wait", function()
    local lock, order = async.lock(), {}
    local function loop(name)
      for _ = 1, 3 do
        lock:acquire()
        order[#order + 1] = name
        coop.checkpoint()
        lock:release()
      end
    end
    for _, name in ipairs { "a", "b", "c" } do spawn(loop, name) end
    turns(30)
    assert.equal("abcabcabc", table.concat(order))
  end)

  in_task("cannot be taken by try_acquire while it is on its way to another", function()
    local lock = async.lock()
    lock:acquire()
    local t = spawn(lock.acquire, lock)
    turns()
    lock:release()
    assert.is_false(lock:try_acquire())
    turns()
    assert.equal("done", state(t))
  end)

  in_task("is released by its owner only", function()
    local lock = async.lock()
    local err = raises_kind("invalid_state", lock.release, lock)
    assert.same({ "release: the lock is not locked", "unlocked" }, { err.message, err.state })
    local t = spawn(lock.acquire, lock)
    turns()
    assert.equal("done", state(t))
    err = raises_kind("invalid_state", lock.release, lock)
    assert.matches("^release: the lock is held by ", err.message)
    assert.is_true(lock:locked())
  end)

  in_task("refuses to be acquired twice by the same task", function()
    local lock = async.lock()
    lock:acquire()
    assert.matches("acquire: task '.*' holds the lock already", raises_kind("invalid_state", lock.acquire, lock).message)
    assert.is_false(lock:try_acquire())
    raises_kind("invalid_state", lock.guard, lock, 1)
    lock:release()
  end)

  in_task("raises timeout, and the one who gave up is out of the line", function()
    local lock = async.lock()
    local holder = spawn(function()
      lock:acquire()
      turns(1000)
    end)
    turns(1)
    local err = raises_kind("timeout", lock.acquire, lock, 0.01)
    assert.same({ "the lock was not free within 0.01 s", 0.01 }, { err.message, err.seconds })
    raises_kind("timeout", lock.acquire, lock, 0)
    raises_kind("timeout", lock.guard, lock, -1)
    assert.matches("waiting=0$", tostring(lock))
    cancel(holder)
  end)

  it("works in plain code, and says when nobody can ever release it", function()
    local lock = async.lock()
    do
      local _ <close> = lock:guard()
      assert.matches("plain code holds the lock already", raises_kind("invalid_state", lock.acquire, lock).message)
    end
    coop.run(lock.acquire, lock)
    local err = raises_kind("deadlock", lock.acquire, lock)
    assert.equal("waiting for a lock, and nothing is left that could end this wait", err.message)
    raises_kind("timeout", lock.acquire, lock, 0.01)
  end)

  it("names what is wrong with an argument", function()
    local lock = async.lock()
    assert.matches("bad argument #1 to 'acquire' %(number expected, got string%)", raised_by(lock.acquire, lock, "1"))
    assert.matches("bad argument #1 to 'guard' %(number expected, got NaN%)", raised_by(lock.guard, lock, 0 / 0))
    assert.matches("calling 'acquire' on bad self %(parhost.Lock expected, got number%)", raised_by(lock.acquire, 1))
    for _, method in ipairs { "try_acquire", "release", "locked", "guard" } do
      assert.matches("bad self", raised_by(lock[method], {}))
    end
    assert.matches("^parhost.Lock: 0x%x+ unlocked$", tostring(lock))
  end)
end)

describe("a condition", function()
  -- Tasks that wait on it and note their number.
  local function waiters(condition, n)
    local woken, tasks = {}, {}
    for i = 1, n do
      tasks[i] = spawn(function()
        local _ <close> = condition:guard()
        if condition:wait() then woken[#woken + 1] = i end
        assert.is_true(condition:locked())
      end)
    end
    turns(n + 2)
    return woken, tasks
  end

  in_task("SY-11 wakes n in order, and they take the lock one by one", function()
    local condition = async.condition()
    local woken = waiters(condition, 5)
    condition:acquire()
    condition:notify(2)
    condition:notify()
    turns()
    assert.same({}, woken)
    condition:release()
    turns(10)
    assert.same({ 1, 2, 3 }, woken)
    condition:acquire()
    condition:notify_all()
    condition:notify(7)
    condition:release()
    turns(10)
    assert.same({ 1, 2, 3, 4, 5 }, woken)
    assert.is_false(condition:locked())
  end)

  in_task("SY-13 is waited for and notified with the lock held only", function()
    local condition = async.condition()
    for _, name in ipairs { "wait", "notify", "notify_all", "release" } do
      local err = raises_kind("invalid_state", condition[name], condition)
      assert.equal(name .. ": the lock is not locked", err.message)
    end
    raises_kind("invalid_state", condition.wait_for, condition, function() return true end)
  end)

  in_task("SY-15 hands a notification on when the woken one is cancelled", function()
    local condition = async.condition()
    local woken, tasks = waiters(condition, 2)
    condition:acquire()
    condition:notify(1)
    condition:release()
    cancel(tasks[1])
    turns(10)
    assert.same({ { 2 }, "cancelled", false }, { woken, state(tasks[1]), condition:locked() })
  end)

  in_task("SY-15 hands a notification on when the woken one is cancelled while it waits for the lock", function()
    local condition = async.condition()
    local woken, tasks = waiters(condition, 2)
    condition:acquire()
    condition:notify(1)
    turns()
    cancel(tasks[1])
    turns()
    assert.equal("pending", state(tasks[1]))
    condition:release()
    turns(10)
    assert.same({ { 2 }, "cancelled", false }, { woken, state(tasks[1]), condition:locked() })
  end)

  in_task("has its lock again when the wait was cancelled", function()
    local condition = async.condition()
    local held
    local t = spawn(function()
      condition:acquire()
      local _ <close> = setmetatable({}, { __close = function()
        held = condition:locked()
        condition:release()
      end })
      condition:wait()
    end)
    turns()
    condition:acquire()
    cancel(t)
    turns()
    assert.is_nil(held)
    assert.equal("pending", state(t))
    condition:release()
    turns()
    assert.same({ true, "cancelled", false }, { held, state(t), condition:locked() })
  end)

  in_task("SY-17 shares the lock that it is given", function()
    local lock = async.lock()
    local a, b = async.condition(lock), async.condition(lock)
    lock:acquire()
    assert.same({ true, true }, { a:locked(), b:locked() })
    assert.is_false(b:try_acquire())
    a:release()
    assert.is_false(lock:locked())
    assert.matches("bad argument #1 to 'condition' %(lock expected, got parhost.Condition%)",
      raised_by(async.condition, a))
  end)

  in_task("gives false on a timeout, with the lock held", function()
    local condition = async.condition()
    condition:acquire()
    assert.is_false(condition:wait(0.01))
    assert.is_false(condition:wait(0))
    assert.matches("locked waiting=0$", tostring(condition))
    condition:release()
  end)

  in_task("wait_for waits until the predicate holds", function()
    local condition = async.condition()
    local value = 0
    local t = spawn(function()
      local _ <close> = condition:guard()
      return condition:wait_for(function() return value >= 3 and "enough" end)
    end)
    for _ = 1, 3 do
      turns()
      assert.equal("pending", state(t))
      local _ <close> = condition:guard()
      value = value + 1
      condition:notify_all()
    end
    assert.equal("enough", coop.join(t))
    local _ <close> = condition:guard()
    assert.is_false(condition:wait_for(function() return false end, 0.01))
    assert.equal("boom", raised_by(condition.wait_for, condition, function() error("boom", 0) end))
    assert.is_true(condition:locked())
    assert.matches("bad argument #1 to 'wait_for' %(function expected, got nil%)",
      raised_by(condition.wait_for, condition))
    assert.matches("bad argument #1 to 'notify' %(integer >= 0 expected, got %-1%)",
      raised_by(condition.notify, condition, -1))
  end)

  it("says in plain code when nobody can ever notify it", function()
    local condition = async.condition()
    condition:acquire()
    raises_kind("deadlock", condition.wait, condition)
    assert.is_true(condition:locked())
    condition:release()
  end)
end)
