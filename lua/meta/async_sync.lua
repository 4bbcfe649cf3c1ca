---@meta _
-- SPDX-License-Identifier: MIT
-- luacheck: ignore 212 631

---What module `async` has for tasks that work together. See docs/async-sync.md. Every wait is a cancellation point;
---calls that need not wait are not. Time limits are seconds; nil: none, 0: ask once.
---@class async
local async = {}

---What `lock:guard()` gives. `<close>` variables release it.
---@class parhost.Guard
local Guard = {}

---Releases now; again is fine.
function Guard:close() end

---Belongs to the task that acquired it; handed over first in, first out.
---@class parhost.Lock
local Lock = {}

---@return parhost.Lock
function async.lock() end

---Raises `timeout`; `invalid_state` when this task holds it already. A cancellation point when it has to wait.
---@param timeout? number seconds
---@return true
function Lock:acquire(timeout) end

---@return boolean acquired
function Lock:try_acquire() end

---Hands it to the first in line. Raises `invalid_state` when this task does not hold it.
function Lock:release() end

---@return boolean
function Lock:locked() end

---Acquires; `local g <close> = lock:guard()` releases at the end of the block. Raises what `acquire` raises.
---@param timeout? number seconds
---@return parhost.Guard
function Lock:guard(timeout) end

---@class parhost.Condition: parhost.Lock
local Condition = {}

---@param lock? parhost.Lock to share; default: one of its own
---@return parhost.Condition
function async.condition(lock) end

---Lets go of the lock, waits for a notification, takes the lock again, whatever ended the wait.
---Raises `invalid_state` without the lock. A cancellation point.
---@param timeout? number seconds
---@return boolean notified false when the time was up
function Condition:wait(timeout) end

---Waits until `predicate()` is true. A cancellation point.
---@generic T
---@param predicate fun(): T
---@param timeout? number seconds in all
---@return T last what the predicate gave last
function Condition:wait_for(predicate, timeout) end

---Wakes the first n who wait. Raises `invalid_state` without the lock.
---@param n? integer default 1
function Condition:notify(n) end

---Wakes all who wait now. Raises `invalid_state` without the lock.
function Condition:notify_all() end

---@class parhost.Event
local Event = {}

---@return parhost.Event
function async.event() end

---Lets all go who wait, and everyone until `clear`.
function Event:set() end

function Event:clear() end

---@return boolean
function Event:is_set() end

---A cancellation point when it is not set.
---@param timeout? number seconds
---@return boolean set false when the time was up
function Event:wait(timeout) end

---@class parhost.Semaphore
local Semaphore = {}

---@param n? integer permits, default 1
---@return parhost.Semaphore
function async.semaphore(n) end

---A semaphore that refuses more than n free permits.
---@param n? integer permits, default 1
---@return parhost.Semaphore
function async.bounded_semaphore(n) end

---Raises `timeout`. A cancellation point when it has to wait.
---@param timeout? number seconds
---@return true
function Semaphore:acquire(timeout) end

---@return boolean acquired
function Semaphore:try_acquire() end

---Gives a permit to the first in line, or back. Raises `invalid_state` when it is bounded and none is taken.
function Semaphore:release() end

---@return boolean would_wait
function Semaphore:locked() end

---@return integer free 0 as long as anybody waits
function Semaphore:value() end

---Acquires; `local g <close> = semaphore:guard()` releases at the end of the block. Raises `timeout`.
---@param timeout? number seconds
---@return parhost.Guard
function Semaphore:guard(timeout) end

---@class parhost.Barrier
local Barrier = {}

---@param n integer parties, at least 1
---@return parhost.Barrier
function async.barrier(n) end

---Waits until all parties have come. Raises `broken_barrier` (`err.state`: "reset" or "aborted") and `timeout`.
---A cancellation point; who is cancelled or out of time is gone, the others wait on.
---@param timeout? number seconds
---@return integer place 1 to n, in the order of coming
function Barrier:wait(timeout) end

---Those who wait get `broken_barrier`; the barrier is as new.
function Barrier:reset() end

---Those who wait, and who come until `reset`, get `broken_barrier`.
function Barrier:abort() end

---@return integer
function Barrier:parties() end

---@return integer
function Barrier:n_waiting() end

---@return boolean broken aborted and not reset
function Barrier:broken() end

---The iterator of `for v in queue:items() do`.
---@class parhost.Items
---@overload fun(): any
local Items = {}

---Waits for the next item. Raises `invalid_state` for a nil item. A cancellation point when it has to wait.
---@return any item nil at the end
function Items:next() end

---Ends the iteration; what is in the queue stays there.
function Items:close() end

---@class parhost.Queue
local Queue = {}

---First in, first out.
---@param max? integer nil or 0: no limit
---@return parhost.Queue
function async.queue(max) end

---Last in, first out.
---@param max? integer nil or 0: no limit
---@return parhost.Queue
function async.lifo_queue(max) end

---Smallest first; equals in the order in which they were put.
---@param max? integer nil or 0: no limit
---@param less? fun(a: any, b: any): boolean default: a < b
---@return parhost.Queue
function async.priority_queue(max, less) end

---Raises `timeout`, `queue_shutdown`, and what `less` raises: then nothing was put.
---A cancellation point when the queue is full.
---@param v any
---@param timeout? number seconds
function Queue:put(v, timeout) end

---Raises `timeout`, `queue_shutdown`, and what `less` raises. A cancellation point when the queue is empty.
---@param timeout? number seconds
---@return any v
function Queue:get(timeout) end

---@param v any
---@return true? put
---@return "full"|"closed"|nil why
function Queue:try_put(v) end

---@return true? got
---@return any v the item, or "empty", "closed"
function Queue:try_get() end

---For each item that was put, once it is dealt with. Raises `invalid_state` when there is none.
function Queue:task_done() end

---Waits until `task_done` was called for all. A cancellation point when it has to wait.
---@param timeout? number seconds
---@return boolean done false when the time was up
function Queue:join(timeout) end

---No more puts; what is in the queue can still be got, unless `immediate` drops it.
---@param options? { immediate?: boolean }
function Queue:shutdown(options) end

---@return integer
function Queue:size() end

---@return boolean
function Queue:empty() end

---@return boolean
function Queue:full() end

---`for v in queue:items() do`: until shutdown.
---@return parhost.Items
function Queue:items() end

---@class parhost.Sender
local Sender = {}

---@class parhost.Receiver
local Receiver = {}

---@param capacity? number items that wait in it; default 0: each send waits for its receive; math.huge: no limit
---@return parhost.Sender
---@return parhost.Receiver
function async.channel(capacity) end

---Raises `timeout`, and `closed` (`err.side`: "receiver" or "own handle"): then nothing was sent.
---A cancellation point when it has to wait.
---@param v any
---@param timeout? number seconds
function Sender:send(v, timeout) end

---Raises `closed` on a closed handle.
---@param v any
---@return true? sent
---@return "full"|"closed"|nil why
function Sender:try_send(v) end

---Raises `closed` on a closed handle.
---@return parhost.Sender
function Sender:clone() end

---The last one ends the channel once everything is received. Those who wait on this handle get `closed`.
function Sender:close() end

---Raises `timeout`, and `closed` (`err.side`: "sender" or "own handle"). A cancellation point when it has to wait.
---@param timeout? number seconds
---@return any v
function Receiver:receive(timeout) end

---Raises `closed` on a closed handle.
---@return true? got
---@return any v the item, or "empty", "closed"
function Receiver:try_receive() end

---`for v in receiver:items() do`: until every sender is closed.
---@return parhost.Items
function Receiver:items() end

---Raises `closed` on a closed handle.
---@return parhost.Receiver
function Receiver:clone() end

---With the last one, what was not received is dropped. Those who wait on this handle get `closed`.
function Receiver:close() end
