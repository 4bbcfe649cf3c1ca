---@meta proc_pool
-- SPDX-License-Identifier: MIT
-- luacheck: ignore 212 631

---Tasks in processes. See docs/proc_pool.md and docs/executors.md.
local proc_pool = {}

---A function, a C function that has a name, or "module:function".
---@alias parhost.TaskFunction<R> parhost.Function<R>|string

---@class parhost.PoolOptions
---@field max_workers? integer default: parhost.cpu_count(), or -j; 1 inside a worker
---@field min_workers? integer started at once, never idled out (default 0)
---@field idle_timeout? number seconds after which idle workers above min_workers leave
---@field max_tasks_per_worker? integer a worker is replaced after so many
---@field initializer? function|string run once in each new worker; its failure breaks the pool
---@field init_args? any[] its arguments, `n` honoured
---@field preload? string[] modules required before the initializer
---@field name? string default "proc_pool-1", ...
---@field max_queue? integer bound of the backlog
---@field on_full? "block"|"error"|"caller_runs" default "block"
---@field capture? "globals"|"none" default "globals"
---@field on_worker_death? "replace"|"break" default "replace"
---@field max_restarts? integer deaths in a row without one finished task; default 3 * max_workers
---@field on_error_exit? "wait"|"cancel"|"kill" leaving the block by an error (default "cancel")
---@field at_exit? "wait"|"cancel"|"kill" at the end of the program (default "wait")
---@field grace? number seconds between asking a task to stop and killing its worker (default 5)
---@field seed? integer makes math.random of each task depend on (seed, submission index) alone
---@field memory_limit? integer bytes per worker
---@field tag_output? boolean workers put "[pool/worker] " in front of each line that they print (default: --tag)
---@field inline? boolean run every task in the caller at submit
---@field start_method? "forkserver"|"fork" default "forkserver"
---@field nice? integer added to the niceness of the workers
---@field env? table<string, string|number|false> changes to the environment; false removes
---@field cwd? string

---@class parhost.ViewOptions
---@field timeout? number seconds of execution; for map: of the whole iteration
---@field deadline? number absolute, parhost.monotonic(): of queueing and execution
---@field priority? integer higher first (default 0)
---@field retries? integer runs again after a worker's death, or when retry_if says so
---@field retry_if? fun(err: any): boolean whether to run again after this error
---@field name? string of the tasks
---@field chunk_size? integer|"auto" items per message in maps (default 1)
---@field buffer_size? integer at most so many results outstanding in maps
---@field memory_limit? integer bytes
---@field joblog? string file with a line for each task that has run; what is done there is skipped. See docs/joblog.md
---@field key? fun(...): string|integer of the task's arguments: its name in the job log (default: a text of them)
---@field joblog_sync? boolean each line is on the disk before its result is delivered (default false)

---@class parhost.MapIterator<T>
local MapIterator = {}

---The next result; nothing at the end. Raises an item's error at its position; the next call goes on behind it.
---A cancellation point.
---@return integer? index of the input item
---@return T
---@return any ...
function MapIterator:next() end

---The first values of all that is left, with `n`. Raises the first error by position.
---@return T[]
function MapIterator:collect() end

---Ends the iteration; what has not started is cancelled.
function MapIterator:close() end

---@class parhost.View
local View = {}

---Runs `fn(...)` in a worker. Raises `not_serializable`, `shutdown`, `broken_pool`, `queue_full`, `nested`.
---@generic R
---@param fn parhost.TaskFunction<R>
---@param ... any
---@return parhost.Future<R>
function View:submit(fn, ...) end

---`for i, values... in pool:map(fn, list1, list2) do`: in input order, up to the shortest list.
---@generic R
---@param fn parhost.TaskFunction<R>
---@param ... any[]|fun(): any arrays (`n` honoured) or iterator functions
---@return parhost.MapIterator<R>|fun(): integer, R, ...
function View:map(fn, ...) end

---Each item is an array of arguments.
---@generic R
---@param fn parhost.TaskFunction<R>
---@param list any[][]|fun(): any[]
---@return parhost.MapIterator<R>|fun(): integer, R, ...
function View:starmap(fn, list) end

---In the order of completion; the index says which input item it was.
---@generic R
---@param fn parhost.TaskFunction<R>
---@param ... any[]|fun(): any
---@return parhost.MapIterator<R>|fun(): integer, R, ...
function View:map_unordered(fn, ...) end

---The same with other options.
---@param options parhost.ViewOptions
---@return parhost.View
function View:with(options) end

---@class parhost.Pool: parhost.View
local Pool = {}

---Takes no more tasks. Idempotent. A cancellation point when it waits.
---@param options? { wait?: boolean, cancel_pending?: boolean, timeout?: number } wait: true, cancel_pending: false
---@return boolean ended whether all workers are gone
function Pool:shutdown(options) end

---`shutdown{}`. What leaving the block of a `<close>` variable does.
function Pool:close() end

---Takes no more tasks, cancels what waits, asks what runs to stop, and kills after `grace`. Does not wait.
function Pool:terminate() end

---The same without asking: SIGKILL. Does not wait.
function Pool:kill() end

---Waits until the workers are gone. Raises `invalid_state` while it takes tasks. A cancellation point.
---@param timeout? number seconds
---@return boolean
function Pool:join(timeout) end

---Starts workers ahead of the tasks. Does not wait.
---@param n? integer default: max_workers
function Pool:warm_up(n) end

---Waits until nothing is queued or running; the pool stays open. A cancellation point.
---@param timeout? number seconds
---@return boolean
function Pool:drain(timeout) end

---@class parhost.PoolStats
---@field workers integer
---@field idle integer
---@field busy integer
---@field queued integer
---@field running integer
---@field completed integer
---@field failed integer
---@field cancelled integer
---@field retried integer
---@field restarts integer
---@field abandoned integer
---@field wait_ms { p50: number?, p99: number? }
---@field run_ms { p50: number?, p99: number? }

---@return parhost.PoolStats
function Pool:stats() end

---@return { id: integer, name: string, pid: integer?, tid: integer?, state: string, tasks: integer, task: integer?, since: number }[]
function Pool:workers() end

---@return string
function Pool:name() end

---Makes a pool. An integer is short for `{ max_workers = n }`. Raises `nested` below PARHOST_MAX_DEPTH pools.
---@param options? parhost.PoolOptions|integer
---@return parhost.Pool
function proc_pool.new(options) end

---The same as futures.wait.
---@generic F: parhost.Future
---@param list F[]
---@param options? { timeout?: number, return_when?: "all_completed"|"first_completed"|"first_error" }
---@return F[] done
---@return F[] not_done
function proc_pool.wait(list, options) end

---The same as futures.as_completed.
---@generic F: parhost.Future
---@param list F[]
---@param timeout? number
---@return parhost.AsCompleted<F>|fun(): F
function proc_pool.as_completed(list, timeout) end

return proc_pool
