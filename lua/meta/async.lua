---@meta async
-- SPDX-License-Identifier: MIT
-- luacheck: ignore 212 631

---Tasks on coroutines. See docs/async.md. "A cancellation point" raises the cancellation signal while the task's scope is cancelled,
---and an error of kind `invalid_state` where the task cannot be suspended (in a comparator of table.sort and the like).
---@class async
local async = {}

---A future that runs in this state. Methods of parhost.Future, and these.
---@class parhost.Task<T>: parhost.Future<T>
local Task = {}

---A request: the next cancellation point raises the signal. A task that has not begun never runs.
---@param options? { reason?: string, force?: boolean, grace?: number } force, grace: as for futures of pools; they change nothing
---@return boolean # false when it has ended (true when it was cancelled)
function Task:cancel(options) end

---@return boolean # it is inside of a cancelled scope
function Task:cancelling() end

---@return string
function Task:name() end

---@param name string
function Task:set_name(name) end

---The task whose group it is in; nil for other tasks, and when it has ended.
---@return parhost.Task?
function Task:parent() end

---Where it is parked; ended: where it raised its error, or was when it was cancelled.
---@return string?
function Task:traceback() end

---@class parhost.RunOptions
---@field name? string of the main task
---@field debug? boolean tasks keep where they were created; shown by dump and in errors (default false)
---@field clock? "real"|"virtual" virtual: sleeping costs no time; it jumps when nothing is ready and nothing real is awaited
---@field slow_step? number seconds after which a step of a task is reported (default 1)
---@field shutdown_timeout? number seconds for the default pools to end (default 30)

---Runs fn as the main task; tasks that are left are cancelled and awaited. Raises its error; `invalid_state` inside of a run.
---@generic R
---@param options? parhost.RunOptions may be left out
---@param fn parhost.Function<R>
---@return R
---@return any ... the values of fn
---@overload fun(fn: parhost.Function<any>, ...): any
function async.run(options, fn, ...) end

---@class parhost.Runner
local Runner = {}

---Like async.run, but tasks that are left live on until the runner is closed.
---@generic R
---@param fn parhost.Function<R>
---@return R
---@return any ...
function Runner:run(fn, ...) end

---Cancels and awaits what is left. Also by `local r <close> = ...`.
function Runner:close() end

---@param options? parhost.RunOptions
---@return parhost.Runner
function async.runner(options) end

---A task that first runs at the next turn of the loop. In a run it ends with the run at the latest.
---@generic R
---@param fn parhost.Function<R>
---@return parhost.Task<R>
function async.create_task(fn, ...) end

---@class parhost.AsyncOptions
---@field name? string
---@field eager? boolean run at once, up to the first park (default false)
---@field start_on_cancel? boolean begin even when cancelled before (default false)
---@field pool? table for to_thread and to_process; default: one for the run
---@field abandon_on_cancel? boolean a cancelled to_thread or to_process leaves its job alone (default false: stops it, and waits)

---What `async.with{...}` gives: the functions of `async` of these names, with those options.
---@class parhost.AsyncView
local AsyncView = {}

---@generic R
---@param fn parhost.Function<R>
---@return parhost.Task<R>
function AsyncView:create_task(fn, ...) end

---@generic R
---@param fn parhost.TaskFunction<R>
---@return R
---@return any ...
function AsyncView:to_thread(fn, ...) end

---@generic R
---@param fn parhost.TaskFunction<R>
---@return R
---@return any ...
function AsyncView:to_process(fn, ...) end

---Options for single calls: a view with create_task, to_thread and to_process.
---@param options parhost.AsyncOptions
---@return parhost.AsyncView
function async.with(options) end

---@return parhost.Task? # nil in plain code
function async.current_task() end

---@return parhost.Task[] # those that have not ended, in the order of their creation
function async.all_tasks() end

---Lets the others run. A cancellation point.
function async.checkpoint() end

---A cancellation point. Never early. In plain code it runs the loop.
---@param seconds number 0 or less: like checkpoint
function async.sleep(seconds) end

---@param when number as async.time() counts
function async.sleep_until(when) end

---Until it is cancelled.
function async.sleep_forever() end

---@return number seconds of the clock of the run; parhost.monotonic() unless that is virtual
function async.time() end

---@return boolean # the next cancellation point will raise
function async.cancelled() end

---The one way to see a cancellation. It goes on being raised until its scope is left. Other errors are raised.
---@param fn parhost.Function<any>
---@return boolean ok
---@return any ... values, or { source =, reason = }
function async.catch_cancelled(fn, ...) end

---Runs fn so that what is cancelled further out does not reach it, for so many seconds at most; or waits for a future that
---is not cancelled when the waiter is.
---@generic R
---@param options? { timeout?: number } may be left out
---@param fn parhost.Task<R>|parhost.Future<R>|parhost.Function<R>
---@return R
---@return any ...
---@overload fun(fn: function, ...): any
---@overload fun(future: parhost.Future<any>): any
function async.shield(options, fn, ...) end

---@class parhost.Timeout
local Timeout = {}

---@param seconds? number from now; nil: no limit. Raises `invalid_state` when it has expired or was left.
function Timeout:reschedule(seconds) end

---@return number? # absolute
function Timeout:when() end

---@return boolean
function Timeout:expired() end

---`local t <close> = async.timeout(s)`: what is left of the block after so many seconds is cancelled, and the block raises `timeout`.
---@param seconds? number
---@return parhost.Timeout
function async.timeout(seconds) end

---@param when? number as async.time() counts
---@return parhost.Timeout
function async.timeout_at(when) end

---@generic R
---@param seconds? number
---@param fn parhost.Function<R>
---@return boolean in_time
---@return R
---@return any ...
function async.move_on_after(seconds, fn, ...) end

---@class parhost.Scope
local Scope = {}

---@param reason? string
---@return boolean # false when it was cancelled before, or left
function Scope:cancel(reason) end

---@return boolean
function Scope:cancelled() end

---@param fn fun(scope: parhost.Scope, ...): any?, any?, any?, any?
---@return boolean # false: cancelled by scope:cancel
---@return any ...
function async.scope(fn, ...) end

---The values of fn(...), which runs in this task, or of a future; `timeout` when the time is up, after what was awaited has been cancelled
---and has ended.
---@generic R
---@param what parhost.Task<R>|parhost.Future<R>|parhost.Function<R>
---@param seconds? number nil: no limit
---@return R
---@return any ...
function async.wait_for(what, seconds, ...) end

---What `tg:with{...}` gives.
---@class parhost.TaskGroupView
local TaskGroupView = {}

---@generic R
---@param fn parhost.Function<R>
---@return parhost.Task<R>
function TaskGroupView:create_task(fn, ...) end

---@generic R
---@param fn parhost.Function<R>
---@return parhost.Task<R>
function TaskGroupView:service(fn, ...) end

---@param fn parhost.Function<any>
---@return any ...
function TaskGroupView:start(fn, ...) end

---@class parhost.TaskGroup
---@operator len: integer
local TaskGroup = {}

---Never blocks. Raises `invalid_state` after the end of the group, and when it is shutting down after an error.
---@generic R
---@param fn parhost.Function<R>
---@return parhost.Task<R>
function TaskGroup:create_task(fn, ...) end

---The same group with options for single children.
---@param options { name?: string, eager?: boolean, start_on_cancel?: boolean }
---@return parhost.TaskGroupView
function TaskGroup:with(options) end

---Waits until fn calls async.started, and gives the values passed there; an error before that is raised here.
---@param fn parhost.Function<any>
---@return any ...
function TaskGroup:start(fn, ...) end

---A child that is cancelled when the others have ended.
---@generic R
---@param fn parhost.Function<R>
---@return parhost.Task<R>
function TaskGroup:service(fn, ...) end

---Waits for the children that are there, but for services.
---@param timeout? number
---@return boolean # false: the time was up
function TaskGroup:join(timeout) end

---Cancels children and body.
---@param reason? string
---@return boolean
function TaskGroup:cancel(reason) end

---@return parhost.Task[]
function TaskGroup:tasks() end

---@class parhost.GroupOptions
---@field name? string
---@field max_concurrency? integer how many children run at a time
---@field on_error? "cancel"|"collect" collect: an error cancels nobody (default "cancel")

---`local tg <close> = async.task_group()`: leaving the block waits for the children. Errors come in one of kind `group`.
---@param options? parhost.GroupOptions
---@return parhost.TaskGroup
function async.task_group(options) end

---The same as a function. Gives the values of fn; nothing when the group was cancelled by tg:cancel.
---@generic R
---@param options? parhost.GroupOptions may be left out
---@param fn fun(tg: parhost.TaskGroup, ...): R?, any?, any?, any?
---@return R
---@return any ...
---@overload fun(fn: fun(tg: parhost.TaskGroup, ...), ...): any
function async.group(options, fn, ...) end

---In a task begun by tg:start.
function async.started(...) end

---@generic R
---@param list parhost.Task<R>[]|parhost.Future<R>[]|parhost.Function<R>[] may be mixed
---@param options? { return_errors?: boolean }
---@return R[] # first values, with n; with return_errors: { ok = true, ... } or { ok = false, err }
function async.gather(list, options) end

---@param ... function|parhost.Future
---@return any ... first values
function async.all(...) end

---@generic R
---@param list parhost.Task<R>[]|parhost.Future<R>[]|parhost.Function<R>[]
---@return integer index
---@return R
---@return any ... of the first that ends; the others are cancelled and awaited
function async.race(list) end

---@generic R
---@param list parhost.Task<R>[]|parhost.Future<R>[]|parhost.Function<R>[]
---@return integer index
---@return R
---@return any ... of the first that succeeds; the others are cancelled and awaited
function async.any(list) end

---@generic R
---@param list parhost.Function<R>[]|parhost.Task<R>[]|parhost.Future<R>[] begun one after another
---@param delay? number seconds until the next begins; nil: only when one has failed
---@return integer? index nil for an empty list
---@return R
---@return any ...
function async.staggered(list, delay) end

---@class parhost.AsyncMapOptions
---@field max_concurrency? integer (default 8)
---@field ordered? boolean results in input order (default true)
---@field rate? number items begun per second
---@field retries? integer after errors (default 0)
---@field retry_if? fun(err: any): boolean which errors are worth it (default: all)
---@field timeout? number seconds for each try
---@field on_timeout? "error"|"skip" (default "error")

---@class parhost.AsyncMap<T>
local AsyncMap = {}

---@return integer? index nil at the end
---@return T
---@return any ...
function AsyncMap:next() end

---@return T[] # first values, with n
function AsyncMap:collect() end

---Cancels what runs, and waits for it.
function AsyncMap:close() end

---`for index, values... in async.map(fn, list) do`
---@generic I, R
---@param fn fun(item: I): R?, any?, any?, any?
---@param list I[]|fun(): I an iterator may wait
---@param options? parhost.AsyncMapOptions
---@return parhost.AsyncMap<R>|fun(): integer, R, ...
function async.map(fn, list, options) end

---Runs fn in a thread of a default pool, and waits. Cancelled: the job is stopped, and waited for.
---@generic R
---@param fn parhost.TaskFunction<R>
---@return R
---@return any ...
function async.to_thread(fn, ...) end

---@generic R
---@param fn parhost.TaskFunction<R>
---@return R
---@return any ...
function async.to_process(fn, ...) end

---Writes the tree of tasks, with where each is parked.
---@param file? file* default: stderr
function async.dump(file) end

---The same function as futures.wait.
---@generic F: parhost.Future
---@param list F[]
---@param options? { timeout?: number, return_when?: "all_completed"|"first_completed"|"first_error" }
---@return F[] done
---@return F[] not_done
function async.wait(list, options) end

---The same function as futures.as_completed.
---@generic F: parhost.Future
---@param list F[]
---@param timeout? number
---@return parhost.AsCompleted<F>|fun(): F
function async.as_completed(list, timeout) end

return async
