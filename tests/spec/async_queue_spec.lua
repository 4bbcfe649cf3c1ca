-- SPDX-License-Identifier: MIT
-- Queues: first in first out, last in first out, by priority.
local coop = require "tests.spec.support.coop"
local futures = require "futures"
local raised = require "tests.spec.support.raised"

local async = coop.async
local spawn, cancel, turns, state = coop.spawn, coop.cancel, coop.turns, coop.state

local raised_by, raises_kind = raised.by, raised.kind

local function in_task(name, fn)
  it(name, function() coop.run_both(fn) end)
end

local function fill(queue, list)
  for _, item in ipairs(list) do queue:put(item) end
  return queue
end

local function drain(queue)
  local list = {}
  while not queue:empty() do list[#list + 1] = queue:get() end
  return list
end

describe("a queue", function()
  it("QU-01 gives its items first in, first out, and knows its size", function()
    local queue = fill(async.queue(3), { "a", "b" })
    assert.same({ 2, false, false }, { queue:size(), queue:empty(), queue:full() })
    queue:put("c")
    assert.same({ 3, false, true }, { queue:size(), queue:empty(), queue:full() })
    assert.same({ "a", "b", "c" }, drain(queue))
    assert.same({ 0, true, false }, { queue:size(), queue:empty(), queue:full() })
  end)

  it("QU-01 has no limit without max, and with 0", function()
    for _, queue in ipairs { async.queue(), async.queue(0) } do
      for i = 1, 1000 do queue:put(i) end
      assert.same({ 1000, false }, { queue:size(), queue:full() })
      for i = 1, 1000 do assert.equal(i, queue:get()) end
    end
  end)

  in_task("QU-01 blocks who puts into a full one until there is room, in order", function()
    local queue, order = fill(async.queue(2), { 1, 2 }), {}
    for i = 3, 5 do
      spawn(function()
        queue:put(i)
        order[#order + 1] = i
      end)
    end
    turns()
    assert.same({}, order)
    assert.equal(1, queue:get())
    assert.is_true(queue:full())
    turns()
    assert.same({ 3 }, order)
    assert.same({ 2, 3, 4, 5 }, { queue:get(), queue:get(), queue:get(), queue:get() })
    turns()
    assert.same({ 3, 4, 5 }, order)
  end)

  in_task("serves those who wait for items in order", function()
    local queue, got = async.queue(), {}
    for i = 1, 3 do spawn(function() got[i] = queue:get() end) end
    turns()
    fill(queue, { "a", "b" })
    assert.same({ 0, true }, { queue:size(), queue:empty() })
    turns()
    assert.same({ "a", "b" }, got)
    queue:put("c")
    turns()
    assert.same({ "a", "b", "c" }, got)
  end)

  it("QU-03 QU-09 tries without waiting", function()
    local queue = async.queue(1)
    assert.same({ nil, "empty" }, { queue:try_get() })
    assert.is_true(queue:try_put(nil))
    assert.same({ nil, "full" }, { queue:try_put(1) })
    local n, got, value = (function(...) return select("#", ...), ... end)(queue:try_get())
    assert.same({ 2, true, nil }, { n, got, value })
    queue:put(false)
    assert.same({ true, false }, { queue:try_get() })
    queue:shutdown()
    assert.same({ nil, "closed" }, { queue:try_get() })
    assert.same({ nil, "closed" }, { queue:try_put(1) })
  end)

  in_task("what is promised to one who has waited cannot be taken by another", function()
    local queue = async.queue(1)
    local t = spawn(queue.get, queue)
    turns()
    queue:put("a")
    assert.same({ nil, "empty" }, { queue:try_get() })
    assert.is_true(queue:try_put("b"))
    assert.same({ nil, "full" }, { queue:try_put("c") })
    assert.equal("a", coop.join(t))
    assert.equal("b", queue:get())
  end)

  in_task("QU-05 a pair with room for one comes to its end", function()
    for _, consumers in ipairs { 1, 3 } do
      local queue, seen, tasks = async.queue(1), {}, {}
      local function produce(from)
        for i = from, from + 9 do queue:put(i) end
      end
      for i = 1, 3 do tasks[i] = spawn(produce, i * 10) end
      for _ = 1, consumers do
        spawn(function()
          for item in queue:items() do seen[#seen + 1] = item end
        end)
      end
      for _, t in ipairs(tasks) do coop.join(t) end
      queue:shutdown()
      turns()
      assert.equal(30, #seen)
    end
  end)

  in_task("QU-07 keeps an item whose getter is cancelled after it was woken", function()
    local queue = async.queue()
    local t = spawn(queue.get, queue)
    turns()
    fill(queue, { 1, 2 })
    cancel(t)
    turns()
    assert.equal("cancelled", state(t))
    assert.same({ 1, 2 }, drain(queue))
  end)

  in_task("QU-07 keeps the order when some of many getters are cancelled after they were woken", function()
    local queue, got, tasks = async.queue(), {}, {}
    for i = 1, 6 do
      tasks[i] = spawn(function()
        local item = queue:get()
        got[#got + 1] = { i, item }
      end)
    end
    turns()
    fill(queue, { "a", "b", "c", "d" })
    cancel(tasks[1])
    cancel(tasks[3])
    cancel(tasks[5])
    turns()
    assert.same({ { 2, "a" }, { 4, "b" }, { 6, "c" } }, got)
    assert.same({ "d" }, drain(queue))
  end)

  in_task("QU-07 either puts or is cancelled, never both", function()
    local queue = fill(async.queue(1), { 1 })
    local a, b = spawn(queue.put, queue, 2), spawn(queue.put, queue, 3)
    turns()
    cancel(a)
    turns()
    assert.equal("cancelled", state(a))
    assert.equal(1, queue:get())
    cancel(b)
    turns()
    assert.equal("done", state(b))
    assert.same({ 3 }, drain(queue))
    assert.matches("waiting=0$", tostring(queue))
  end)

  in_task("raises timeout, and forgets who gave up", function()
    local queue = async.queue(1)
    local err = raises_kind("timeout", queue.get, queue, 0.01)
    assert.same({ "the queue was empty within 0.01 s", 0.01 }, { err.message, err.seconds })
    assert.equal("the queue was empty", raises_kind("timeout", queue.get, queue, 0).message)
    queue:put(1, 0)
    err = raises_kind("timeout", queue.put, queue, 2, 0.01)
    assert.equal("the queue was full within 0.01 s", err.message)
    assert.equal(1, queue:get(5))
    assert.is_true(queue:empty())
    assert.matches("^parhost.Queue: 0x%x+ size=0 waiting=0$", tostring(queue))
  end)

  in_task("QU-11 counts what has been done", function()
    local queue = async.queue()
    assert.is_true(queue:join())
    assert.is_true(queue:join(0))
    fill(queue, { 1, 2 })
    local t = spawn(queue.join, queue)
    assert.is_false(queue:join(0.01))
    queue:get()
    queue:task_done()
    turns()
    assert.equal("pending", state(t))
    queue:get()
    queue:task_done()
    assert.is_true(coop.join(t))
    local err = raises_kind("invalid_state", queue.task_done, queue)
    assert.equal("task_done: called more often than items were put", err.message)
    queue:put(3)
    assert.is_false(queue:join(0))
  end)

  in_task("QU-13 gives what is left after shutdown, then queue_shutdown", function()
    local queue = fill(async.queue(1), { 1 })
    local putter, joiner = spawn(queue.put, queue, 2), spawn(queue.join, queue)
    turns()
    queue:shutdown()
    turns()
    local err = raises_kind("queue_shutdown", coop.join, putter)
    assert.equal("put: the queue has been shut down", err.message)
    raises_kind("queue_shutdown", queue.put, queue, 3)
    assert.equal("pending", state(joiner))
    assert.equal(1, queue:get())
    raises_kind("queue_shutdown", queue.get, queue)
    queue:task_done()
    turns()
    assert.equal("done", state(joiner))
    assert.is_true(queue:join())
    queue:shutdown()
  end)

  in_task("QU-13 wakes who waits for an item", function()
    local queue = async.queue()
    local a, b = spawn(queue.get, queue), spawn(queue.get, queue)
    turns()
    queue:shutdown()
    turns()
    raises_kind("queue_shutdown", coop.join, a)
    raises_kind("queue_shutdown", coop.join, b)
  end)

  in_task("QU-13 gives an item that becomes free again to one who was told of the shutdown", function()
    local queue = async.queue()
    local a, b = spawn(queue.get, queue), spawn(queue.get, queue)
    turns()
    queue:put(1)
    queue:shutdown()
    cancel(a)
    turns()
    assert.equal("cancelled", state(a))
    assert.equal(1, coop.join(b))
  end)

  in_task("QU-15 drops everything at once; what was taken is waited for", function()
    local queue = fill(async.queue(3), { 1, 2, 3 })
    local putter, joiner = spawn(queue.put, queue, 4), spawn(queue.join, queue)
    turns()
    assert.equal(1, queue:get())
    turns()
    queue:shutdown { immediate = true }
    turns()
    assert.same({ "done", "pending", 0 }, { state(putter), state(joiner), queue:size() })
    raises_kind("queue_shutdown", queue.get, queue)
    queue:task_done()
    turns()
    assert.equal("done", state(joiner))
    raises_kind("invalid_state", queue.task_done, queue)
  end)

  in_task("QU-15 drops what was promised, too", function()
    local queue = async.queue()
    local a, b = spawn(queue.get, queue), spawn(queue.get, queue)
    turns()
    fill(queue, { 1, 2 })
    queue:shutdown { immediate = true }
    cancel(b)
    turns()
    raises_kind("queue_shutdown", coop.join, a)
    assert.same({ "cancelled", 0 }, { state(b), queue:size() })
    assert.is_true(queue:join())
  end)

  in_task("is iterated until its shutdown", function()
    local queue, seen = async.queue(1), {}
    spawn(function()
      for i = 1, 5 do queue:put(i) end
      queue:shutdown()
    end)
    for item in queue:items() do
      seen[#seen + 1] = item
      if item == 2 then break end
    end
    for item in queue:items() do seen[#seen + 1] = item end
    assert.same({ 1, 2, 3, 4, 5 }, seen)
    local it <close> = queue:items()
    assert.is_nil(it:next())
    assert.is_nil(it())
  end)

  in_task("is left alone by a closed iterator", function()
    local queue = fill(async.queue(), { 1, 2 })
    local it = queue:items()
    assert.equal(1, it:next())
    it:close()
    assert.is_nil(it:next())
    assert.equal(1, queue:size())
    queue:get()
    queue:put(nil)
    it = queue:items()
    assert.matches("an item is nil", raises_kind("invalid_state", it.next, it).message)
  end)

  it("names what is wrong with an argument", function()
    local queue = async.queue()
    assert.matches("bad argument #1 to 'queue' %(integer >= 0 expected, got %-1%)", raised_by(async.queue, -1))
    assert.matches("bad argument #1 to 'lifo_queue' %(integer expected, got string%)",
      raised_by(async.lifo_queue, "x"))
    assert.matches("bad argument #2 to 'put' %(number expected, got string%)", raised_by(queue.put, queue, 1, "x"))
    assert.matches("bad argument #1 to 'get' %(number expected, got NaN%)", raised_by(queue.get, queue, 0 / 0))
    assert.matches("unknown option 'immediately'; did you mean 'immediate'%?",
      raised_by(queue.shutdown, queue, { immediately = true }))
    for _, method in ipairs {
      "put", "get", "try_put", "try_get", "task_done", "join", "shutdown", "size", "empty", "full", "items",
    } do
      assert.matches("calling '" .. method .. "' on bad self %(parhost.Queue expected, got nil%)",
        raised_by(queue[method]))
    end
    assert.equal("waiting for an item of a queue, and nothing is left that could end this wait",
      raises_kind("deadlock", queue.get, queue).message)
    local full = fill(async.queue(1), { 1 })
    raises_kind("deadlock", full.put, full, 2)
    raises_kind("deadlock", full.join, full)
    assert.equal(1, full:size())
  end)

  it("is filled by callbacks while plain code waits", function()
    local queue, future = async.queue(), futures.new()
    future:add_done_callback(function() queue:put("x") end)
    future:set_result()
    assert.equal("x", queue:get(5))
  end)
end)

describe("a lifo queue", function()
  it("gives the last first", function()
    local queue = fill(async.lifo_queue(), { 1, 3, 2 })
    assert.equal(2, queue:get())
    queue:put(4)
    assert.same({ 4, 3, 1 }, drain(queue))
  end)

  in_task("QU-07 keeps an item whose getter is cancelled", function()
    local queue = async.lifo_queue()
    local t = spawn(queue.get, queue)
    turns()
    fill(queue, { 1, 2 })
    cancel(t)
    turns()
    assert.same({ 2, 1 }, drain(queue))
    fill(queue, { 1, 2 })
    queue:shutdown { immediate = true }
    assert.is_true(queue:empty())
  end)
end)

describe("a priority queue", function()
  it("gives the smallest first", function()
    assert.same({ 1, 2, 3 }, drain(fill(async.priority_queue(), { 1, 3, 2 })))
    assert.same({ "c", "b", "a" },
      drain(fill(async.priority_queue(nil, function(a, b) return a > b end), { "b", "c", "a" })))
  end)

  it("keeps the order of equals", function()
    local random = math.random
    math.randomseed(7)
    for _ = 1, 50 do
      local queue = async.priority_queue(nil, function(a, b) return a.level < b.level end)
      local expected = {}
      for i = 1, random(40) do
        expected[i] = { level = random(3), number = i }
        queue:put(expected[i])
      end
      table.sort(expected, function(a, b)
        if a.level ~= b.level then return a.level < b.level end
        return a.number < b.number
      end)
      assert.same(expected, drain(queue))
    end
  end)

  it("keeps what it holds when less raises", function()
    local broken = false
    local queue = async.priority_queue(nil, function(a, b)
      if broken then error("broken", 0) end
      return a < b
    end)
    fill(queue, { 5, 1, 4, 2, 3 })
    broken = true
    assert.equal("broken", raised_by(queue.put, queue, 0))
    assert.equal("broken", raised_by(queue.get, queue))
    assert.equal("broken", raised_by(queue.try_get, queue))
    broken = false
    assert.equal(5, queue:size())
    assert.same({ 1, 2, 3, 4, 5 }, drain(queue))
    queue:put(1)
    assert.matches("attempt to compare", raised_by(queue.put, queue, {}))
    assert.same({ 1 }, drain(queue))
  end)

  in_task("raises the error of less in the task that puts", function()
    local queue = fill(async.priority_queue(2), { 2, 1 })
    local bad, good = spawn(queue.put, queue, "x"), spawn(queue.put, queue, 3)
    turns()
    assert.equal(1, queue:get())
    turns()
    assert.matches("attempt to compare", raised_by(coop.join, bad))
    assert.equal("done", state(good))
    assert.same({ 2, 3 }, drain(queue))
  end)

  in_task("leaves the item to the next when less raises in the task that gets", function()
    local broken = false
    local queue = async.priority_queue(nil, function(a, b)
      if broken then error("broken", 0) end
      return a < b
    end)
    local a, b = spawn(queue.get, queue), spawn(queue.get, queue)
    turns()
    fill(queue, { 3, 1, 2 })
    broken = true
    turns(1)
    broken = false
    turns()
    assert.equal("broken", raised_by(coop.join, a))
    assert.equal("broken", raised_by(coop.join, b))
    assert.same({ 1, 2, 3 }, drain(queue))
  end)

  in_task("refuses a less that waits while others change the queue", function()
    local patient = true
    local queue = async.priority_queue(nil, function(a, b)
      if patient then coop.checkpoint() end
      return a < b
    end)
    queue:put(2)
    local slow = spawn(queue.put, queue, 1)
    turns(1)
    patient = false
    queue:put(3)
    turns()
    assert.matches("the queue has changed while 'less' was running", raises_kind("invalid_state", coop.join, slow).message)
    assert.same({ 2, 3 }, drain(queue))
  end)

  in_task("gives the smallest at the time when the getter runs", function()
    local queue = async.priority_queue()
    local t = spawn(queue.get, queue)
    turns()
    fill(queue, { 3, 1, 2 })
    assert.equal(1, coop.join(t))
  end)

  it("names what is wrong with an argument", function()
    assert.matches("bad argument #2 to 'priority_queue' %(function expected, got string%)",
      raised_by(async.priority_queue, 1, "<"))
    local queue = fill(async.priority_queue(), { 1, 2 })
    queue:shutdown { immediate = true }
    assert.is_true(queue:empty())
  end)
end)
