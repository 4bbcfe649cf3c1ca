-- SPDX-License-Identifier: MIT
-- All primitives at once, by chance (a fixed seed): tasks that lock, wait, put and get, and are cancelled anywhere. No
-- item is lost or doubled, no permit is lost, nobody waits while there is something for him, and those who wait are
-- served in their order.
local coop = require "tests.spec.support.coop"

local async = coop.async
local STEPS <const> = 50000 -- for each of two seeds
local WORKERS <const> = 24

local random

local function new_random(seed)
  return function(n) -- numerical recipes' generator; the upper bits
    seed = (seed * 1664525 + 1013904223) & 0xffffffff
    return (seed >> 8) % n + 1
  end
end

-- Who waits in which line, by ticket. ----------------------------------------------------------------------------

local Order = {}
Order.__index = Order

local function new_order() return setmetatable({ waiting = {}, first = 1, next = 1 }, Order) end

-- Calls wait() as the last in line. Whoever comes out has nobody before him but those who were cancelled.
function Order:wait_in_line(me, wait, ...)
  local ticket = self.next
  self.next = ticket + 1
  self.waiting[ticket] = me
  local _ <close> = setmetatable({}, { __close = function() self.waiting[ticket] = nil end })
  local value = wait(...)
  while self.first < ticket do
    local other = self.waiting[self.first]
    assert(other == nil or other.cancelled, "overtaken")
    if other then break end
    self.first = self.first + 1
  end
  return value
end

-- The operations: [1](me), what a worker does; me.cancelled is set when it is cancelled. check(), what holds at any
-- time; finish(), lets go all who wait; settled(), what holds when all have ended. ---------------------------------

local function lock_operation()
  local lock, order, inside = async.lock(), new_order(), 0
  local function operate(me)
    if not lock:try_acquire() then order:wait_in_line(me, lock.acquire, lock) end
    local _ <close> = setmetatable({}, { __close = function()
      inside = inside - 1
      lock:release()
    end })
    inside = inside + 1
    assert(inside == 1)
    if random(2) == 1 then coop.checkpoint() end
  end
  return { operate, check = function() assert(lock:locked() or lock.line.size == 0) end,
    settled = function() assert(not lock:locked()) end }
end

local function semaphore_operation(semaphore, permits)
  local order, inside = new_order(), 0
  local function operate(me)
    if not semaphore:try_acquire() then order:wait_in_line(me, semaphore.acquire, semaphore) end
    local _ <close> = setmetatable({}, { __close = function()
      inside = inside - 1
      semaphore:release()
    end })
    inside = inside + 1
    assert(inside <= permits)
    if random(2) == 1 then coop.checkpoint() end
  end
  return { operate, check = function() assert(semaphore:value() == 0 or semaphore.line.size == 0) end,
    settled = function() assert(semaphore:value() == permits) end }
end

-- What was put is taken once. With `in_order` the items come out in the order in which the puts were called.
local function account(in_order)
  local made, present, newest = 0, {}, 0
  return {
    make = function()
      made = made + 1
      return made
    end,
    put = function(item) present[item] = (present[item] or 0) + 1 end,
    got = function(item)
      present[item] = (present[item] or 0) - 1
      if in_order then assert(item > newest, "out of order") end
      newest = item
    end,
    settle = function()
      for _, n in pairs(present) do assert(n == 0, "an item was lost or doubled") end
    end,
  }
end

-- put, try_put, get, try_get: functions of the thing; the rest is the same for queues and channels.
local function exchange_operation(exchange, verbs, in_order)
  local books, order = account(in_order), new_order()
  local function put(item)
    verbs.put(item)
    books.put(item)
  end
  local function operate(me)
    local what = random(5)
    if what <= 2 then
      put(books.make())
    elseif what == 3 then
      local item = books.make()
      if verbs.try_put(item) then books.put(item) end
    else
      local got, item = verbs.try_get()
      if not got and what == 4 then got, item = true, order:wait_in_line(me, verbs.get) end
      if got then books.got(item) end
    end
  end
  local function check()
    local free = exchange.count - exchange.promised
    assert(exchange.promised >= 0 and free >= 0)
    assert(exchange.getters.size == 0 or free == 0 and exchange.putters.size == 0, "a getter waits beside an item")
    assert(exchange.putters.size == 0 or free >= exchange.max, "a putter waits beside room")
  end
  return { operate, check = check, finish = verbs.close, settled = function()
    local got, item = verbs.try_get()
    while got do
      books.got(item)
      got, item = verbs.try_get()
    end
    books.settle()
  end }
end

local function queue_operation(queue, in_order)
  return exchange_operation(queue, {
    put = function(item) queue:put(item) end, try_put = function(item) return queue:try_put(item) end,
    get = function() return queue:get() end, try_get = function() return queue:try_get() end,
    close = function() queue:shutdown() end,
  }, in_order)
end

local function channel_operation(capacity)
  local sender, receiver = async.channel(capacity)
  return exchange_operation(sender.shared, {
    put = function(item) sender:send(item) end, try_put = function(item) return sender:try_send(item) end,
    get = function() return receiver:receive() end, try_get = function() return receiver:try_receive() end,
    close = function() sender:close() end,
  }, true)
end

-- A number that goes up and down, never below 0. Notifications must not get lost.
local function condition_operation()
  local condition, number, inside = async.condition(), 0, 0
  local leave = setmetatable({}, { __close = function() inside = inside - 1 end })
  local function positive() return number > 0 end
  local function operate()
    local _ <close> = condition:guard()
    if random(2) == 1 then
      number = number + 1
      condition:notify()
      if random(2) == 1 then coop.checkpoint() end
    else
      inside = inside + 1
      local _ <close> = leave
      condition:wait_for(positive)
      number = number - 1
      assert(number >= 0)
    end
  end
  local function check()
    local woken = inside - condition.line.size
    assert(condition:locked() or woken > 0 or number == 0 or inside == 0, "a notification was lost")
  end
  return { operate, check = check, finish = function()
    local _ <close> = condition:guard()
    number = math.huge
    condition:notify_all()
  end }
end

local function event_operation()
  local event = async.event()
  local function operate()
    local what = random(3)
    if what == 1 then event:set() elseif what == 2 then event:clear() else event:wait() end
  end
  return { operate, check = function() assert(not event:is_set() or event.line.size == 0) end,
    finish = function() event:set() end }
end

local function barrier_operation()
  local barrier = async.barrier(3)
  local function operate()
    local ok, place = pcall(barrier.wait, barrier)
    if ok then assert(place >= 1 and place <= 3) else assert(place.kind == "broken_barrier") end
    if random(20) == 1 then barrier:reset() end
  end
  return { operate, check = function() assert(barrier:n_waiting() < 3) end,
    finish = function() barrier:abort() end }
end

local function all_operations()
  return {
    lock_operation(), semaphore_operation(async.semaphore(2), 2),
    semaphore_operation(async.bounded_semaphore(3), 3),
    queue_operation(async.queue(2), true), queue_operation(async.queue(), true),
    queue_operation(async.lifo_queue(3)), queue_operation(async.priority_queue(3)),
    channel_operation(0), channel_operation(2), condition_operation(), event_operation(), barrier_operation(),
  }
end

-- All of them --------------------------------------------------------------------------------------------------

local function try_all(seed)
  random = new_random(seed)
  local operations, workers, steps, stopping = all_operations(), {}, 0, false

  local function work(me)
    while not stopping do
      steps = steps + 1
      local ok, err = pcall(operations[random(#operations)][1], me)
      if not ok and not (stopping and type(err) == "table" and err.kind) then error(err, 0) end
      if random(4) == 1 then coop.checkpoint() end
    end
  end

  local function hire(i)
    local me = { cancelled = false }
    me.task = coop.spawn(work, me)
    workers[i] = me
  end

  local function one_turn()
    local i = random(WORKERS)
    local state = coop.state(workers[i].task)
    if state == "failed" then coop.join(workers[i].task) end
    if state ~= "pending" then
      hire(i)
    elseif random(3) == 1 then
      workers[i].cancelled = true
      coop.cancel(workers[i].task)
    end
    coop.checkpoint()
    for _, operation in ipairs(operations) do operation.check() end
  end

  for i = 1, WORKERS do hire(i) end
  while steps < STEPS do one_turn() end
  stopping = true
  for _, operation in ipairs(operations) do
    if operation.finish then operation.finish() end
  end
  coop.turns(WORKERS * 4)
  for _, me in ipairs(workers) do
    local state = coop.state(me.task)
    if state == "failed" then coop.join(me.task) end
    assert.not_equal("pending", state)
  end
  for _, operation in ipairs(operations) do
    operation.check()
    if operation.settled then operation.settled() end
  end
end

describe("everything at random", function()
  it("SY-21 QU-07 loses nothing and strands nobody", function()
    local seed = 0
    coop.run_both(function()
      seed = seed + 1
      try_all(seed)
    end)
  end)
end)
