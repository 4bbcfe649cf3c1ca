-- SPDX-License-Identifier: MIT
-- async.map: a task for each item of a list, so many at a time. A feeder task reads the input, which may be an iterator
-- that waits; results come out in input order, or as they come. The iterator's group is not a scope of the loop's
-- body: what is cancelled around the loop is cancelled in it, but the body is not.
local block = require "parhost.block"
local check = require "parhost.check"
local collect = require "parhost.collect"
local core = require "parhost.core.task"
local errors = require "futures.error"
local future = require "futures.future"
local group = require "async.group"
local loop = require "parhost.core.loop"
local options = require "parhost.options"
local scope = require "async.scope"

local map = {}

local OPTIONS <const> = {
  max_concurrency = { "integer", min = 1, default = 8 },
  ordered = { "boolean", default = true },
  rate = { "number", above = 0 },
  retries = { "integer", min = 0, default = 0 },
  retry_if = { "function" },
  timeout = { "number" },
  on_timeout = { "one_of", "error", "skip", default = "error" },
}

-- How many results may lie about, for each that may run.
local AHEAD <const> = 4
local SKIPPED <const> = {}

local Map = { __name = "parhost.async_map" }
Map.__index = Map

-- Something to wait for that is asked with a function, and told with tell().
local Wait = {}
Wait.__index = Wait
function Wait:_ready() return self.is_ready() end
function Wait:_watch(watcher) self.watcher = watcher end
function Wait:_unwatch() self.watcher = nil end
function Wait._describe() return "a result of async.map" end
function Wait:tell()
  if self.watcher then self.watcher:_settled(self) end
end

local function wait_on(wait)
  local _, err = block.wait(wait)
  if err then error(err, 0) end
end

-- `unseen`: as in parhost/map.lua.
local function forget_unseen(self)
  if self.unseen then future.looked_at(self.unseen) end
  self.unseen = false
end

-- Items -----------------------------------------------------------------------------------------------------

local function attempt(self, item)
  local how = self.how
  if not how.timeout then return self.fn(item) end
  return scope.wait_for(self.fn, how.timeout, item)
end

local function worth_a_retry(self, err)
  local retry_if = self.how.retry_if
  if not retry_if then return true end
  local ok, yes = pcall(retry_if, err)
  if not ok then warn("parhost: error in a retry_if function: " .. errors.text(yes)) end
  return ok and yes
end

local function outcome_of(self, item)
  local left = self.how.retries
  local outcome = table.pack(pcall(attempt, self, item))
  while not outcome[1] and left > 0 and worth_a_retry(self, outcome[2]) do
    left = left - 1
    outcome = table.pack(pcall(attempt, self, item))
  end
  if outcome[1] then return outcome end
  if self.how.on_timeout == "skip" and errors.is(outcome[2], "timeout") then return SKIPPED end
  return outcome
end

local function put(self, k, outcome)
  self.running = self.running - 1
  local counts = self.counts
  if counts then
    counts.finished = counts.finished + 1
    if outcome ~= SKIPPED and not outcome[1] then counts.failed = counts.failed + 1 end
  end
  if outcome ~= SKIPPED and not outcome[1] and self.unseen == nil then
    self.unseen = future.new()
    self.unseen:set_error(outcome[2])
  end
  if outcome == SKIPPED then self.held = self.held - 1 end
  if self.how.ordered then
    self.results[k] = outcome
  elseif outcome ~= SKIPPED then
    self.last = self.last + 1
    self.results[self.last] = { k, outcome }
  end
  self.room:tell()
  self.news:tell()
end

local function run_item(self, k, item)
  put(self, k, outcome_of(self, item))
end

-- The feeder ------------------------------------------------------------------------------------------------

local function next_item(self, k)
  if self.pull then return self.pull() end
  if k <= self.length then return self.list[k] end
end

local function feed(self)
  local k, not_before = 0, loop.now()
  while true do
    wait_on(self.room)
    local item = next_item(self, k + 1)
    if item == nil then break end
    if self.how.rate then
      core.sleep(math.max(not_before - loop.now(), 0))
      not_before = math.max(not_before, loop.now()) + 1 / self.how.rate
    end
    k = k + 1
    self.running, self.held = self.running + 1, self.held + 1
    self.group:create_task(run_item, self, k, item)
  end
end

local function run_feeder(self)
  local ok, err = pcall(feed, self)
  self.fed = true
  if not ok then self.failure = { err } end
  self.news:tell()
end

-- The iterator ----------------------------------------------------------------------------------------------

-- The next result: index, outcome; nothing when there is none yet.
local function take(self)
  if not self.how.ordered then
    local entry = self.results[self.first]
    if not entry then return nil end
    self.results[self.first] = nil
    self.first = self.first + 1
    return entry[1], entry[2]
  end
  while self.results[self.first] == SKIPPED do
    self.results[self.first] = nil
    self.first = self.first + 1
  end
  local outcome = self.results[self.first]
  if not outcome then return nil end
  local k = self.first
  self.results[k] = nil
  self.first = k + 1
  return k, outcome
end

local function exhausted(self)
  return self.fed and self.running == 0
end

local function peek(self)
  local results, first = self.results, self.first
  while self.how.ordered and results[first] == SKIPPED do first = first + 1 end
  return results[first] ~= nil
end

-- index, values... of the next item; nothing at the end. Raises the error of an item; the next call goes on behind it.
function Map:next()
  if self.closed then return end
  if not peek(self) and not exhausted(self) then wait_on(self.news) end
  local k, outcome = take(self)
  if not k then
    self:close()
    if self.failure then error(self.failure[1], 0) end
    return
  end
  self.held = self.held - 1
  self.room:tell()
  if not outcome[1] then
    forget_unseen(self)
    error(outcome[2], 0)
  end
  return k, table.unpack(outcome, 2, outcome.n)
end

-- From now on `counts` has in finished and failed how many items there are of these. None has begun: iterators are given
-- away before their tasks run.
function Map:_count_in(counts)
  self.counts = counts
end

Map.collect = collect

-- Ends the iteration: cancels what runs, and waits for its end.
function Map:close()
  if self.closed then return end
  self.closed = true
  forget_unseen(self)
  group.dispose(self.group)
end

Map.__call = Map.next
Map.__close = Map.close

-- for index, values... in map(fn, list, options) do
function map.map(fn, list, given)
  scope.check_function(fn, 1, "map")
  local how = options.check(OPTIONS, given == nil and {} or given, 3, "map")
  if how.retry_if and how.retries == 0 then check.bad_argument(3, "map", "option 'retry_if': given without retries") end
  local self = setmetatable({ fn = fn, how = how, results = {}, first = 1, last = 0, running = 0, held = 0 }, Map)
  if check.is_callable(list) then
    self.pull = list
  elseif type(list) == "table" then
    self.list, self.length = list, check.length(list, 2, "map", "options are argument #3")
  else
    check.expected(2, "map", "array or iterator function", list)
  end
  local limit = how.max_concurrency
  self.room = setmetatable({ is_ready = function() return self.running < limit and self.held < AHEAD * limit end }, Wait)
  self.news = setmetatable({ is_ready = function() return peek(self) or exhausted(self) end }, Wait)
  self.group = group.detached { on_error = "collect", what = "an iterator of async.map" }
  self.group:create_task(run_feeder, self)
  return self, nil, nil, self
end

return map
