-- SPDX-License-Identifier: MIT
-- Events, semaphores and barriers.
local coop = require "tests.spec.support.coop"
local futures = require "futures"
local raised = require "tests.spec.support.raised"

local async = coop.async
local spawn, cancel, turns, state = coop.spawn, coop.cancel, coop.turns, coop.state

local raised_by, raises_kind = raised.by, raised.kind

local function in_task(name, fn)
  it(name, function() coop.run_both(fn) end)
end

describe("an event", function()
  in_task("wakes all who wait, in order, and lets later ones through", function()
    local event, order = async.event(), {}
    for i = 1, 3 do
      spawn(function()
        assert.is_true(event:wait())
        order[#order + 1] = i
      end)
    end
    turns()
    assert.same({ {}, false }, { order, event:is_set() })
    event:set()
    event:set()
    turns()
    assert.same({ 1, 2, 3 }, order)
    assert.is_true(event:wait())
    assert.is_true(event:is_set())
  end)

  in_task("wakes who waited even when it is cleared at once", function()
    local event = async.event()
    local t = spawn(event.wait, event)
    turns()
    event:set()
    event:clear()
    turns()
    assert.equal("done", state(t))
    assert.is_false(event:wait(0))
  end)

  in_task("gives false on a timeout and forgets who was cancelled", function()
    local event = async.event()
    assert.is_false(event:wait(0.01))
    local t = spawn(event.wait, event)
    turns()
    cancel(t)
    turns()
    assert.equal("cancelled", state(t))
    assert.matches("^parhost.Event: 0x%x+ unset waiting=0$", tostring(event))
  end)

  it("can be set by a callback while plain code waits", function()
    local event, future = async.event(), futures.new()
    raises_kind("deadlock", event.wait, event)
    future:add_done_callback(function() event:set() end)
    future:set_result()
    assert.is_true(event:wait())
    assert.matches("bad argument #1 to 'wait'", raised_by(event.wait, event, {}))
    for _, method in ipairs { "set", "clear", "is_set", "wait" } do
      assert.matches("bad self %(parhost.Event expected", raised_by(event[method], async.lock()))
    end
  end)
end)

describe("a semaphore", function()
  in_task("SY-19 is first in, first out, and never negative", function()
    local semaphore, order = async.semaphore(2), {}
    assert.equal(2, semaphore:value())
    local function take(name)
      semaphore:acquire()
      order[#order + 1] = name
      assert.is_true(semaphore:value() >= 0)
    end
    for _, name in ipairs { "a", "b", "c", "d" } do spawn(take, name) end
    turns()
    assert.equal("ab", table.concat(order))
    assert.is_true(semaphore:locked())
    semaphore:release()
    semaphore:release()
    assert.equal(0, semaphore:value())
    spawn(take, "e")
    assert.is_false(semaphore:try_acquire())
    turns()
    assert.equal("abcd", table.concat(order))
    semaphore:release()
    turns()
    assert.equal("abcde", table.concat(order))
    semaphore:release()
    assert.same({ 1, false }, { semaphore:value(), semaphore:locked() })
    assert.is_true(semaphore:try_acquire())
    assert.is_false(semaphore:try_acquire())
  end)

  in_task("SY-21 loses no permit when cancelling races releasing", function()
    local semaphore = async.semaphore(1)
    semaphore:acquire()
    local a = spawn(semaphore.acquire, semaphore)
    local b = spawn(semaphore.acquire, semaphore)
    turns()
    semaphore:release()
    cancel(a)
    turns()
    assert.same({ "cancelled", "done" }, { state(a), state(b) })
    local c = spawn(semaphore.acquire, semaphore)
    turns()
    cancel(c)
    semaphore:release()
    turns()
    assert.same({ "cancelled", 1 }, { state(c), semaphore:value() })
  end)

  in_task("SY-21 loses no permit when all who were woken are cancelled", function()
    local semaphore = async.semaphore(0)
    local tasks = {}
    for i = 1, 4 do tasks[i] = spawn(semaphore.acquire, semaphore) end
    turns()
    semaphore:release()
    semaphore:release()
    cancel(tasks[1])
    cancel(tasks[2])
    turns()
    assert.same({ "done", "done", 0 }, { state(tasks[3]), state(tasks[4]), semaphore:value() })
  end)

  in_task("SY-23 keeps the order of turns", function()
    local semaphore, order = async.semaphore(1), {}
    local function loop(name)
      for i = 1, 3 do
        local _ <close> = semaphore:guard()
        order[#order + 1] = name .. i
        coop.checkpoint()
      end
    end
    spawn(loop, "a")
    spawn(loop, "b")
    turns(20)
    assert.equal("a1 b1 a2 b2 a3 b3", table.concat(order, " "))
    assert.equal(1, semaphore:value())
  end)

  in_task("SY-23 serves in order whatever runs between release and wake-up", function()
    local semaphore, order = async.semaphore(0), {}
    local function take(i)
      semaphore:acquire()
      order[#order + 1] = i
    end
    spawn(take, 1)
    spawn(take, 2)
    turns()
    semaphore:release()
    spawn(take, 3)
    semaphore:release()
    spawn(take, 4)
    turns()
    assert.same({ 1, 2 }, order)
    semaphore:release()
    semaphore:release()
    turns()
    assert.same({ 1, 2, 3, 4 }, order)
  end)

  in_task("raises timeout", function()
    local semaphore = async.semaphore(0)
    local err = raises_kind("timeout", semaphore.acquire, semaphore, 0.01)
    assert.equal("the semaphore had no permit within 0.01 s", err.message)
    raises_kind("timeout", semaphore.guard, semaphore, 0)
    semaphore:release()
    assert.equal(1, semaphore:value())
    assert.matches("^parhost.Semaphore: 0x%x+ value=1 waiting=0$", tostring(semaphore))
  end)

  in_task("refuses more releases than permits when it is bounded", function()
    local semaphore = async.bounded_semaphore(2)
    semaphore:acquire()
    semaphore:release()
    local err = raises_kind("invalid_state", semaphore.release, semaphore)
    assert.equal("release: all 2 permits of the bounded semaphore are there already", err.message)
    assert.equal(2, semaphore:value())
    local plain = async.semaphore()
    plain:release()
    assert.equal(2, plain:value())
  end)

  it("names what is wrong with an argument", function()
    assert.matches("bad argument #1 to 'semaphore' %(integer >= 0 expected, got %-1%)",
      raised_by(async.semaphore, -1))
    assert.matches("bad argument #1 to 'bounded_semaphore' %(integer expected, got 1.5%)",
      raised_by(async.bounded_semaphore, 1.5))
    local semaphore = async.semaphore(0)
    raises_kind("deadlock", semaphore.acquire, semaphore)
    for _, method in ipairs { "acquire", "try_acquire", "release", "locked", "value", "guard" } do
      assert.matches("bad self", raised_by(semaphore[method], 5))
    end
  end)
end)

describe("a barrier", function()
  local function arrive(barrier, n)
    local tasks = {}
    for i = 1, n do tasks[i] = spawn(barrier.wait, barrier) end
    turns(n + 1)
    return tasks
  end

  local function states(tasks)
    local list = {}
    for i, t in ipairs(tasks) do list[i] = state(t) end
    return list
  end

  in_task("opens when all have come, and gives each its place, round after round", function()
    local barrier = async.barrier(3)
    for _ = 1, 3 do
      local tasks = arrive(barrier, 2)
      assert.same({ 3, 2, false }, { barrier:parties(), barrier:n_waiting(), barrier:broken() })
      assert.equal(3, barrier:wait())
      assert.equal(0, barrier:n_waiting())
      assert.same({ 1, 2 }, { coop.join(tasks[1]), coop.join(tasks[2]) })
    end
    assert.equal(1, async.barrier(1):wait())
  end)

  it("SY-25 needs at least one party", function()
    for _, n in ipairs { 0, -1 } do
      assert.matches("bad argument #1 to 'barrier' %(integer >= 1 expected", raised_by(async.barrier, n))
    end
    assert.matches("bad argument #1 to 'barrier' %(integer expected, got nil%)", raised_by(async.barrier))
    local barrier = async.barrier(2)
    raises_kind("deadlock", barrier.wait, barrier)
    for _, method in ipairs { "wait", "reset", "abort", "parties", "n_waiting", "broken" } do
      assert.matches("bad self", raised_by(barrier[method], "x"))
    end
  end)

  in_task("SY-27 goes on without one who was cancelled", function()
    local barrier = async.barrier(3)
    local tasks = arrive(barrier, 2)
    cancel(tasks[1])
    turns()
    assert.equal(1, barrier:n_waiting())
    local third = spawn(barrier.wait, barrier)
    turns()
    assert.equal("pending", state(third))
    assert.equal(3, barrier:wait())
    turns()
    assert.same({ "cancelled", "done" }, states(tasks))
    assert.same({ 1, 2 }, { coop.join(tasks[2]), coop.join(third) })
  end)

  in_task("SY-27 is open for all when one is cancelled after it has opened", function()
    local barrier = async.barrier(3)
    local tasks = arrive(barrier, 2)
    barrier:wait()
    cancel(tasks[1])
    turns()
    assert.same({ "cancelled", "done" }, states(tasks))
    assert.same({ 0, false }, { barrier:n_waiting(), barrier:broken() })
  end)

  in_task("SY-29 gives broken_barrier to those who wait when it is reset, and is as new", function()
    local barrier = async.barrier(3)
    local tasks = arrive(barrier, 2)
    barrier:reset()
    assert.equal(0, barrier:n_waiting())
    turns()
    for _, t in ipairs(tasks) do
      local err = raises_kind("broken_barrier", coop.join, t)
      assert.same({ "the barrier was reset", "reset" }, { err.message, err.state })
    end
    barrier:reset()
    tasks = arrive(barrier, 3)
    assert.same({ "done", "done", "done" }, states(tasks))
  end)

  in_task("SY-29 lets those go who were released before the reset", function()
    local barrier = async.barrier(3)
    local tasks = arrive(barrier, 2)
    barrier:wait()
    barrier:reset()
    turns()
    assert.same({ "done", "done" }, states(tasks))
  end)

  in_task("is broken from abort to reset", function()
    local barrier = async.barrier(2)
    local tasks = arrive(barrier, 1)
    barrier:abort()
    turns()
    assert.equal("aborted", raises_kind("broken_barrier", coop.join, tasks[1]).state)
    raises_kind("broken_barrier", barrier.wait, barrier)
    assert.is_true(barrier:broken())
    assert.matches("broken waiting=0/2$", tostring(barrier))
    barrier:reset()
    assert.is_false(barrier:broken())
    assert.same({ "done", "done" }, states(arrive(barrier, 2)))
  end)

  in_task("is left by who runs out of time", function()
    local barrier = async.barrier(2)
    local err = raises_kind("timeout", barrier.wait, barrier, 0.01)
    assert.equal("the barrier was not complete within 0.01 s", err.message)
    assert.same({ 0, false }, { barrier:n_waiting(), barrier:broken() })
  end)
end)

describe("waiting", function()
  in_task("leaves nothing behind, however often it ends without success", function()
    local event, semaphore, queue = async.event(), async.semaphore(0), async.queue()
    local function try(n)
      for _ = 1, n do
        event:wait(0)
        pcall(semaphore.acquire, semaphore, 0)
        pcall(queue.get, queue, 0)
      end
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    local before = try(200)
    assert.is_true(try(3000) - before < 20)
  end)
end)
