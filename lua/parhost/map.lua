-- SPDX-License-Identifier: MIT
-- map, starmap, map_unordered: an iterator that is itself the sink of its tasks, with flat arrays and neither
-- a future nor a closure per item. Item k carries the tag k.
--
--   lists[j][k]   the input; the program's own arrays, or what was pulled from its iterators and not yet sent
--   total         how many items there are, nil while unknown
--   sent          how many items went out
-- What is needed for each item lies in array slots, the values in the first:
--   VALUES[k]     the result when it is one value and not nil; else the mark SPECIAL, with more in special[k]
--   TAKEN         how many results came out of next()
--   BUFFER        buffer_size or false
--   SLOW          true when a single value takes more than putting it into VALUES, as src/lib/deliver.c does:
--                 closed, a watcher is waiting, or somebody counts
--   CHUNK_AT      ordered: where the next chunk begins; `current` is the id of the one before
-- `unseen`: a failed future with the first error, which reports it unless somebody asks for it, or closes the map; false
-- when that has happened.
-- `log`: the job log, or nil; then keys[k] and `seq`, the number of item 0, for what is being sent.
-- and ids[k] is the id of a chunk. Ordered: at its first item, until that is taken; unordered: at each of its
-- items, until that is delivered.
local block = require "parhost.block"
local check = require "parhost.check"
local collect = require "parhost.collect"
local core_pool = require "parhost.core.pool"
local errors = require "futures.error"
local future = require "futures.future"
local host = require "parhost.core.host"
local trace = require "futures.trace"

local map = {
  many = 5000000, -- items of an iterator without a buffer, for a warning: some hundreds of MB by then
}

local VALUES <const> = 1
local TAKEN <const> = 2
local BUFFER <const> = 3
local CHUNK_AT <const> = 4
local SLOW <const> = 5
local SPECIAL <const>, ONE_NIL <const>, SKIPPED <const> = {}, { n = 2, true, nil }, {}
local CHUNK_MAX <const> = 1000
local select = select
local pack, unpack = table.pack, table.unpack

local Map = { __name = "parhost.map" }
Map.__index = Map

-- Input -----------------------------------------------------------------------------------------------------

-- Pulls item k from the input iterators. False at the end of one of them.
local function pull(self, k)
  for j, next_item in pairs(self.pulls) do
    local item = next_item()
    if item == nil then return false end
    self.lists[j][k] = item
  end
  return true
end

-- Makes items up to `last` available; gives how far that went. An error of an iterator ends the input.
local function pull_up_to(self, last)
  local known = self.total
  for k = self.sent + 1, last do
    self.total = k - 1
    if not pull(self, k) then return k - 1 end
  end
  self.total = known
  return last
end

local function forget_input(self, first, last)
  for j in pairs(self.pulls) do
    local list = self.lists[j]
    for k = first, last do list[k] = nil end
  end
end

-- Output of chunks ------------------------------------------------------------------------------------------

-- "auto": a share of what is left, so that chunks are big while there is much and end in single items: no
-- worker is left alone with a big last chunk, and the messages stay few.
local function chunk_size(self)
  local chunk = self.chunk
  if chunk ~= "auto" then return chunk end
  local rest = self[BUFFER] or (self.total and self.total - self.sent) or self.sent
  return math.max(1, math.min(CHUNK_MAX, rest // (self.home.life.max_workers * 4)))
end

local function args_of(self, k)
  local lists = self.lists
  if self.star then return unpack(lists[1][k], 1, lists[1][k].n or #lists[1][k]) end
  local args = {}
  for j = 1, #lists do args[j] = lists[j][k] end
  return unpack(args, 1, #lists)
end

local function options_of(self, first, last)
  if not self.log then return self.options end
  return self.log:options(self.options, self.seq + first, self.keys, first, last)
end

local function run_here(self, first, last)
  for k = first, last do
    self.home.core:run_here(self, k, options_of(self, k, k), self.fn, args_of(self, k))
  end
  self.home:take_in()
end

local function check_items(self, first, last)
  local list = self.lists[1]
  for k = first, last do
    local item = list[k]
    if type(item) ~= "table" then
      check.bad_argument(2, "starmap", ("item %d: array of arguments expected, got %s"):format(k, check.type_name(item)))
    end
  end
end

local function send_chunk(self, first, last)
  if self.star then check_items(self, first, last) end
  local home, options = self.home, options_of(self, first, last)
  local function submit()
    return home.core:submit_chunk(self, first, options, self.fn, self.lists, first, last, self.star)
  end
  local id = submit()
  if not id and home.on_full == "error" then home:queue_full() end
  if not id and home.on_full == "caller_runs" then return run_here(self, first, last) end
  return id or home:when_room(submit)
end

local function fail_items(self, first, last, err)
  for k = first, last do self:_deliver(k, false, err) end
end

-- The task that takes the results was cancelled while it waited for room in the queue.
local fail_unless_sent = { __close = function(guard)
  if not guard.map then return end
  fail_items(guard.map, guard.first, guard.last, errors.new("cancelled", "cancelled while it waited to be sent"))
end }

-- Later than in the call to map: what cannot be sent is what becomes of its items.
local function send_later(self, first, last)
  local guard <close> = setmetatable({ map = self, first = first, last = last }, fail_unless_sent)
  local ok, id = pcall(send_chunk, self, first, last)
  guard.map = nil
  if ok then return id end
  fail_items(self, first, last, id)
end

local function send(self, first, last)
  self.sent = last
  local send_items = self.started and send_later or send_chunk
  local id = send_items(self, first, last)
  if self.pulls then forget_input(self, first, last) end
  if not id or self.closed then return end
  if not self.unordered then
    self.ids[first], self.lengths[first] = id, last - first + 1
    return
  end
  for k = first, last do
    if self[VALUES][k] == nil then self.ids[k] = id end
  end
end

-- With a job log ----------------------------------------------------------------------------------------------

local function skip(self, k)
  self.sent = k
  self[VALUES][k], self.special[k] = SPECIAL, SKIPPED
  if self.counts then self.counts.skipped = self.counts.skipped + 1 end
  if self.pulls then forget_input(self, k, k) end
  if not self.unordered then return end
  self.last_ready = self.last_ready + 1
  self.ready[self.last_ready] = k
end

local function find_keys(self, first, last)
  local log, keys = self.log, {}
  for k = first, last do keys[k] = log:key_of(args_of(self, k)) end
  self.keys, self.seq = keys, log.seq - first + 1
  log.seq = log.seq + last - first + 1
end

-- In as many chunks as there are between items that are done.
local function send_logged(self, first, last)
  local ok, err = pcall(find_keys, self, first, last)
  if not ok and not self.started then error(err, 0) end
  if not ok then
    self.sent = last
    return fail_items(self, first, last, err)
  end
  local done, keys = self.log.done, self.keys
  while first <= last and not self.closed do
    local stop = first
    if done[keys[first]] then
      skip(self, first)
    else
      while stop < last and not done[keys[stop + 1]] do stop = stop + 1 end
      send(self, first, stop)
    end
    first = stop + 1
  end
end

-- Without a buffer the loop does not begin before the input ends.
local function warn_of_many(self, last)
  if last < map.many or self.warned then return end
  self.warned = true
  warn(("parhost: %s: the iterator has given %d items and goes on; with { buffer_size = n } it is read as results are taken")
    :format(self.name, last))
end

-- Sends items up to `limit`, or to the end of the input.
local function send_up_to(self, limit)
  while self.sent < limit and not self.closed do
    host.check_cancelled()
    local last = math.min(self.sent + chunk_size(self), limit, self.total or math.huge)
    if self.pulls then
      last = pull_up_to(self, last)
      if not self[BUFFER] then warn_of_many(self, last) end
    end
    if last <= self.sent then
      self.total = self.sent
      break
    end
    local send_items = self.log and send_logged or send
    send_items(self, self.sent + 1, math.tointeger(last))
  end
  if self.closed or self.sent >= (self.total or math.huge) then self.pool = nil end
end

-- With a buffer: as results are taken, in whole chunks.
local function refill(self)
  local limit = self[TAKEN] + self[BUFFER]
  if self.total and self.sent >= self.total then return end
  if limit - self.sent >= math.min(chunk_size(self), self[BUFFER]) then send_up_to(self, limit) end
end

-- Results ---------------------------------------------------------------------------------------------------

-- An iterator that is dropped before it has raised an error may have had one.
local function keep_unseen(self, ...)
  self.unseen = future.new()
  self.unseen:_deliver(nil, false, ...)
end

local function forget_unseen(self)
  if self.unseen then future.looked_at(self.unseen) end
  self.unseen = false
end

function Map:_deliver(tag, status, ...)
  if self.closed then return end
  if status == false and self.unseen == nil then keep_unseen(self, ...) end
  local counts = self.counts
  if counts then
    counts.finished = counts.finished + 1
    if status ~= true then counts.failed = counts.failed + 1 end
  end
  if status == true and select("#", ...) == 1 then
    local value = ...
    if value == nil then
      value, self.special[tag] = SPECIAL, ONE_NIL
    end
    self[VALUES][tag] = value
  else
    self[VALUES][tag], self.special[tag] = SPECIAL, pack(status, ...)
  end
  if self.unordered then
    self.ids[tag] = nil
    self.ready[self.last_ready + 1] = tag
    self.last_ready = self.last_ready + 1
  end
  if self.watcher and self:_ready() then self.watcher:_settled(self) end
end

function Map:_ready()
  if self.unordered then return self[TAKEN] < self.last_ready end
  return self[VALUES][self[TAKEN] + 1] ~= nil
end

function Map:_watch(watcher) self.watcher, self[SLOW] = watcher, true end
function Map:_unwatch() self.watcher, self[SLOW] = nil, self.closed or self.counts ~= nil end

-- From now on `counts` has in finished, failed and skipped how many items there are of these.
function Map:_count_in(counts)
  self.counts, self[SLOW] = counts, true
  counts.finished = self[TAKEN]
  for k, value in pairs(self[VALUES]) do
    local outcome = value == SPECIAL and self.special[k]
    if outcome == SKIPPED then
      counts.skipped = counts.skipped + 1
    else
      counts.finished = counts.finished + 1
      if outcome and outcome[1] ~= true then counts.failed = counts.failed + 1 end
    end
  end
end
function Map:_describe() return "a result of " .. self.name end

local function cancel_chunk(self, id, force)
  self.home.core:cancel(id, force, nil, nil, force and "deadline" or "explicit")
end

local function cancel_rest(self, force)
  if self.home.core:finished() then return end
  if self.current then cancel_chunk(self, self.current, force) end
  local seen
  for k = self.unordered and 1 or self[TAKEN] + 1, self.sent do
    local id = self.ids[k]
    if id and id ~= seen then cancel_chunk(self, id, force) end
    seen = id or seen
  end
end

local function close(self, force)
  if self.closed then return end
  self.closed, self[SLOW] = true, true
  forget_unseen(self)
  if self[TAKEN] < self.sent then cancel_rest(self, force) end
  self[VALUES], self.ids, self.special, self.ready, self.lists, self.pulls = {}, {}, {}, {}, {}, nil
  self.last_ready = self[TAKEN]
  self.pool = nil
end

-- Ends the iteration and cancels everything that has not started.
function Map:close()
  close(self, false)
end

local function expired(self)
  local unfinished = (self.total or self.sent) - self[TAKEN]
  local message = ("%d (of %d) results unfinished"):format(unfinished, self.total or self.sent)
  local err = errors.new("timeout", message,
    { seconds = self.seconds, unfinished = unfinished, total = self.total or self.sent })
  close(self, true)
  error(err, 0)
end

-- Waits for the next result; false at the end.
local function await(self)
  if self.closed then return false end
  if self[BUFFER] then refill(self) end
  if self:_ready() then return true end
  if self[TAKEN] >= self.sent then return false end
  local ready, err = block.wait(self, self.deadline)
  if err then
    close(self, false)
    error(err, 0)
  end
  if not ready then expired(self) end
  return not self.closed
end

-- A failure, a cancellation, any number of values but one; or nothing: it was skipped.
local function take_special(self, k)
  local outcome = self.special[k]
  self.special[k] = nil
  if outcome == SKIPPED then return self:next() end
  if outcome[1] == true then return k, unpack(outcome, 2, outcome.n) end
  local err = outcome[2]
  forget_unseen(self)
  if self.deadline and errors.is(err, "timeout") and host.monotonic() >= self.deadline then
    self[TAKEN] = self[TAKEN] - 1
    expired(self)
  end
  if outcome[1] == false then
    local failure = { traceback = outcome[3], info = outcome[4] }
    trace.remember(err, failure)
    trace.raised(err, failure)
  end
  error(err, 0)
end

local function enter_chunk(self, k)
  local ids, lengths = self.ids, self.lengths
  self[CHUNK_AT] = k + (lengths[k] or 1)
  self.current = ids[k]
  ids[k], lengths[k] = nil, nil
end

-- index, values... of the next item in input order; nothing at the end. Raises the error of an item; the next
-- call goes on behind it.
function Map:next()
  local k = self[TAKEN] + 1
  local value = self[VALUES][k]
  if value == nil or self[BUFFER] then
    if not await(self) then return end
    value = self[VALUES][k]
  end
  self[TAKEN] = k
  self[VALUES][k] = nil
  if k == self[CHUNK_AT] then enter_chunk(self, k) end
  if value == SPECIAL then return take_special(self, k) end
  return k, value
end

core_pool.set_keeper("map", Map)

local Unordered = { __name = "parhost.map_unordered", unordered = true }
for key, value in pairs(Map) do
  if Unordered[key] == nil then Unordered[key] = value end
end
Unordered.__index = Unordered

function Unordered:next()
  if self[TAKEN] >= self.last_ready or self[BUFFER] then
    if not await(self) then return end
  end
  local at = self[TAKEN] + 1
  local k = self.ready[at]
  local value = self[VALUES][k]
  self.ready[at], self[VALUES][k] = nil, nil
  self[TAKEN] = at
  if value == SPECIAL then return take_special(self, k) end
  return k, value
end

for _, class in ipairs { Map, Unordered } do
  class.collect = collect
  class.__call = class.next
  class.__close = Map.close
end

-- Starting --------------------------------------------------------------------------------------------------

local HINT <const> = "options go into pool:with{ ... }"

-- Takes the input apart: lists, iterators by position (or nil), and the number of items when that is known.
local function read_input(given, name)
  local lists, pulls, total = {}, nil, nil
  for j = 1, given.n do
    local list = given[j]
    if check.is_callable(list) then
      pulls = pulls or {}
      pulls[j], lists[j] = list, {}
    elseif type(list) == "table" then
      lists[j] = list
      total = math.min(total or math.huge, check.length(list, j + 1, name, HINT))
    elseif list == nil and pulls then
      check.bad_argument(j + 1, name, "array or iterator function expected, got nil; "
        .. "an iterator made by a call goes into parentheses: (io.lines(path))")
    else
      check.expected(j + 1, name, "array or iterator function", list)
    end
  end
  if given.n == 0 then total = 0 end
  return lists, pulls, total and math.tointeger(total)
end

local cancel_unless_started = { __close = function(guard) if guard.map then guard.map:close() end end }

-- `how`: { star =, unordered =, pool = }. The pool's handle is held until the end of the input: collected, it would take
-- no more. Sends everything, or as much as the buffer takes.
function map.start(home, name, fn, given, how)
  local lists, pulls, total = read_input(given, name)
  local timeout = home.given.timeout
  local deadline = block.deadline(timeout)
  local limit = math.min(deadline or math.huge, home.given.deadline or math.huge)
  local self = setmetatable({
    {}, 0, home.buffer_size or false, 1, false,
    home = home, log = home.log, name = name, fn = fn, star = how.star or false, pool = how.pool,
    lists = lists, pulls = pulls, total = total,
    options = home:core_options(nil, limit < math.huge and limit or nil),
    deadline = deadline, seconds = timeout,
    chunk = home.chunk_size, sent = 0, ids = {}, lengths = {}, special = {}, ready = {}, last_ready = 0,
  }, how.unordered and Unordered or Map)
  if self[BUFFER] and self.chunk ~= "auto" then self.chunk = math.min(self.chunk, self[BUFFER]) end
  local guard <close> = setmetatable({ map = self }, cancel_unless_started)
  send_up_to(self, self[BUFFER] or math.huge)
  guard.map, self.started = nil, true
  return self, nil, nil, self
end

return map
