-- SPDX-License-Identifier: MIT
-- Queues: an exchange (exchange.lua) over a store (store.lua), with an account of what has been done.
local block = require "parhost.block"
local check = require "parhost.check"
local errors = require "futures.error"
local exchange = require "async.exchange"
local items = require "async.items"
local Line = require "async.line"
local options = require "parhost.options"
local store = require "async.store"

local getmetatable = getmetatable
local add, take, has_room, has_item = exchange.add, exchange.take, exchange.has_room, exchange.has_item
local ITEM <const>, TAKEN <const> = exchange.ITEM, exchange.TAKEN

local queue = {}

-- An exchange, and: done: how many items have been answered for, by task_done or by being dropped; joiners: who waits
-- for done == added.
local Queue = { __name = "parhost.Queue" }
Queue.__index = Queue

local function new(items_store, max, name)
  max = max == nil and 0 or check.integer(max, 1, name, 0)
  local self = exchange.init({}, "queue", items_store, max == 0 and math.huge or max)
  self.done = 0
  self.joiners = Line.new "the items of a queue to be done"
  return setmetatable(self, Queue)
end

function queue.queue(max)
  return new(store.fifo(), max, "queue")
end

function queue.lifo_queue(max)
  return new(store.lifo(), max, "lifo_queue")
end

function queue.priority_queue(max, less)
  if less ~= nil and type(less) ~= "function" then check.expected(2, "priority_queue", "function", less) end
  return new(store.heap(less), max, "priority_queue")
end

local function check_self(self, name)
  if getmetatable(self) ~= Queue then check.bad_self(name, Queue.__name, self) end
end

local function shut_down(name)
  error(errors.new("queue_shutdown", name .. ": the queue has been shut down"), 0)
end

-- Putting and getting ---------------------------------------------------------------------------------------

local function wait_to_put(self, value, timeout)
  local result = exchange.wait_to_put(self, value, block.deadline(timeout, 2, "put"))
  if result == nil then Line.time_out("the queue was full", timeout) end
  if result ~= TAKEN then shut_down "put" end
end

function Queue:put(value, timeout)
  check_self(self, "put")
  if timeout ~= nil then check.seconds(timeout, 2, "put") end
  if self.is_closed then shut_down "put" end
  if has_room(self) then
    add(self, value)
  else
    wait_to_put(self, value, timeout)
  end
end

function Queue:try_put(value)
  check_self(self, "try_put")
  if self.is_closed then return nil, "closed" end
  if not has_room(self) then return nil, "full" end
  add(self, value)
  return true
end

-- true, value; false: shut down; nil: the time is up.
local function get(self, timeout)
  if has_item(self) then return true, take(self) end
  if self.is_closed then return false end
  local result, value = exchange.wait_to_get(self, block.deadline(timeout, 1, "get"))
  if result == nil then return nil end
  return result == ITEM, value
end

function Queue:get(timeout)
  check_self(self, "get")
  if timeout ~= nil then check.seconds(timeout, 1, "get") end
  local got, value = get(self, timeout)
  if got then return value end
  if got == nil then Line.time_out("the queue was empty", timeout) end
  shut_down "get"
end

function Queue:try_get()
  check_self(self, "try_get")
  if has_item(self) then return true, take(self) end
  return nil, self.is_closed and "closed" or "empty"
end

function Queue:items()
  check_self(self, "items")
  return items.of(self, get)
end

-- The account -----------------------------------------------------------------------------------------------

local function account(self, n)
  self.done = self.done + n
  if self.done == self.added then self.joiners:serve_all(true) end
end

function Queue:task_done()
  check_self(self, "task_done")
  if self.done == self.added then
    error(errors.new("invalid_state", "task_done: called more often than items were put", { state = "done" }), 0)
  end
  account(self, 1)
end

function Queue:join(timeout)
  check_self(self, "join")
  local deadline = block.deadline(timeout, 1, "join")
  return self.done == self.added or self.joiners:wait(deadline) ~= nil
end

-- Shutting down ---------------------------------------------------------------------------------------------

local SHUTDOWN <const> = { immediate = { "boolean", default = false } }

function Queue:shutdown(given)
  check_self(self, "shutdown")
  local how = options.check(SHUTDOWN, given == nil and {} or given, 1, "shutdown")
  if how.immediate then account(self, exchange.clear(self)) end
  exchange.close(self)
end

-- Asking ----------------------------------------------------------------------------------------------------

-- Without what is promised to someone who has waited for it.
function Queue:size()
  check_self(self, "size")
  return self.count - self.promised
end

function Queue:empty()
  check_self(self, "empty")
  return self.count == self.promised
end

function Queue:full()
  check_self(self, "full")
  return self.count - self.promised >= self.max
end

function Queue:__tostring()
  local state = self.is_closed and " shut down" or ""
  local waiting = self.getters.size + self.putters.size
  return ("parhost.Queue: %p%s size=%d waiting=%d"):format(self, state, self:size(), waiting)
end

return queue
