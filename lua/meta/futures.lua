---@meta futures
-- SPDX-License-Identifier: MIT
-- luacheck: ignore 212 631

---The protocol that tasks of every kind share. See docs/futures.md.
local futures = {}

---A function that may be a task. R is the type of its first result; there may be more, or none.
---@alias parhost.Function<R> fun(...): R?, any?, any?, any?, any?

---A task's way to its result: pending -> running -> done | failed | cancelled.
---It belongs to the Lua state that made it and settles exactly once. `T` is the type of the task's first value.
---@class parhost.Future<T>
local Future = {}

---The values of the task. Raises its error value unchanged, or an error of kind `cancelled`, `timeout` or `deadlock`.
---A timeout does not cancel the work. A cancellation point.
---@param timeout? number seconds; nil: no limit, 0: poll once
---@return T
---@return any ...
function Future:result(timeout) end

---Like pcall: `true, values...` or `false, error, traceback`. Raises only for misuse. A cancellation point.
---@param timeout? number seconds
---@return boolean ok
---@return T|any value or error
---@return any ...
function Future:outcome(timeout) end

---The error value without raising it; `failed` tells `error(nil)` from success. Raises `cancelled` and `timeout`.
---@param timeout? number seconds
---@return any err
---@return boolean failed
function Future:error(timeout) end

---Waits until it is settled. A cancellation point.
---@param timeout? number seconds
---@return boolean settled false when the time was up
function Future:wait(timeout) end

---@class parhost.CancelOptions
---@field force? boolean also stop it when it runs (default false)
---@field reason? string in the `cancelled` error
---@field grace? number seconds between asking and killing; default: the pool's

---Plain: true when it will never run, or was cancelled before; false when it runs or has finished.
---@param options? parhost.CancelOptions
---@return boolean
function Future:cancel(options) end

---@return boolean settled done, failed or cancelled
function Future:done() end

---@return boolean
function Future:running() end

---@return boolean
function Future:cancelled() end

---@return "pending"|"running"|"done"|"failed"|"cancelled"
function Future:state() end

---The name given by `with{name=}`, or pool and number; nil for a future made by hand.
---@return string?
function Future:name() end

---The traceback from where the task raised its error.
---@return string?
function Future:traceback() end

---Calls `fn(future)` once it is settled, in the state that owns it; at once when it is already.
---An error in it ends in a warning.
---@param fn fun(f: parhost.Future)
function Future:add_done_callback(fn) end

---@param fn fun(f: parhost.Future)
---@return integer n how many were removed
function Future:remove_done_callback(fn) end

---For executors: pending -> running. False when it was cancelled meanwhile. Raises `invalid_state` otherwise.
---@return boolean
function Future:set_running_or_notify_cancel() end

---For executors and tests. Raises `invalid_state` when it is settled.
---@param ... any
function Future:set_result(...) end

---For executors and tests. Raises `invalid_state` when it is settled.
---@param err any
---@param traceback? string
function Future:set_error(err, traceback) end

---An error that parhost made. `tostring` gives `parhost.<kind>: <message>`.
---@class parhost.Error
---@field kind string
---@field message string one line
---@field traceback? string from where it was raised, in another state
---@field cause? any the error that was being handled
---@field errors? any[] of kind `group`
futures.Error = {}

---The errors of a group and of the groups in it, in order.
---@return any[]
function futures.Error:flatten() end

---@param predicate string|fun(err: any): boolean a kind, or a function
---@return any matching nil when none
---@return any rest nil when none
function futures.Error:split(predicate) end

---@param predicate string|fun(err: any): boolean
---@return boolean
function futures.Error:contains(predicate) end

---A future that is settled by hand.
---@return parhost.Future
function futures.new() end

---Waits for several. Never raises on a timeout. A cancellation point.
---@generic F: parhost.Future
---@param list F[]
---@param options? { timeout?: number, return_when?: "all_completed"|"first_completed"|"first_error" }
---@return F[] done in input order, each once
---@return F[] not_done
function futures.wait(list, options) end

---@class parhost.AsCompleted<F>
local AsCompleted = {}

---@param f F one more to yield
function AsCompleted:add(f) end

---@return F? f nil at the end
function AsCompleted:next() end

---Ends the iteration; the futures go on.
function AsCompleted:close() end

---`for f in futures.as_completed(list) do`: each once, settled ones first. Raises `timeout`.
---@generic F: parhost.Future
---@param list F[]
---@param timeout? number seconds for all of it
---@return parhost.AsCompleted<F>|fun(): F
function futures.as_completed(list, timeout) end

---What happens when a failed future is collected that nobody has looked at. nil: a warning.
---@param fn? fun(f: parhost.Future, err: any, traceback: string?)
function futures.on_unhandled(fn) end

---Makes (does not raise) an error object.
---@param kind string
---@param message string
---@param fields? table
---@return parhost.Error
function futures.error(kind, message, fields) end

---@param err any
---@param kind? string
---@return boolean
function futures.is(err, kind) end

---The traceback of an error that came out of a future: for tables at any time, for other values if it was lately.
---@param err any
---@return string?
function futures.traceback_of(err) end

---The lines that a person sees below the message of an uncaught error: task, worker, remote traceback, submission.
---@param err any
---@return string?
function futures.describe(err) end

return futures
