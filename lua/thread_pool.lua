-- SPDX-License-Identifier: MIT
-- The module `thread_pool`: tasks in threads, each with a Lua state of its own.
local executor = require "parhost.executor"
local futures = require "futures"
local host = require "parhost.core.host"

local function default_workers()
  return host.default_workers() or math.min(32, host.cpu_count() + 4)
end

return {
  new = executor.constructor {
    name = "thread_pool",
    backend = "thread",
    default_workers = default_workers,
    nested = "the handle of a thread_pool cannot leave its process",
  },
  wait = futures.wait,
  as_completed = futures.as_completed,
}
