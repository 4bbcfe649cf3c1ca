-- SPDX-License-Identifier: MIT
-- Where a queue keeps its items: first in first out, last in first out, smallest first. Each has push(value), clear()
-- and pop(), which is never called when it is empty, and takes nil like any other value.
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

-- Heap: a binary heap in items[1..last]; numbers[i] tells which of two equals came first. Both operations find out
-- where things belong before they move anything, so an error in `less` changes nothing. -----------------------

local Heap = {}
Heap.__index = Heap

local function less_than(a, b) return a < b end

function store.heap(less)
  return setmetatable({ items = {}, numbers = {}, last = 0, number = 0, less = less or less_than }, Heap)
end

function Heap:push(value)
  local items, numbers, less = self.items, self.numbers, self.less
  local last = self.last + 1
  local place = last
  while place > 1 and less(value, items[place >> 1]) do place = place >> 1 end
  local at = last
  while at > place do
    local parent = at >> 1
    items[at], numbers[at] = items[parent], numbers[parent]
    at = parent
  end
  local number = self.number + 1
  items[place], numbers[place] = value, number
  self.last, self.number = last, number
end

local function before(self, i, j)
  local items, less = self.items, self.less
  if less(items[i], items[j]) then return true end
  return self.numbers[i] < self.numbers[j] and not less(items[j], items[i])
end

-- Where the last item belongs once the root is gone.
local function place_of_last(self)
  local last = self.last
  local place = 1
  while true do
    local child = place << 1
    if child >= last then return place end
    if child + 1 < last and before(self, child + 1, child) then child = child + 1 end
    if not before(self, child, last) then return place end
    place = child
  end
end

-- Everything from the place of the last item up to the root moves up by one.
function Heap:pop()
  local items, numbers, last = self.items, self.numbers, self.last
  local at = place_of_last(self)
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
end

return store
