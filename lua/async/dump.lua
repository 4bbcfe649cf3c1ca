-- SPDX-License-Identifier: MIT
-- What tasks are doing, for people: the tree of tasks with where each is parked, slow steps.
local check = require "parhost.check"
local core = require "parhost.core.task"
local errors = require "futures.error"
local task = require "async.task"

local dump = {}

local REQUEST <const> = 4
local SLOW <const>, DUMP <const> = 1, 2

-- The first line of a traceback that is not parhost's own.
local function place_in(traceback)
  for file, line, rest in traceback:gmatch("\n%s*([^\n]-):(%d+):([^\n]*)") do
    if not check.is_own("@" .. file) then return ("%s:%s:%s"):format(file, line, rest) end
  end
end

local function line_of(t)
  local state, traceback = core.describe(t)
  if t == task.current() then return ("%s (running)"):format(t:name()) end
  local place = traceback and place_in(traceback)
  local line = ("%s (%s%s)"):format(t:name(), state, core.cancelling(t) and ", being cancelled" or "")
  if place then line = line .. " at " .. place end
  local site = task.site(t)
  return site and ("%s, created at %s"):format(line, site) or line
end

local function by_parent(tasks)
  local roots, children = {}, {}
  for _, t in ipairs(tasks) do
    local parent = core.owner(t)
    local list = roots
    if parent then
      list = children[parent] or {}
      children[parent] = list
    end
    list[#list + 1] = t
  end
  return roots, children
end

local MAX_LINES <const> = 200

-- The tree as text, a task a line.
function dump.text()
  local tasks = core.all()
  local roots, children = by_parent(tasks)
  local lines = { ("%d task%s"):format(#tasks, #tasks == 1 and "" or "s") }
  local pending = {}
  for i = #roots, 1, -1 do pending[#pending + 1] = { roots[i], 1 } end
  while #pending > 0 and #lines <= MAX_LINES do
    local t, depth = table.unpack(table.remove(pending))
    lines[#lines + 1] = ("  "):rep(depth) .. line_of(t)
    local below = children[t] or {}
    for i = #below, 1, -1 do pending[#pending + 1] = { below[i], depth + 1 } end
  end
  if #pending > 0 then lines[#lines + 1] = "  ..." end
  return table.concat(lines, "\n")
end

-- Writes the tree to a file, stderr by default.
function dump.dump(file)
  file = file or io.stderr
  if type(file) ~= "userdata" or not io.type(file) then check.expected(1, "dump", "file", file) end
  file:write("parhost: ", dump.text(), "\n")
end

function dump.deadlock()
  local tree = dump.text()
  return errors.new("deadlock", "every task waits, and nothing is left that could wake one: " ..
    tree:gsub("^[^\n]*\n%s*", ""):gsub("\n", ";"):gsub("%s+", " "), { tasks = tree })
end

local slow_step

-- Reports steps that take longer than so many seconds; nil ends that.
function dump.watch(seconds)
  slow_step = seconds
  core.watch_steps(seconds)
end

local function report_slow(t, traceback)
  warn(("parhost: %s has been holding the loop for more than %g s\n%s"):format(t and t:name() or "a callback",
    slow_step or 0, (traceback:gsub("^[^\n]*", "stack traceback:"))))
end

task.policy[REQUEST] = function(requests, traceback, t)
  if requests & DUMP ~= 0 then dump.dump() end
  if requests & SLOW ~= 0 and traceback then report_slow(t, traceback) end
end

return dump
