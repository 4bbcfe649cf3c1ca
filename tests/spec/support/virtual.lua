-- SPDX-License-Identifier: MIT
-- What specs of module async share: runs with a virtual clock, and values to look at.
local async = require "async"

local virtual = {}

-- Runs fn as a main task; sleeping costs no time.
function virtual.run(fn, ...)
  return async.run({ clock = "virtual" }, fn, ...)
end

-- The same as a body for `it`.
function virtual.it(fn)
  return function() return virtual.run(fn) end
end

-- A value for <close> that calls fn(err).
function virtual.on_close(fn)
  return setmetatable({}, { __close = function(_, err) fn(err) end })
end

-- Seconds that fn takes by the clock of the run.
function virtual.seconds(fn, ...)
  local start = async.time()
  fn(...)
  return async.time() - start
end

-- The error that fn raises.
function virtual.raised_by(fn, ...)
  local ok, err = pcall(fn, ...)
  if ok then error("no error was raised", 2) end
  return err
end

-- Runs fn with warn() recording, and gives what was warned.
function virtual.warnings_of(fn)
  local warned = {}
  local original = warn
  _G.warn = function(...) warned[#warned + 1] = table.concat { ... } end
  local ok, err = pcall(fn)
  _G.warn = original
  if not ok then error(err, 0) end
  return warned
end

return virtual
