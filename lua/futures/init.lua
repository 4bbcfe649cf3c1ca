-- SPDX-License-Identifier: MIT
-- The module `futures`: the protocol that tasks of every kind share.
local errors = require "futures.error"
local future = require "futures.future"
local trace = require "futures.trace"
local waiting = require "futures.waiting"

return {
  new = future.new,
  wait = waiting.wait,
  as_completed = waiting.as_completed,
  on_unhandled = future.on_unhandled,
  Error = errors.Error,
  error = errors.error,
  is = errors.is,
  traceback_of = trace.traceback_of,
  describe = trace.describe,
}
