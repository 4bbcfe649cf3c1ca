-- SPDX-License-Identifier: MIT
-- The module `thread_pool`: tasks in threads, each with a Lua state of its own.
local core_pool = require "parhost.core.pool"
local executor = require "parhost.executor"
local futures = require "futures"
local host = require "parhost.core.host"

-- The fork server of process pools can only be there before the first thread.
if not host.worker() then core_pool.prepare() end

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
