-- SPDX-License-Identifier: MIT
-- Waiting for several futures: wait and as_completed. Both hang one watcher on every future, whatever settles
-- it.
local block = require "parhost.block"
local check = require "parhost.check"
local errors = require "futures.error"
local future = require "futures.future"
local options = require "parhost.options"

local waiting = {}
local is_future = future.is_future

-- The futures of a list, each once, in order.
local function distinct(list, name)
  if type(list) ~= "table" or getmetatable(list) ~= nil then
    check.expected(1, name, "array of futures", list)
  end
  local unique, seen = {}, {}
  for i = 1, check.length(list, 1, name) do
    local f = list[i]
    if not is_future(f) then
      check.bad_argument(1, name, ("item %d: future expected, got %s"):format(i, check.type_name(f)))
    end
    if not seen[f] then
      seen[f] = true
      unique[#unique + 1] = f
    end
  end
  return unique
end

local function timeout_error(seconds, unfinished, total)
  local message = ("%d (of %d) futures unfinished"):format(unfinished, total)
  return errors.new("timeout", message, { seconds = seconds, unfinished = unfinished, total = total })
end

-- wait ------------------------------------------------------------------------------------------------------

-- Counts what is unsettled in `futures`; ready when at most `enough` are.
local Count = {}
Count.__index = Count

function Count:_settled(f)
  self.left = self.left - 1
  if self.on_error and f:state() == "failed" then self.enough = math.huge end
  if self.watcher and self:_ready() then self.watcher:_settled(self) end
end

function Count:_ready() return self.left <= self.enough end
function Count:_watch(watcher) self.watcher = watcher end
function Count:_unwatch() self.watcher = nil end
function Count:_describe() return ("%d futures"):format(self.left) end

function Count:__close()
  for _, f in ipairs(self.futures) do f:_unwatch(self) end
end

local function count_of(futures, return_when)
  local count = setmetatable({ futures = futures, left = #futures, enough = 0 }, Count)
  if return_when == "first_completed" and #futures > 0 then count.enough = #futures - 1 end
  count.on_error = return_when == "first_error"
  for _, f in ipairs(futures) do
    if f:_ready() then count:_settled(f) else f:_watch(count) end
  end
  return count
end

local WAIT_OPTIONS <const> = {
  timeout = { "number" },
  return_when = { "one_of", "all_completed", "first_completed", "first_error", default = "all_completed" },
}

function waiting.wait(list, given)
  local futures = distinct(list, "wait")
  local how = options.check(WAIT_OPTIONS, given == nil and {} or given, 2, "wait")
  local deadline = block.deadline(how.timeout, 2, "wait")
  block.poll()
  do
    local count <close> = count_of(futures, how.return_when)
    local _, err = block.wait(count, deadline)
    if err then error(err, 0) end
  end
  local done, not_done = {}, {}
  for _, f in ipairs(futures) do
    local set = f:_ready() and done or not_done
    set[#set + 1] = f
  end
  return done, not_done
end

-- as_completed ----------------------------------------------------------------------------------------------

-- queue[first..last]: settled, not yielded yet. `pending`: the set of the others.
local Completed = { __name = "parhost.as_completed" }
Completed.__index = Completed

-- nil: it has been yielded already.
local function count_settled(counts, f)
  counts.finished = counts.finished + 1
  if f and f:_failed() then counts.failed = counts.failed + 1 end
end

-- Also when it comes a second time, after the first found no memory.
function Completed:_settled(f)
  if self.pending[f] then
    self.queue[self.last + 1] = f
    self.last = self.last + 1
    self.pending[f] = nil
    if self.counts then count_settled(self.counts, f) end
  end
  if self.watcher then self.watcher:_settled(self) end
end

function Completed:_ready() return self.first <= self.last end
function Completed:_watch(watcher) self.watcher = watcher end
function Completed:_unwatch() self.watcher = nil end
function Completed:_describe() return ("one of %d futures"):format(self.total - self.yielded) end

local function add(self, f)
  if self.seen[f] then return end
  self.seen[f], self.pending[f] = true, true
  self.total = self.total + 1
  if f:_ready() then self:_settled(f) else f:_watch(self) end
end

-- Another future to yield. Also during the iteration.
function Completed:add(f)
  if not is_future(f) then check.expected(1, "add", "future", f) end
  add(self, f)
end

-- The next future that has settled, or nil at the end.
function Completed:next()
  if self.first > self.last then
    block.poll()
    if self.yielded == self.total or self.closed then return nil end
    local ready, err = block.wait(self, self.deadline)
    if not ready then
      err = err or timeout_error(self.seconds, self.total - self.yielded, self.total)
      self:close()
      error(err, 0)
    end
  end
  local at = self.first
  local f = self.queue[at]
  self.queue[at] = nil
  self.first = at + 1
  self.yielded = self.yielded + 1
  return f
end

-- Puts into `counts`, in finished and failed, how many futures have settled, and have failed.
function Completed:_count_in(counts)
  self.counts = counts
  for i = 1, self.last do count_settled(counts, self.queue[i]) end
end

-- Ends the iteration; the futures go on.
function Completed:close()
  self.closed = true
  for f in pairs(self.pending) do f:_unwatch(self) end
  self.pending, self.queue, self.first, self.last = {}, {}, 1, 0
end

Completed.__call = Completed.next
Completed.__close = Completed.close

-- `name`: of the function that was called with the list, when that is another one of ours.
function waiting.as_completed(list, timeout, name)
  local futures = distinct(list, name or "as_completed")
  local deadline = block.deadline(timeout, 2, "as_completed")
  local self = setmetatable({
    queue = {}, first = 1, last = 0, pending = {}, seen = setmetatable({}, { __mode = "k" }),
    total = 0, yielded = 0, deadline = deadline, seconds = timeout,
  }, Completed)
  block.poll()
  for _, f in ipairs(futures) do add(self, f) end
  return self, nil, nil, self
end

return waiting
