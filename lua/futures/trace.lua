-- SPDX-License-Identifier: MIT
-- What is known about an error beside its value: the traceback from where it was raised, and the task that
-- raised it. A `failure` is { traceback = string|nil, info = table|nil }; info is described in the pool's
-- binding.
local codec = require "parhost.core.codec"
local errors = require "futures.error"

local trace = {}

local by_object = setmetatable({}, { __mode = "k" })
local HAS_IDENTITY <const> = { table = true, userdata = true, thread = true, ["function"] = true }

-- The last few failures whose values have no identity, newest last.
local RECENT_MAX <const> = 8
local recent = {}

-- Called when a failure is known: remembers it for values that can be told apart.
function trace.remember(err, failure)
  if HAS_IDENTITY[type(err)] then
    by_object[err] = failure
    if errors.is(err) and rawget(err, "traceback") == nil then rawset(err, "traceback", failure.traceback) end
  end
end

-- Called when an error is raised again for the program: remembers it for the other values.
function trace.raised(err, failure)
  if HAS_IDENTITY[type(err)] then return end
  for i = #recent, 1, -1 do
    if recent[i].failure == failure then table.remove(recent, i) end
  end
  if #recent == RECENT_MAX then table.remove(recent, 1) end
  recent[#recent + 1] = { value = err, failure = failure }
end

local function failure_of(err)
  if HAS_IDENTITY[type(err)] then return by_object[err] end
  for i = #recent, 1, -1 do
    if rawequal(recent[i].value, err) then return recent[i].failure end
  end
end

-- The remote traceback of an error that came out of a future lately, or nil.
function trace.traceback_of(err)
  local failure = failure_of(err)
  if failure then return failure.traceback end
  return errors.is(err) and err.traceback or nil
end

-- in task 'fib' (#37) of proc_pool "p", worker 2 (pid 4711), after 1.204 s
local function task_line(info)
  local name, place = tostring(info.task or "?"):match("^(.-) (%b())$")
  local parts = { "  in task " }
  if name == "?" or name == "" then
    parts[2] = ("<%s>"):format(place:sub(2, -2))
  else
    parts[2] = ("'%s'"):format(name or info.task or "?")
  end
  if info.id then parts[#parts + 1] = (" (#%d)"):format(info.id) end
  if info.pool then parts[#parts + 1] = (' of %s "%s"'):format(info.backend or "pool", info.pool) end
  if info.worker and info.worker > 0 then parts[#parts + 1] = (", worker %d"):format(info.worker) end
  if info.pid and info.pid > 0 then parts[#parts + 1] = (" (pid %d)"):format(info.pid) end
  if info.tid then parts[#parts + 1] = (" (thread %d)"):format(info.tid) end
  if info.seconds then parts[#parts + 1] = (", after %.3f s"):format(info.seconds) end
  return table.concat(parts)
end

local HEADER <const> = "stack traceback:"

-- Splits a traceback into what an earlier task left in front and the frames of the last one.
local function split_traceback(traceback)
  local head, frames = ("\n" .. traceback):match("^(.*)\n" .. HEADER .. "(.*)$")
  if not head then return nil, traceback ~= "" and "\n" .. traceback or "" end
  return head ~= "" and head:sub(2) or nil, frames
end

local function describe(failure)
  local lines = {}
  local earlier, frames
  if failure.traceback then earlier, frames = split_traceback(failure.traceback) end
  lines[#lines + 1] = earlier
  if failure.info then lines[#lines + 1] = task_line(failure.info) end
  local local_task = failure.info and not failure.info.pool
  if frames and frames ~= "" then lines[#lines + 1] = (local_task and "task " or "worker ") .. HEADER .. frames end
  if failure.info and failure.info.submitted then
    lines[#lines + 1] = "submitted at:\n\t" .. failure.info.submitted
  end
  return #lines > 0 and table.concat(lines, "\n") or nil
end

local MEMBERS_MAX <const>, DEPTH_MAX <const> = 10, 5
local members = setmetatable({}, { __mode = "k" })

-- Of the errors 1 to n in a group: failures[i] is what is known of the i-th.
function trace.remember_members(err, n, failures)
  members[err] = { n = n, failures = failures }
end

local describe_any

local function describe_members(err, depth)
  local known = members[err] or { n = #err.errors, failures = {} }
  local lines = {}
  for i = 1, math.min(known.n, MEMBERS_MAX) do
    local member = err.errors[i]
    lines[#lines + 1] = ("error %d of %d: %s"):format(i, known.n, errors.text(member))
    local details = describe_any(member, known.failures[i] or failure_of(member), depth + 1)
    if details then lines[#lines + 1] = "  " .. details:gsub("\n", "\n  ") end
  end
  if known.n > MEMBERS_MAX then lines[#lines + 1] = ("... and %d more errors"):format(known.n - MEMBERS_MAX) end
  return table.concat(lines, "\n")
end

-- Of an error about a global that is nil in a worker, because it could not travel, or nothing.
local function describe_missing(err, failure)
  if type(err) ~= "string" or not (failure.info and failure.info.pool) then return "" end
  local name = err:match "%(global '([%a_][%w_]*)'%)"
  local why = name and codec.left_out(name)
  return why and ("  global '%s' did not travel: %s\n"):format(name, why) or ""
end

function describe_any(err, failure, depth)
  local own = failure and describe(failure)
  if own then own = describe_missing(err, failure) .. own end
  if depth > DEPTH_MAX or not errors.is(err, "group") or type(err.errors) ~= "table" then return own end
  local parts = describe_members(err, depth)
  return own and parts .. "\n" .. own or parts
end

-- The lines that a person sees between the message of an error and the local traceback, or nil when nothing
-- is known.
function trace.describe(err)
  return describe_any(err, failure_of(err), 1)
end

trace.describe_failure = describe

-- The traceback with which an error leaves this state for another one, or a task: `traceback`, behind what is known of
-- the pool's task that the error came from; or the one that the error was made with.
function trace.chain(err, traceback)
  local failure = failure_of(err)
  if not failure and errors.is(err) and type(err.traceback) == "string" then return err.traceback end
  local block = failure and describe(failure)
  if block and failure.info and not failure.info.pool and failure.traceback then
    block = split_traceback(failure.traceback) or block -- of tasks that wait for one another, the innermost is enough
  end
  if not block then return traceback end
  return traceback and block .. "\n" .. traceback or block
end

return trace
