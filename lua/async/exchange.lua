-- SPDX-License-Identifier: MIT
-- What queues and channels share: a store between those who put and those who get, with a line on either side.
--
-- A getter that is served has been promised an item, which stays in the store until the getter runs: when it is
-- cancelled meanwhile, the item is still where it was, in its order, and the promise goes to the next. Nobody else may
-- take what is promised: `count - promised` items are free. A putter that is served has put: its item is in the
-- store. Hence, at any time:
--   a getter waits  => no item is free, no putter waits
--   a putter waits  => at least `max` items are free
-- Putting into a store with max = 0 means to wait for a getter.
--
-- Fields of an exchange: store, max, count, promised, added (how many were ever put), getters, putters, is_closed.
local Line = require "async.line"

local pcall = pcall

local exchange = {}

-- What getters and putters are served with.
local ITEM <const>, TAKEN <const>, CLOSED <const>, FAILED <const> = "item", "taken", "closed", "failed"
local VALUE <const> = Line.VALUE

exchange.ITEM, exchange.TAKEN = ITEM, TAKEN

local function promise(self)
  if self.getters:serve(ITEM) then self.promised = self.promised + 1 end
end

-- A getter was cancelled after it had been served.
local function break_promise(self, result)
  if result ~= ITEM or self.promised == 0 then return end
  self.promised = self.promised - 1
  if self.count > self.promised then promise(self) end
end

local function take_promised(self, result)
  if result ~= ITEM then return result end
  if self.count == 0 then return CLOSED end
  local value = self.store:pop()
  self.count, self.promised = self.count - 1, self.promised - 1
  return ITEM, value
end

-- `what` is the name of the thing in messages.
function exchange.init(self, what, store, max)
  self.store, self.max = store, max
  self.count, self.promised, self.added = 0, 0, 0
  self.is_closed = false
  self.getters = Line.new("an item of a " .. what, self, break_promise, take_promised)
  self.putters = Line.new("room in a " .. what, self)
  return self
end

-- Putting ---------------------------------------------------------------------------------------------------

function exchange.has_room(self)
  return self.count - self.promised < self.max or self.getters.first ~= nil
end

-- Puts, whether there is room or not.
local function add(self, value)
  self.store:push(value)
  self.count = self.count + 1
  self.added = self.added + 1
  if self.getters.first then promise(self) end
end

exchange.add = add

-- Lets putters in while there is room. An error in `less` is theirs.
local function admit(self)
  local putters = self.putters
  while putters.first and self.count - self.promised < self.max do
    local waiter = putters.first
    local ok, err = pcall(add, self, waiter[VALUE])
    if not ok then waiter[VALUE] = err end
    putters:serve(ok and TAKEN or FAILED)
  end
end

-- Waits for room and puts -> TAKEN; CLOSED; nil: the deadline has passed.
function exchange.wait_to_put(self, value, deadline, owner)
  local result, err = self.putters:wait_giving(deadline, owner, value, TAKEN)
  if result == FAILED then error(err, 0) end
  return result
end

-- Getting ---------------------------------------------------------------------------------------------------

-- Whether get has something without waiting.
function exchange.has_item(self)
  return self.count > self.promised or self.putters.first ~= nil
end

-- Takes an item that is free, which may be the one that the first putter brings (max = 0). It goes through the store:
-- what has been promised to others is older.
local function take(self)
  if self.count == self.promised then add(self, self.putters:serve(TAKEN)[VALUE]) end
  local value = self.store:pop()
  self.count = self.count - 1
  if self.putters.first then admit(self) end
  return value
end

exchange.take = take

-- Waits for an item and takes it -> ITEM, value; nil: the deadline has passed; otherwise what the line was served with.
function exchange.wait_to_get(self, deadline, owner)
  local result, value = self.getters:wait(deadline, owner)
  if result == CLOSED and exchange.has_item(self) then return ITEM, take(self) end
  return result, value
end

-- The end ---------------------------------------------------------------------------------------------------

-- Nobody will put any more: all who wait are told.
function exchange.close(self)
  self.is_closed = true
  self.getters:serve_all(CLOSED)
  self.putters:serve_all(CLOSED)
end

-- Drops all items, promised or not; gives how many. For when it is closed.
function exchange.clear(self)
  local dropped = self.count
  self.store:clear()
  self.count, self.promised = 0, 0
  return dropped
end

return exchange
