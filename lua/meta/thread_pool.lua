---@meta thread_pool
-- SPDX-License-Identifier: MIT
-- luacheck: ignore 212 631

---Tasks in threads, each with a Lua state of its own. See docs/thread_pool.md and docs/executors.md.
local thread_pool = {}

---Makes a pool. An integer is short for `{ max_workers = n }`; default `min(32, parhost.cpu_count() + 4)`. The options of
---processes (`start_method`, `env`, `cwd`, `nice`) are refused. Raises `nested` below PARHOST_MAX_DEPTH pools.
---@param options? parhost.PoolOptions|integer
---@return parhost.Pool
function thread_pool.new(options) end

---The same as futures.wait.
---@generic F: parhost.Future
---@param list F[]
---@param options? { timeout?: number, return_when?: "all_completed"|"first_completed"|"first_error" }
---@return F[] done
---@return F[] not_done
function thread_pool.wait(list, options) end

---The same as futures.as_completed.
---@generic F: parhost.Future
---@param list F[]
---@param timeout? number
---@return parhost.AsCompleted<F>|fun(): F
function thread_pool.as_completed(list, timeout) end

return thread_pool
