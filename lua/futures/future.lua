-- SPDX-License-Identifier: MIT
-- The future: a table with few array slots, so that a hundred thousand of them are cheap.
--
--   pending -> running -> done | failed | cancelled
--
-- VALUE      done: the value, or all values packed when COUNT is set; failed, cancelled: the error value
-- COUNT      done: how many values, nil for exactly one; failed: the failure { traceback, info, sentinel }
-- CALLBACKS  nil, one entry, or { list = true, entry... }. An entry is a function of the program, or a
--            watcher: a table whose method _settled(future) is called at once, wherever the future settles;
--            it must not raise or wait.
-- SOURCE     what settles it: nil, or an object with cancel_task(future, id, how), task_state(id) and
--            task_name(id)
-- ID         the name that SOURCE has for it
--
-- A future belongs to the Lua state that made it and settles exactly once.
local block = require "parhost.block"
local check = require "parhost.check"
local core = require "parhost.core.pool"
local dispatch = require "futures.dispatch"
local errors = require "futures.error"
local options = require "parhost.options"
local trace = require "futures.trace"

local STATE <const> = 1
local VALUE <const> = 2
local COUNT <const> = 3
local CALLBACKS <const> = 4
local SOURCE <const> = 5
local ID <const> = 6
local PENDING <const> = 1
local RUNNING <const> = 2
local DONE <const> = 3
local FAILED <const> = 4
local CANCELLED <const> = 5
local NAMES <const> = { "pending", "running", "done", "failed", "cancelled" }

local getmetatable, setmetatable, select, type = getmetatable, setmetatable, select, type
local pack, unpack = table.pack, table.unpack

local Future = { __name = "parhost.Future" }
Future.__index = Future

-- The metatables of everything that is a future.
local kinds = { [Future] = true }
local future = { Future = Future, kinds = kinds }
local quick_value <const> = core.quick_value(Future)
core.set_keeper("future", Future) -- one value for a future without callbacks is put in by src/lib/deliver.c

function future.is_future(value)
  local metatable = getmetatable(value)
  return metatable ~= nil and kinds[metatable] == true
end

function future.new()
  return setmetatable({ PENDING, nil, nil, nil }, Future)
end

-- A pending future that `source` settles.
function future.from(source)
  return setmetatable({ PENDING, nil, nil, nil, source, 0 }, Future)
end

local function check_self(self, name)
  if not future.is_future(self) then check.bad_self(name, "parhost.Future", self) end
end

-- Errors nobody looked at -----------------------------------------------------------------------------------

local function default_report(subject, err, traceback)
  local failure = subject[COUNT]
  local lines = trace.describe_failure { traceback = traceback, info = failure and failure.info }
  local message = "parhost: nobody looked at the error of a task: " .. errors.text(err)
  warn(lines and message .. "\n" .. lines or message)
end

local report = default_report

function future.on_unhandled(fn)
  if fn ~= nil and type(fn) ~= "function" then check.expected(1, "on_unhandled", "function", fn) end
  report = fn or default_report
end

-- Collected with the failed future; [1] is the future while nobody has looked.
local Sentinel = {}

function Sentinel:__gc()
  local subject = self[1]
  if not subject then return end
  local ok, err = pcall(report, subject, subject[VALUE], subject[COUNT].traceback)
  if not ok then warn("parhost: error in the on_unhandled function: " .. errors.text(err)) end
end

local function looked_at(self)
  if self[STATE] == FAILED then self[COUNT].sentinel[1] = nil end
end

-- Settling --------------------------------------------------------------------------------------------------

local function notify_one(entry, self)
  if type(entry) == "table" then entry:_settled(self) else dispatch.push(entry, self) end
end

-- Those who have been told are taken off one by one: when there is no memory to tell one, it and the rest are told by the
-- next delivery, which is sure to come.
local function notify(self)
  local entry = self[CALLBACKS]
  if type(entry) == "table" and entry.list then
    for i = 1, #entry do
      if entry[i] then notify_one(entry[i], self) end
      entry[i] = false
    end
  else
    notify_one(entry, self)
  end
  self[CALLBACKS] = nil
end

local function succeed(self, ...)
  if select("#", ...) == 1 then
    self[VALUE] = ...
  else
    self[VALUE], self[COUNT] = pack(...), select("#", ...)
  end
  self[STATE] = DONE
  if self[CALLBACKS] then notify(self) end
end

local function fail(self, err, traceback, info)
  local failure = { traceback = traceback, info = info, sentinel = setmetatable({ self }, Sentinel) }
  self[VALUE], self[COUNT] = err, failure
  self[STATE] = FAILED
  trace.remember(err, failure)
  if self[CALLBACKS] then notify(self) end
end

local function cancelled(self, err)
  self[VALUE] = err
  self[STATE] = CANCELLED
  if self[CALLBACKS] then notify(self) end
end

-- Called by the core; late news of a settled future is dropped.
function Future:_deliver(_, status, ...)
  if self[STATE] > RUNNING then
    if self[CALLBACKS] then notify(self) end
    return
  end
  if status == true then
    succeed(self, ...)
  elseif status == "cancelled" then
    cancelled(self, (...))
  else
    fail(self, ...)
    local info, source = self[COUNT].info, self[SOURCE]
    if info and source and source.task then info.task = source.task end
  end
end

-- Settles as cancelled, for sources; callbacks are queued.
function Future:_cancelled(reason, source)
  local message = reason and "cancelled: " .. reason or "cancelled"
  cancelled(self, errors.new("cancelled", message, { reason = reason, source = source }))
end

-- For other kinds of futures, which settle themselves. `failed`: error value, traceback, info.
future.settle = { done = succeed, failed = fail, cancelled = cancelled }
future.looked_at = looked_at

local function invalid_state(self, name)
  local state = NAMES[self[STATE]]
  local message = ("%s: already %s: %s"):format(name, state, tostring(self))
  error(errors.new("invalid_state", message, { state = state }), 0)
end

local function check_unsettled(self, name)
  check_self(self, name)
  if self[STATE] > RUNNING then invalid_state(self, name) end
end

function Future:set_result(...)
  check_unsettled(self, "set_result")
  succeed(self, ...)
  dispatch.run()
end

function Future:set_error(err, traceback)
  check_unsettled(self, "set_error")
  if traceback ~= nil and type(traceback) ~= "string" then
    check.expected(2, "set_error", "string", traceback)
  end
  fail(self, err, traceback)
  dispatch.run()
end

function Future:set_running_or_notify_cancel()
  check_self(self, "set_running_or_notify_cancel")
  if self[STATE] == CANCELLED then return false end
  if self[STATE] ~= PENDING then invalid_state(self, "set_running_or_notify_cancel") end
  self[STATE] = RUNNING
  return true
end

local CANCEL_OPTIONS <const> = {
  force = { "boolean", default = false },
  reason = { "string" },
  grace = { "number", min = 0 },
}
local PLAIN <const> = {}

function Future:cancel(given)
  check_self(self, "cancel")
  local how = given == nil and PLAIN or options.check(CANCEL_OPTIONS, given, 1, "cancel")
  local state = self[STATE]
  if state > RUNNING then
    looked_at(self)
    return state == CANCELLED
  end
  local source = self[SOURCE]
  if source then
    local result = source:cancel_task(self, self[ID], how)
    dispatch.run()
    return result
  end
  if state == RUNNING then return false end
  self:_cancelled(how.reason, "explicit")
  dispatch.run()
  return true
end

-- Waiting ---------------------------------------------------------------------------------------------------

-- In other states of this process; the module is loaded when one travels.
Future.__parhost_module = "parhost.guest"
function Future:__dump() return require("parhost.guest").dump_future(self) end

-- What settles it, also of a task, which has its number there, and is settled by its own state.
local function source_of(self)
  local source = self[SOURCE]
  return type(source) == "table" and source or nil
end

-- The core and the id of the task that settles it, or nothing.
function Future:_task()
  local source = source_of(self)
  if source and source.core then return source.core, self[ID] end
end

function Future:_describe()
  return self:name() or tostring(self)
end

function Future:_ready()
  return self[STATE] > RUNNING
end

local function add_entry(self, entry)
  local entries = self[CALLBACKS]
  if entries == nil then
    self[CALLBACKS] = entry
  elseif type(entries) == "table" and entries.list then
    entries[#entries + 1] = entry
  else
    self[CALLBACKS] = { list = true, entries, entry }
  end
end

local function remove_entry(self, entry)
  local entries = self[CALLBACKS]
  if entries == entry then
    self[CALLBACKS] = nil
    return 1
  elseif type(entries) ~= "table" or not entries.list then
    return 0
  end
  local kept = { list = true }
  for i = 1, #entries do
    if entries[i] ~= entry then kept[#kept + 1] = entries[i] end
  end
  self[CALLBACKS] = kept[1] and kept or nil
  return #entries - #kept
end

Future._watch = add_entry
Future._unwatch = remove_entry

-- The last one who waited was cancelled: a pending task of a pool is, too.
function Future:_abandon()
  local source = self[SOURCE]
  if source and self[STATE] == PENDING and not self[CALLBACKS] and source:task_state(self[ID]) ~= "running" then
    source:cancel_task(self, self[ID], PLAIN)
  end
end

local function timed_out(self, seconds)
  local limit = seconds > 0 and (" within %s s"):format(errors.seconds_text(seconds)) or ""
  local message = ("%s has not finished%s"):format(self:name() or "the future", limit)
  return errors.new("timeout", message, { seconds = seconds })
end

-- Waits until settled. false and an error object when that did not come about.
local function settle(self, timeout, name)
  check_self(self, name)
  local deadline = block.deadline(timeout, 1, name)
  if self[STATE] > RUNNING then return true end
  local ready, err = block.wait(self, deadline)
  if ready then return true end
  return false, err or timed_out(self, timeout)
end

local function values(self)
  local count = self[COUNT]
  if count == nil then return self[VALUE] end
  return unpack(self[VALUE], 1, count)
end

function Future:result(timeout)
  if timeout == nil then
    local value = quick_value(self)
    if value ~= nil then return value end
  end
  local ok, err = settle(self, timeout, "result")
  if not ok then error(err, 0) end
  if self[STATE] == DONE then return values(self) end
  if self[STATE] == FAILED then
    looked_at(self)
    trace.raised(self[VALUE], self[COUNT])
  end
  error(self[VALUE], 0)
end

-- As _deliver takes it: status, values or error. Of a settled future; counts as looking at it.
function Future:_status()
  if self[STATE] == DONE then return true, values(self) end
  if self[STATE] == CANCELLED then return "cancelled", self[VALUE] end
  looked_at(self)
  return false, self[VALUE], self[COUNT].traceback
end

function Future:outcome(timeout)
  local ok, err = settle(self, timeout, "outcome")
  if not ok then return false, err end
  if self[STATE] == DONE then return true, values(self) end
  if self[STATE] == CANCELLED then return false, self[VALUE] end
  looked_at(self)
  trace.raised(self[VALUE], self[COUNT])
  return false, self[VALUE], self[COUNT].traceback
end

function Future:error(timeout)
  local ok, err = settle(self, timeout, "error")
  if not ok then error(err, 0) end
  if self[STATE] == DONE then return nil, false end
  if self[STATE] == CANCELLED then error(self[VALUE], 0) end
  looked_at(self)
  trace.raised(self[VALUE], self[COUNT])
  return self[VALUE], true
end

function Future:wait(timeout)
  check_self(self, "wait")
  local deadline = block.deadline(timeout, 1, "wait")
  local ready, err = block.wait(self, deadline)
  if err then error(err, 0) end
  return ready
end

-- Asking ----------------------------------------------------------------------------------------------------

-- What is known without taking in news; that a task has begun is none.
local function known(self)
  local source = source_of(self)
  if self[STATE] == PENDING and source and source:task_state(self[ID]) == "running" then return RUNNING end
  return self[STATE]
end

-- The state now: news that has come meanwhile is taken in first.
local function current(self, name)
  check_self(self, name)
  if self[STATE] <= RUNNING and self[SOURCE] then block.poll() end
  return known(self)
end

-- The life of the pool that it is of, if it is of one.
function Future:_life()
  local source = source_of(self)
  return source and source.life
end

-- Without a look at what the error is.
function Future:_failed() return self[STATE] > DONE end

function Future:done() return current(self, "done") > RUNNING end
function Future:running() return current(self, "running") == RUNNING end
function Future:cancelled() return current(self, "cancelled") == CANCELLED end
function Future:state() return NAMES[current(self, "state")] end

function Future:name()
  check_self(self, "name")
  local source = self[SOURCE]
  return source and source:task_name(self[ID]) or nil
end

function Future:traceback()
  if current(self, "traceback") ~= FAILED then return nil end
  looked_at(self)
  return self[COUNT].traceback
end

local function outcome_text(self)
  local state = self[STATE]
  if state == FAILED then return " raised " .. check.type_name(self[VALUE]) end
  if state ~= DONE then return "" end
  local count = self[COUNT]
  if count == nil then return " returned " .. check.type_name(self[VALUE]) end
  return count == 0 and " returned nothing" or (" returned %d values"):format(count)
end

function Future:__tostring()
  return ("%s: %p state=%s%s"):format(getmetatable(self).__name, self, NAMES[known(self)], outcome_text(self))
end

-- For people who ask about one at the prompt: the function that runs, where it was submitted, and what came of it; any of
-- them may be nil.
function future.about(self)
  local source, failure = source_of(self), self[STATE] == FAILED and self[COUNT]
  local task, site
  if failure and failure.info then
    task, site = failure.info.task, failure.info.submitted
  elseif self[STATE] <= RUNNING and source and source.core then
    task, site = source.core:about(self[ID])
  end
  return task, site, outcome_text(self)
end

-- Callbacks -------------------------------------------------------------------------------------------------

local function check_callback(fn, name)
  if type(fn) ~= "function" then check.expected(1, name, "function", fn) end
end

function Future:add_done_callback(fn)
  check_self(self, "add_done_callback")
  check_callback(fn, "add_done_callback")
  if self[STATE] <= RUNNING then
    add_entry(self, fn)
  else
    dispatch.now(fn, self)
  end
end

function Future:remove_done_callback(fn)
  check_self(self, "remove_done_callback")
  check_callback(fn, "remove_done_callback")
  return remove_entry(self, fn) + dispatch.remove(fn, self)
end

return future
