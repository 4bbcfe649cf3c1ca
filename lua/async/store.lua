-- SPDX-License-Identifier: MIT
-- Where a queue keeps its items: first in first out, last in first out, smallest first. Each has push(value), clear()
-- and pop(), which is never called when it is empty, and takes nil like any other value.
local check = require "parhost.check"
local errors = require "futures.error"

local store = {}

local setmetatable = setmetatable

-- Fifo: items[first..last] ----------------------------------------------------------------------------------

local Fifo = {}
Fifo.__index = Fifo

function store.fifo()
  return setmetatable({ items = {}, first = 1, last = 0 }, Fifo)
end

function Fifo:push(value)
  local last = self.last + 1
  self.items[last] = value
  self.last = last
end

function Fifo:pop()
  local first, items = self.first, self.items
  local value = items[first]
  items[first] = nil
  if first == self.last then
    self.first, self.last = 1, 0
  else
    self.first = first + 1
  end
  return value
end

function Fifo:clear()
  self.items, self.first, self.last = {}, 1, 0
end

-- Lifo: items[1..last] --------------------------------------------------------------------------------------

local Lifo = {}
Lifo.__index = Lifo

function store.lifo()
  return setmetatable({ items = {}, last = 0 }, Lifo)
end

Lifo.push = Fifo.push

function Lifo:pop()
  local last, items = self.last, self.items
  local value = items[last]
  items[last] = nil
  self.last = last - 1
  return value
end

function Lifo:clear()
  self.items, self.last = {}, 0
end

-- Heap: a binary heap in items[1..last]; numbers[i] tells which of two equals came first, `number` counts all changes.
-- Both operations find out where things belong before they move anything, so an error in `less` changes nothing. ---

local Heap = {}
Heap.__index = Heap

local function is_comparable(value)
  local metatable = debug.getmetatable(value)
  return type(metatable) == "table" and metatable.__lt ~= nil
end

local function less_than(a, b)
  local kind = type(a)
  if not (kind == type(b) and (kind == "number" or kind == "string")) and not is_comparable(a) and not is_comparable(b) then
    local one, other = check.type_name(a), check.type_name(b)
    local pair = one == other and ("two %s values"):format(one) or ("%s with %s"):format(one, other)
    check.misuse(("attempt to compare %s in a priority_queue without a function 'less'"):format(pair))
  end
  return a < b
end

function store.heap(less)
  return setmetatable({ items = {}, numbers = {}, last = 0, number = 0, less = less or less_than }, Heap)
end

-- Counts a change that was found out when the count was `number`.
local function count_change(self, number)
  if self.number ~= number then
    local message = "the queue has changed while 'less' was running: it must not wait, nor put or get"
    error(errors.new("invalid_state", message, { state = "changed" }), 0)
  end
  self.number = number + 1
end

function Heap:push(value)
  local items, numbers, less, number = self.items, self.numbers, self.less, self.number
  local last = self.last + 1
  local place = last
  while place > 1 and less(value, items[place >> 1]) do place = place >> 1 end
  count_change(self, number)
  local at = last
  while at > place do
    local parent = at >> 1
    items[at], numbers[at] = items[parent], numbers[parent]
    at = parent
  end
  items[place], numbers[place] = value, number
  self.last = last
end

local function before(self, i, j)
  local items, less = self.items, self.less
  if less(items[i], items[j]) then return true end
  return self.numbers[i] < self.numbers[j] and not less(items[j], items[i])
end

-- Where the last item belongs once the root is gone: along the smaller children down to a leaf, then back up, as it is
-- mostly one of the larger ones.
local function place_of_last(self)
  local last = self.last
  local place, child = 1, 2
  while child < last do
    if child + 1 < last and before(self, child + 1, child) then child = child + 1 end
    place, child = child, child << 1
  end
  while place > 1 and before(self, last, place) do place = place >> 1 end
  return place
end

-- Everything from the place of the last item up to the root moves up by one.
function Heap:pop()
  local items, numbers, last, changes = self.items, self.numbers, self.last, self.number
  local at = place_of_last(self)
  count_change(self, changes)
  local value, number = items[last], numbers[last]
  items[last], numbers[last] = nil, nil
  if at == last then
    self.last = last - 1
    return value
  end
  repeat
    items[at], value = value, items[at]
    numbers[at], number = number, numbers[at]
    at = at >> 1
  until at == 0
  self.last = last - 1
  return value
end

function Heap:clear()
  self.items, self.numbers, self.last = {}, {}, 0
  self.number = self.number + 1
end

return store
