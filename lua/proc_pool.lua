-- SPDX-License-Identifier: MIT
-- The module `proc_pool`: tasks in processes.
local core_pool = require "parhost.core.pool"
-- Forks the zygote, while there are no threads yet and the process is small. It gets ready while the rest is loaded.
core_pool.prepare(true)

local executor = require "parhost.executor"
local futures = require "futures"
local host = require "parhost.core.host"

return {
  new = executor.constructor {
    name = "proc_pool",
    backend = "proc",
    default_workers = function() return host.default_workers() or host.cpu_count() end,
    nested = "the handle of a proc_pool cannot be used in a worker; a worker may make a pool of its own",
  },
  wait = futures.wait,
  as_completed = futures.as_completed,
}
