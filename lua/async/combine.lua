-- SPDX-License-Identifier: MIT
-- Several tasks at once: gather, all, race, any, staggered. Items are futures, or functions, which become tasks of a
-- group of their own; that ends before the call returns.
local check = require "parhost.check"
local errors = require "futures.error"
local future = require "futures.future"
local group = require "async.group"
local options = require "parhost.options"
local scope = require "async.scope"
local waiting = require "futures.waiting"

local combine = {}

local OWN <const> = { on_error = "collect" }

local Race = {}

local LATE <const> = "another one was first"

-- Whatever ends the call, the tasks made for it end before. Nobody has to look at the errors of losers.
function Race:__close()
  for _, f in ipairs(self.stop) do
    if not f:_ready() then f:cancel { force = true, reason = LATE } end
  end
  for _, f in ipairs(self.stop) do
    scope.stop(f, LATE)
    if f:state() == "failed" then future.looked_at(f) end
  end
  group.dispose(self.group)
end

local function is_item(value)
  return type(value) == "function" or future.is_future(value)
end

local function check_list(list, name)
  if type(list) ~= "table" or getmetatable(list) ~= nil then
    check.expected(1, name, "array of futures and functions", list)
  end
  local n = check.length(list, 1, name)
  for i = 1, n do
    local item = list[i]
    if not is_item(item) then
      check.bad_argument(1, name, ("item %d: future or function expected, got %s"):format(i, check.type_name(item)))
    end
  end
  return n
end

-- `race`: futures of the list are cancelled as well at the end.
local function start_all(list, n, race)
  local self = setmetatable({ futures = {}, stop = {}, group = group.detached(OWN) }, Race)
  for i = 1, n do
    local item = list[i]
    if type(item) == "function" then
      item = self.group:create_task(item)
    elseif race then
      self.stop[#self.stop + 1] = item
    end
    self.futures[i] = item
  end
  return self
end

local function entry_of(ok, ...)
  return { ok = ok, ... }
end

-- gather ----------------------------------------------------------------------------------------------------

local function entry(f) return entry_of(f:outcome()) end
local function first_value(f) return (f:result()) end

local function gather(list, n, return_errors)
  local self <close> = start_all(list, n)
  for f in waiting.as_completed(self.futures) do
    if not return_errors and f:state() ~= "done" then f:result() end
  end
  local results, read = { n = n }, return_errors and entry or first_value
  for i, f in ipairs(self.futures) do results[i] = read(f) end
  return results
end

local GATHER <const> = { return_errors = { "boolean", default = false } }

-- The first values of all, in order, as an array with n. The first error is raised as soon as it is there; with
-- return_errors there are entries { ok = true, values... } and { ok = false, err } instead.
function combine.gather(list, given)
  local n = check_list(list, "gather")
  return gather(list, n, options.check(GATHER, given == nil and {} or given, 2, "gather").return_errors)
end

-- The first values of all arguments.
function combine.all(...)
  local list = table.pack(...)
  for i = 1, list.n do
    if not is_item(list[i]) then check.expected(i, "all", "future or function", list[i]) end
  end
  local results = gather(list, list.n, false)
  return table.unpack(results, 1, results.n)
end

-- race, any -------------------------------------------------------------------------------------------------

local function check_not_empty(n, name)
  if n == 0 then check.bad_argument(1, name, "at least one future or function expected") end
end

local function index_of(futures, f)
  for i, other in ipairs(futures) do
    if other == f then return i end
  end
end

-- index, values... of the first one that ends, or its error.
function combine.race(list)
  local n = check_list(list, "race")
  check_not_empty(n, "race")
  local self <close> = start_all(list, n, true)
  local first = waiting.as_completed(self.futures):next()
  return index_of(self.futures, first), first:result()
end

local function all_failed(found, what)
  local list = {}
  for i = 1, found.n do
    if found[i] then list[#list + 1] = found[i].err end
  end
  local message = ("%s: none of %d succeeded: %s"):format(what, found.n, errors.text(list[1]))
  error(errors.new("group", message, { errors = list }), 0)
end

-- index, values... of the first one that succeeds; a `group` of all errors when none does.
function combine.any(list)
  local n = check_list(list, "any")
  check_not_empty(n, "any")
  local self <close> = start_all(list, n, true)
  local found = { n = n }
  for f in waiting.as_completed(self.futures) do
    local i = index_of(self.futures, f)
    if f:state() == "done" then return i, f:result() end
    found[i] = { err = select(2, f:outcome()) }
  end
  all_failed(found, "any")
end

-- staggered -------------------------------------------------------------------------------------------------

-- One attempt after another: the next begins when one has failed, or after `delay` seconds. The first that
-- succeeds wins: index, values...; nil for an empty list.
function combine.staggered(list, delay)
  local n = check_list(list, "staggered")
  check.seconds(delay, 2, "staggered")
  if n == 0 then return nil end
  local self <close> = start_all(list, 0, true)
  local found, begun, failed, index = { n = n }, 0, 0, {}
  while failed < n do
    if begun < n and (begun == failed or delay) then
      begun = begun + 1
      local f = list[begun]
      if type(f) == "function" then f = self.group:create_task(f) else self.stop[#self.stop + 1] = f end
      self.futures[begun], index[f] = f, begun
    end
    local pending = {}
    for i = 1, begun do
      if not found[i] then pending[#pending + 1] = self.futures[i] end
    end
    local how = { timeout = begun < n and delay or nil, return_when = "first_completed" }
    for _, f in ipairs((waiting.wait(pending, how))) do
      local i = index[f]
      if f:state() == "done" then return i, f:result() end
      found[i], failed = { err = select(2, f:outcome()) }, failed + 1
    end
  end
  all_failed(found, "staggered")
end

return combine
