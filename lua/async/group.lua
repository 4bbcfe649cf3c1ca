-- SPDX-License-Identifier: MIT
-- Task groups. The handle that the program holds has the scope in slot 1 and the core in slot 2; the core is held from
-- here as long as the group is open, so that a handle can be collected while children run.
local block = require "parhost.block"
local check = require "parhost.check"
local core_task = require "parhost.core.task"
local errors = require "futures.error"
local exit = require "parhost.exit"
local future = require "futures.future"
local host = require "parhost.core.host"
local options = require "parhost.options"
local scope = require "async.scope"
local task = require "async.task"
local trace = require "futures.trace"

local group = {}

local CHILD <const>, LEFT_OPEN <const> = 2, 3
local FAILED <const> = 4
local WATCH_FAILURES <const>, WATCH_LAST <const>, WATCH_EACH <const> = 0, 1, 2
local VALUE <const>, COUNT <const> = 2, 3

-- The cores of open groups, by the key of their scope.
local opened = {}

local Core = {}
Core.__index = Core

local function count_of(n, noun)
  return ("%d %s%s"):format(n, noun, n == 1 and "" or "s")
end

function Core:title()
  return self.name and ("task group '%s'"):format(self.name) or self.what or "a task group"
end

-- Children --------------------------------------------------------------------------------------------------

-- Those that the end of the block waits for.
function Core:others()
  return core_task.live(self.box) - self.n_services
end

function Core:notify()
  for watcher in pairs(self.watchers) do watcher:_settled(self) end
end

-- A child may run, if the limit allows.
function Core:admit(t, how)
  if not self.limit then return task.start(t, how) end
  if self.running >= self.limit then
    self.last = self.last + 1
    self.waiting[self.last] = t
  else
    self.running = self.running + 1
    self.counted[t] = true
    task.start(t, how)
  end
  return t
end

local function admit_next(self, ended)
  if not self.counted[ended] then return end
  self.counted[ended] = nil
  self.running = self.running - 1
  while self.running < self.limit and self.first <= self.last do
    local t = self.waiting[self.first]
    self.waiting[self.first] = nil
    self.first = self.first + 1
    if core_task.release(t) then
      self.running = self.running + 1
      self.counted[t] = true
    end
  end
end

-- `failure`: what is known of it, see futures/trace.lua.
local function add_error(self, err, failure)
  self.n_errors = self.n_errors + 1
  self.errors[self.n_errors], self.failures[self.n_errors] = err, failure
end

function Core:abort(reason)
  if self.on_error == "collect" then return end
  self.aborted = true
  core_task.cancel(self.box, "group", reason)
end

-- Called for each child that ends: always for failures, for others as watched.
task.policy[CHILD] = function(key, t, state)
  local self = opened[key]
  if not self then return end
  if state == FAILED and not (self.starting[t] and not self.starting[t].started) then
    future.looked_at(t)
    add_error(self, t[VALUE], t[COUNT])
    self:abort("a task of the group failed")
  end
  if self.services[t] then
    self.services[t] = nil
    self.n_services = self.n_services - 1
  end
  if self.limit then admit_next(self, t) end
  self:notify()
end

-- Waiting for children: `masked` waits cannot be cancelled. `all`: services, too.
local Idle = {}
Idle.__index = Idle
function Idle:_ready() return (self.all and core_task.live(self.core.box) or self.core:others()) == 0 end
function Idle:_describe() return "the tasks of " .. self.core:title() end

function Idle:_watch(watcher)
  local core = self.core
  core.watchers[watcher] = true
  if not core.each then core_task.watch(core.box, WATCH_LAST) end
end

function Idle:_unwatch(watcher)
  local core = self.core
  core.watchers[watcher] = nil
  if not core.each and not next(core.watchers) then core_task.watch(core.box, WATCH_FAILURES) end
end

local function wait_for_children(self, all, masked, deadline)
  return block.wait(setmetatable({ core = self, all = all, _masked = masked }, Idle), deadline)
end

function Core:watch_each()
  self.each = true
  core_task.watch(self.box, WATCH_EACH)
end

-- Opening ---------------------------------------------------------------------------------------------------

local GROUP_OPTIONS <const> = {
  name = { "string" },
  max_concurrency = { "integer", min = 1 },
  on_error = { "one_of", "cancel", "collect", default = "cancel" },
}

local function site()
  return (check.caller_position():gsub(": $", ""))
end

local Group = { __name = "parhost.TaskGroup" }
Group.__index = Group

local function new_handle(box, how)
  local core = setmetatable({
    box = box, key = core_task.key(box), name = how.name, on_error = how.on_error, limit = how.max_concurrency,
    errors = {}, failures = {}, n_errors = 0, running = 0, waiting = {}, first = 1, last = 0, counted = {},
    services = {}, n_services = 0, starting = setmetatable({}, { __mode = "k" }), watchers = {},
    site = site(), what = how.what,
  }, Core)
  if core.limit then core:watch_each() end
  opened[core.key] = core
  return setmetatable({ box, core }, Group)
end

-- A group that is not the innermost scope of the task that runs: for iterators. In plain code it is outside of all.
function group.detached(how)
  return new_handle(core_task.open(true, false) or core_task.open_loose(), how)
end

local function open(name, given)
  local how = options.check(GROUP_OPTIONS, given == nil and {} or given, 1, name)
  scope.check_task(name)
  return new_handle(core_task.open(true, true), how)
end

function group.task_group(given)
  return open("task_group", given)
end

-- Ending ----------------------------------------------------------------------------------------------------

local function forget(self)
  opened[self.key] = nil
  self.ended = true
end

-- Its block will never be left: the children go on, as tasks of the run.
local function abandon(self, why)
  local n = core_task.live(self.box)
  for i = self.first, self.last do core_task.release(self.waiting[i]) end
  core_task.abandon(self.box)
  forget(self)
  local place = self.site ~= "" and (", opened at %s,"):format(self.site) or ""
  warn(("parhost: %s%s %s%s"):format(self:title(), place, why,
    n > 0 and ("; %s will be cancelled at the end of the run"):format(count_of(n, "task")) or ""))
  for _, err in ipairs(self.errors) do warn("parhost: an error in it was: " .. errors.text(err)) end
end

task.policy[LEFT_OPEN] = function(t)
  for _, key in ipairs(core_task.strip(t)) do
    if opened[key] then abandon(opened[key], "was not closed before its task ended") end
  end
end

local function group_error(self)
  local list = self.errors
  local first = errors.text(list[1]):match("^[^\n]*")
  local message = ("%s in %s: %s"):format(count_of(self.n_errors, "error"), self:title(), first)
  local err = errors.new("group", message, { errors = list })
  trace.remember_members(err, self.n_errors, self.failures)
  return err
end

-- Waits until no child is left. Gives whether it had to wait.
local function outlast(self)
  if core_task.live(self.box) == 0 then return false end
  for round = 1, math.huge do
    local ok, err = pcall(function()
      wait_for_children(self, false, true)
      for t in pairs(self.services) do core_task.cancel(t, "group", "the other tasks have ended") end
      wait_for_children(self, true, true)
    end)
    if ok then return true end
    core_task.cancel(self.box, "group", "the group cannot wait for its tasks")
    if not errors.is(err, "deadlock") or round > 1 then
      abandon(self, "could not wait for its tasks")
      error(err, 0)
    end
    add_error(self, err)
  end
end

local function check_owner(self)
  local _, owner = core_task.is_open(self.box)
  if owner ~= task.current() then check.misuse("a task group is closed outside of the task that opened it") end
end

-- The end of the block. `failed`: it is left by the error `err`. Gives true when the signal that came this far ends here:
-- the group itself was cancelled. Otherwise the caller lets it go on.
local function finish(self, failed, err)
  check_owner(self)
  local signal = failed and host.is_signal(err)
  local stray = signal and not core_task.effective(self.box) -- raised by hand: not ours to end
  if stray then core_task.cancel(self.box, "group") end
  if failed and not signal then
    add_error(self, err)
    self:abort("the body of the group failed")
  end
  local waited = outlast(self)
  local outer = core_task.outer_effective(self.box)
  local own = core_task.close(self.box)
  forget(self)
  if self.n_errors > 0 then error(group_error(self), 0) end
  if signal then return own and not stray end
  if waited and outer then core_task.check_cancelled() end
end

-- In the function form it gets here when the function has raised, be it nil.
function Group:__close(err)
  local core = self[2]
  if core.ended then return end
  if finish(core, err ~= nil or core.of_function, err) then
    error(errors.new("cancelled", core:title() .. " was cancelled", { reason = err.reason, source = err.source }), 0)
  end
end

function Group:__gc()
  local core = self[2]
  if not core.ended and not exit.closing() then abandon(core, "was collected before it was closed") end
end

function Group:__len() return core_task.live(self[1]) end

function Group:__tostring()
  local core = self[2]
  return ("%s: %p %s, %s"):format(Group.__name, self, core:title(),
    core.ended and "ended" or count_of(core_task.live(core.box), "task"))
end

-- Cancels and awaits what is left in a detached group, whose errors are its maker's business.
function group.dispose(handle)
  local core = handle[2]
  if core.ended then return end
  core.aborted = true
  core_task.cancel(core.box, "group", "the others are not needed any more")
  local n = core.n_errors
  outlast(core)
  for i = n + 1, core.n_errors do core.errors[i] = nil end
  core_task.close(core.box)
  forget(core)
end

-- Adding children -------------------------------------------------------------------------------------------

local function core_of(self, name)
  if getmetatable(self) ~= Group then check.bad_self(name, "parhost.TaskGroup", self) end
  return self[2]
end

local function refuse(core, name, state)
  local message = ("%s: %s %s"):format(name, core:title(), state)
  error(errors.new("invalid_state", message, { state = state }), 0)
end

local function check_open(core, name, how)
  if core.ended then refuse(core, name, "has ended") end
  if core.aborted and not how.start_on_cancel then refuse(core, name, "is shutting down") end
end

local DEFAULTS <const> = { eager = false, start_on_cancel = false }

local function create(core, how, name, fn, ...)
  check_open(core, name, how)
  return core:admit(task.create(core.box, how, name, fn, ...), how)
end

Group.create_task = core_task.group_creator(function(self, fn, ...)
  return create(core_of(self, "create_task"), DEFAULTS, "create_task", fn, ...)
end)

local function service(core, how, fn, ...)
  check_open(core, "service", how)
  local t = task.create(core.box, how, "service", fn, ...)
  core:watch_each()
  core.services[t] = true
  core.n_services = core.n_services + 1
  return task.start(t, how)
end

-- What `start` waits for: the task has called async.started, or has ended.
local Start = {}
Start.__index = Start
function Start:_ready() return self.started or self.task:_ready() end
function Start:_describe() return ("%s to call async.started"):format(self.task:name()) end

function Start:_watch(watcher)
  self.watcher = watcher
  self.task:_watch(watcher)
end

function Start:_unwatch(watcher)
  self.watcher = nil
  self.task:_unwatch(watcher)
end

local starts = setmetatable({}, { __mode = "k" })

-- Leaving `start` without a result: its task ends first.
local stop_start = { __close = function(guard)
  local start = guard[1]
  if not start.started then scope.stop(start.task, "start was cancelled") end
end }

local function start(core, how, fn, ...)
  check_open(core, "start", how)
  local t = task.create(core.box, how, "start", fn, ...)
  local entry = setmetatable({ task = t }, Start)
  core.starting[t], starts[t] = entry, entry
  core:admit(t, how)
  local _ <close> = setmetatable({ entry }, stop_start)
  local _, err = block.wait(entry)
  if err then error(err, 0) end
  if entry.started then return table.unpack(entry.values, 1, entry.values.n) end
  t:result()
  error(errors.new("invalid_state", ("%s has ended without calling async.started"):format(t:name()),
    { state = "ended" }), 0)
end

-- Tells the one who waits in tg:start, and gives it these values.
function group.started(...)
  local t = task.current()
  local entry = t and starts[t]
  if not entry or entry.started then
    local state = entry and "started" or "not started by start"
    error(errors.new("invalid_state", "started: this task was not begun by tg:start, or has said so before",
      { state = state }), 0)
  end
  entry.started, entry.values = true, table.pack(...)
  if entry.watcher then entry.watcher:_settled(entry) end
end

function Group:service(fn, ...) return service(core_of(self, "service"), DEFAULTS, fn, ...) end
function Group:start(fn, ...) return start(core_of(self, "start"), DEFAULTS, fn, ...) end

local View = { __name = "parhost.TaskGroup.view" }
View.__index = View
function View:create_task(fn, ...) return create(self.core, self.how, "create_task", fn, ...) end
function View:service(fn, ...) return service(self.core, self.how, fn, ...) end
function View:start(fn, ...) return start(self.core, self.how, fn, ...) end

-- Options for single tasks: a view with create_task, service and start.
function Group:with(given)
  local core = core_of(self, "with")
  return setmetatable({ core = core, how = options.check(task.OPTIONS, given, 1, "with") }, View)
end

-- Asking and steering ---------------------------------------------------------------------------------------

-- Waits until the children have ended, but for services; the group stays open. False when the time was up.
function Group:join(timeout)
  local core = core_of(self, "join")
  local deadline = block.deadline(timeout, 1, "join")
  local ready, err = wait_for_children(core, false, false, deadline)
  if err then error(err, 0) end
  return ready
end

-- Cancels the children and the body. False when that has been done, or the group has ended.
function Group:cancel(reason)
  local core = core_of(self, "cancel")
  if reason ~= nil then task.check_string(reason, 1, "cancel") end
  return core_task.cancel(core.box, "explicit", reason) or false
end

function Group:tasks()
  return core_task.children(core_of(self, "tasks").box)
end

-- The function form -----------------------------------------------------------------------------------------

local function closed(handle, ok, ...)
  local core = handle[2]
  if ok then
    finish(core, false)
    return ...
  end
  local err = ...
  if not finish(core, true, err) then host.raise_signal(err) end
end

local function run(given, fn, ...)
  local handle <close> = open("group", given)
  handle[2].of_function = true
  return closed(handle, core_task.catch(fn, handle, ...))
end

-- group([options,] fn, ...): the values of fn(tg, ...), once the children have ended; nothing when the group was
-- cancelled by tg:cancel.
function group.group(first, ...)
  if type(first) == "function" then return task.inside(run, nil, first, ...) end
  scope.check_function((...), 2, "group")
  return task.inside(run, first, ...)
end

group.count_of = count_of

return group
