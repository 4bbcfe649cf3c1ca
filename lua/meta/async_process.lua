---@meta _
-- SPDX-License-Identifier: MIT
-- luacheck: ignore 212 631

---What module `async` has for other programs. See docs/process.md.
---@class async
local async = {}

---"pipe", "inherit", "null"; a path; a descriptor; an open file; a stream of another process.
---@alias parhost.Stdio "pipe"|"inherit"|"null"|string|integer|file*|parhost.Stream

---[1] is the command, [2...] its arguments.
---@class parhost.ProcessOptions
---@field [integer] string|number
---@field stdin? parhost.Stdio default "inherit"; run_process: "null", or "pipe" with `input`
---@field stdout? parhost.Stdio default "inherit"; run_process: "pipe"
---@field stderr? parhost.Stdio|"stdout" the same
---@field env? table<string, string|number|false> changes to the environment; false removes
---@field clear_env? boolean begin with an empty environment (default false)
---@field cwd? string
---@field shell? boolean [1] is a command line for /bin/sh -c (default false)
---@field new_session? boolean in a session and process group of its own (default true)
---@field grace? number seconds from SIGTERM to SIGKILL (default 3)

---@class parhost.RunProcessOptions: parhost.ProcessOptions
---@field input? string for stdin
---@field timeout? number seconds
---@field check? boolean raise kind `process` unless the exit code is 0 (default false)

---@class parhost.ProcessResult
---@field code? integer nil when it was ended by a signal
---@field signal? string "SIGKILL"
---@field stdout? string nil when it was no pipe
---@field stderr? string

---@class parhost.Stream
local Stream = {}

---Reads as files do: "l", "L", "a", a number of bytes; nothing: any bytes there are. nil at the end. Raises `os`, `closed`, and
---`invalid_state` while another task reads. A cancellation point.
---@param ... "l"|"L"|"a"|integer
---@return string? ...
function Stream:read(...) end

---@param format? "l"|"L"|"a"|integer default "l"
---@return fun(): string?
function Stream:lines(format) end

---Returns when all is in the pipe. Raises `os` (code "EPIPE": nobody reads), `closed`, `invalid_state`. A cancellation point.
---@param ... string|number
---@return parhost.Stream self
function Stream:write(...) end

function Stream:close() end

---@class parhost.Process
---@field stdin? parhost.Stream
---@field stdout? parhost.Stream
---@field stderr? parhost.Stream
local Process = {}

---Waits for its end. Raises `timeout`; the process goes on then, as when the task is cancelled. A cancellation point.
---@param timeout? number seconds
---@return integer? code nil when a signal ended it; -1: unknown
---@return string? signal "SIGKILL"
function Process:wait(timeout) end

---Writes the input, closes stdin, reads both outputs to their ends, and waits. Raises `timeout`, and loses nothing then. A
---cancellation point.
---@param input? string
---@param timeout? number seconds
---@return string? stdout
---@return string? stderr
function Process:communicate(input, timeout) end

---p.stdout:read(...)
---@param ... "l"|"L"|"a"|integer
---@return string? ...
function Process:read(...) end

---p.stdout:lines(format)
---@param format? "l"|"L"|"a"|integer
---@return fun(): string?
function Process:lines(format) end

---p.stdin:write(...)
---@param ... string|number
---@return parhost.Process self
function Process:write(...) end

---SIGTERM, to the process and its group.
---@return boolean sent false when it has ended
function Process:terminate() end

---SIGKILL, to the process and its group.
---@return boolean sent
function Process:kill() end

---@param signal string|integer "SIGHUP"
---@return boolean sent
function Process:signal(signal) end

---@return boolean
function Process:running() end

---@return integer
function Process:pid() end

---Closes the streams; terminates what runs, kills it after `grace`, and waits for its end.
function Process:close() end

---Starts a program. Raises `os` when that fails.
---@param options parhost.ProcessOptions
---@return parhost.Process
function async.process(options) end

---Starts a program, feeds it, reads it, and waits for its end. Raises `os`, `timeout` (with `stdout` and `stderr` so far), and with
---`check` kind `process`. A cancellation point: the program is terminated then.
---@param options parhost.RunProcessOptions
---@return parhost.ProcessResult
function async.run_process(options) end
