---@meta parhost
-- SPDX-License-Identifier: MIT
-- luacheck: ignore 212 631

---The host itself. See docs/parhost.md.
---@class parhost
---@field version string
local parhost = {}

---Processors that this program may use: affinity and cgroup quota count.
---@return integer
function parhost.cpu_count() end

---Who this worker is; nil outside of workers.
---@return { index: integer, pool: string, pid: integer, name: string }?
function parhost.worker() end

---Seconds on a clock that never goes back.
---@return number
function parhost.monotonic() end

---A cancellation point by hand: raises the cancellation signal when this code is asked to stop.
function parhost.check_cancelled() end

---@class parhost.ProgressOptions
---@field total? integer how many items there are, where the iterator does not know it
---@field label? string stands in front

---Gives what it wraps, unchanged, and shows on standard error how far that is: a line at the bottom of the terminal, or plain
---lines elsewhere. An array of futures is gone through as by as_completed. See docs/progress.md.
---@generic I
---@param iterator I of map, starmap, map_unordered, async.map, as_completed; an array of futures; any function
---@param options? parhost.ProgressOptions
---@return I
function parhost.progress(iterator, options) end

---Calls `fn` at the end of the program, last hook first, before the pools end. An error in it ends in a warning.
---@param fn fun()
function parhost.on_exit(fn) end

---Leaves the program at once; nothing else is run.
---@param code? integer default 1
function parhost.abort(code) end

---Lets tables with the metatable `class` travel.
---@param name string the same in every program that takes part
---@param class table may have `__dump(object)` and `__load(data)`
function parhost.register(name, class) end

---@param value any
---@return string bytes
function parhost.dump_value(value) end

---Raises `not_serializable` when the bytes are not of dump_value, or of another build.
---@param bytes string
---@return any value
function parhost.load_value(bytes) end

return parhost
