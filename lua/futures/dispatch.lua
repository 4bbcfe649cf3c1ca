-- SPDX-License-Identifier: MIT
-- Where callbacks run: first in, first out, one after another, never inside a delivery and never one inside
-- another (except where a callback itself waits). So chains of callbacks have any length.
local errors = require "futures.error"

local dispatch = {}

local first, last = 1, 0
local functions, subjects = {}, {}
local running = false

function dispatch.push(fn, subject)
  functions[last + 1], subjects[last + 1] = fn, subject
  last = last + 1
end

-- Takes calls out of the queue again; gives how many.
function dispatch.remove(fn, subject)
  local removed = 0
  for i = first, last do
    if functions[i] == fn and subjects[i] == subject then
      functions[i] = false
      removed = removed + 1
    end
  end
  return removed
end

-- An error ends in a warning. The cancellation signal goes through, as pcall does not catch it.
function dispatch.call(fn, subject)
  local ok, err = pcall(fn, subject)
  if not ok then
    warn(("parhost: error in a callback of %s: %s"):format(errors.text(subject), errors.text(err)))
  end
end

local function run_queue()
  while first <= last do
    local at = first
    local fn, subject = functions[at], subjects[at]
    functions[at], subjects[at] = nil, nil
    first = at + 1
    if fn then dispatch.call(fn, subject) end
  end
  first, last = 1, 0
end

local stop_running = setmetatable({}, { __close = function() running = false end })

-- Runs what is queued, unless that is going on already further up.
function dispatch.run()
  if running or first > last then return end
  running = true
  local _ <close> = stop_running
  run_queue()
end

-- The same for a wait, which may itself be inside a callback.
function dispatch.flush()
  if first > last then return end
  if running then return run_queue() end
  dispatch.run()
end

-- Calls at once, but defers it when such calls have nested deeply.
local NESTED_MAX <const> = 40
local nested = 0
local leave = setmetatable({}, { __close = function() nested = nested - 1 end })

local function call_nested(fn, subject)
  nested = nested + 1
  local _ <close> = leave
  dispatch.call(fn, subject)
end

function dispatch.now(fn, subject)
  if nested >= NESTED_MAX then return dispatch.push(fn, subject) end
  call_nested(fn, subject)
  if nested == 0 then dispatch.run() end
end

return dispatch
