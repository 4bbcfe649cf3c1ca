-- SPDX-License-Identifier: MIT
-- Other programs: async.process and async.run_process. The same code serves tasks, workers and plain code, as every
-- wait is block.wait's.
local block = require "parhost.block"
local check = require "parhost.check"
local command = require "async.command"
local communicate = require "async.communicate"
local errors = require "futures.error"
local exit = require "parhost.exit"
local future = require "futures.future"
local host = require "parhost.core.host"
local spawn = require "parhost.core.spawn"
local stream = require "async.stream"

-- After SIGKILL; longer only when a process hangs in the kernel.
local KILLED_SECONDS <const> = 5
local SIGTERM <const>, SIGKILL <const> = spawn.signal_number("SIGTERM"), spawn.signal_number("SIGKILL")

local Process = { __name = "parhost.Process" }
Process.__index = Process

-- Those that may still run, while the program holds them.
local running = setmetatable({}, { __mode = "k" })

-- Stands for a process towards the core, and does not hold its Process, which may be collected.
local Exit = {}
Exit.__index = Exit

function Exit:_fire()
  local ended, code, signal = self.handle:status()
  if ended then self.settled:_deliver(nil, true, code, signal) end
end

spawn.set_deliver(function(subject) subject:_fire() end)

-- The end of the state ---------------------------------------------------------------------------------------

local remaining = {}

function remaining._count() return 0 end

function remaining._at_exit()
  local latest = 0
  for p in pairs(running) do
    if p.owner ~= host.pid() or not p.handle or p:_look() then
      running[p] = nil
    else
      warn(("parhost: %s still runs at the end of the program and is terminated"):format(p:_describe()))
      p.handle:kill_rest()
      p:terminate()
      latest = math.max(latest, p.grace)
    end
  end
  local deadline = block.deadline(latest)
  for p in pairs(running) do p:_await_end(deadline) end
end

-- Starting ---------------------------------------------------------------------------------------------------

-- `held`: until it is closed, its group can be signalled.
local function new(o, held)
  return setmetatable({
    name = o.name, grace = o.grace, owner = host.pid(), settled = future.new(), unfinished = held,
  }, Process)
end

-- A stop request may interrupt any of this: whoever must not lose the process closes `self` then.
function Process:_start(o)
  if exit.closing() then
    error(errors.new("shutdown", ("cannot start '%s' at the end of the program"):format(o.name)), 0)
  end
  if not next(running) then exit.add(remaining) end
  o.held = self.unfinished
  running[self] = true
  local subject = setmetatable({ settled = self.settled }, Exit)
  local stdin, stdout, stderr = spawn.start(o, self, subject)
  self.stdin = stdin and stream.new(stdin, self, ("stdin of '%s'"):format(o.name), true)
  self.stdout = stdout and stream.new(stdout, self, ("stdout of '%s'"):format(o.name), false)
  self.stderr = stderr and stream.new(stderr, self, ("stderr of '%s'"):format(o.name), false)
  return self
end

local function check_self(self, method)
  if getmetatable(self) ~= Process then check.bad_self(method, "parhost.Process", self) end
  if self.owner ~= host.pid() then
    error(errors.new("nested", ("%s belongs to the parent of this worker"):format(self:_describe())), 0)
  end
end

-- Waiting ----------------------------------------------------------------------------------------------------

function Process:_describe()
  return ("'%s' (pid %d)"):format(self.name, self.handle:pid())
end

-- Takes the news in, also when the loop has not seen it.
function Process:_look()
  if self.settled:_ready() then return true end
  local ended, code, signal = self.handle:status()
  if ended then self.settled:_deliver(nil, true, code, signal) end
  return ended
end

function Process:_timed_out(seconds)
  local message = ("%s has not ended within %s s"):format(self:_describe(), errors.seconds_text(seconds))
  return errors.new("timeout", message, { seconds = seconds, command = self.name })
end

function Process:wait(timeout)
  check_self(self, "wait")
  local deadline = block.deadline(timeout, 1, "wait")
  self:_look()
  local ready, err = block.wait(self.settled, deadline)
  if not ready then error(err or self:_timed_out(timeout), 0) end
  return self.settled:result()
end

function Process:communicate(input, timeout)
  check_self(self, "communicate")
  if input ~= nil and type(input) ~= "string" then check.expected(1, "communicate", "string", input) end
  if input and not self.stdin then check.misuse(("stdin of '%s' is not a pipe"):format(self.name)) end
  if input and input ~= "" then
    self.stdin:_check_open()
    if self.unsent then
      local message = "communicate: some input of the call before is left; without input it goes on"
      error(errors.new("invalid_state", message, { state = "communicating" }), 0)
    end
  end
  local deadline = block.deadline(timeout, 2, "communicate")
  if not communicate.run(self, input or "", deadline) then error(self:_timed_out(timeout), 0) end
  return communicate.output(self)
end

-- Asking, signalling -----------------------------------------------------------------------------------------

function Process:pid()
  check_self(self, "pid")
  return self.handle:pid()
end

function Process:running()
  check_self(self, "running")
  return not self:_look()
end

local function send(self, number, name)
  local sent, code, text = self.handle:signal(number)
  if sent then return true end
  if code == "ESRCH" then return false end
  stream.raise_os(("cannot send %s to %s"):format(name, self:_describe()), code, text)
end

local function signal_number(signal)
  if type(signal) ~= "string" and not math.type(signal) then check.expected(1, "signal", "string", signal) end
  local number = math.type(signal) and check.integer(signal, 1, "signal", 1) or spawn.signal_number(signal)
  if not number then
    local hint = spawn.signal_number("SIG" .. signal) and ("; did you mean 'SIG%s'?"):format(signal) or ""
    check.bad_argument(1, "signal", ("unknown signal '%s'%s"):format(signal, hint))
  end
  return number
end

function Process:signal(signal)
  check_self(self, "signal")
  return send(self, signal_number(signal), signal)
end

function Process:terminate()
  check_self(self, "terminate")
  return send(self, SIGTERM, "SIGTERM")
end

function Process:kill()
  check_self(self, "kill")
  return send(self, SIGKILL, "SIGKILL")
end

-- Streams ----------------------------------------------------------------------------------------------------

local function stream_of(self, which, method)
  check_self(self, method)
  local s = self[which]
  if s then return s end
  check.misuse(("%s of '%s' is not a pipe: start it with %s = \"pipe\""):format(which, self.name, which))
end

function Process:read(...)
  return stream_of(self, "stdout", "read"):read(...)
end

function Process:lines(format)
  return stream_of(self, "stdout", "lines"):lines(format)
end

function Process:write(...)
  stream_of(self, "stdin", "write"):write(...)
  return self
end

-- The end ----------------------------------------------------------------------------------------------------

-- The end of a process, for waits that go on although their task has been cancelled.
local Ending = { _lively = true, _masked = true }
Ending.__index = Ending

function Ending:_ready() return self.settled:_ready() end
function Ending:_watch(watcher) self.settled:_watch(watcher) end
function Ending:_unwatch(watcher) self.settled:_unwatch(watcher) end
function Ending:_describe() return self.process:_describe() end

-- Until it has ended, of a signal that it was sent; with SIGKILL after the deadline.
function Process:_await_end(deadline)
  local ending = setmetatable({ settled = self.settled, process = self }, Ending)
  if self:_look() or block.wait(ending, deadline) then return end
  self:kill()
  block.wait(ending, block.deadline(KILLED_SECONDS))
end

-- Terminates what runs and waits for its end, whatever else happens: where no wait is possible (any more), as in a worker
-- that was told to stop, without the loop.
local function finish(self)
  if self.unfinished then self.handle:kill_rest() end
  if self:_look() then return end
  self.handle:kill_rest()
  self:terminate()
  local since = host.monotonic()
  local ok, err = host.catch(self._await_end, self, block.deadline(self.grace))
  if ok then return end
  self.handle:finish(math.max(0, self.grace - (host.monotonic() - since)))
  self:_look()
  if host.is_signal(err) then host.raise_signal(err) end
  error(err, 0)
end

function Process:close()
  check_self(self, "close")
  if not self.handle then return end
  for _, which in ipairs { "stdin", "stdout", "stderr" } do
    if self[which] then self[which]:close() end
  end
  finish(self)
  self.handle:release()
end

Process.__close = Process.close

function Process:__tostring()
  local state = "running"
  if self:_look() then
    local code, signal = self.settled:result()
    state = signal and "ended by " .. signal or ("exited with code %d"):format(code)
  end
  return ("parhost.Process: %s %s"):format(self:_describe(), state)
end

-- The module -------------------------------------------------------------------------------------------------

local PROCESS_DEFAULTS <const> = { stdin = "inherit", stdout = "inherit", stderr = "inherit" }
local RUN_DEFAULTS <const> = { stdin = "null", stdout = "pipe", stderr = "pipe", input = true }

local process = {}

function process.process(given)
  local o = command.read(given, "process", PROCESS_DEFAULTS)
  return new(o, false):_start(o)
end

local function result_of(self)
  local code, signal = self.settled:result()
  local stdout, stderr = communicate.output(self)
  return { code = code, signal = signal, stdout = stdout, stderr = stderr }
end

-- Terminates the child, and takes what it still writes. What has left its group may hold the pipes open for ever.
local function give_up(self, seconds)
  self.handle:kill_rest()
  self:terminate()
  if not communicate.run(self, nil, block.deadline(self.grace)) then
    self:kill()
    block.wait(self.settled, block.deadline(KILLED_SECONDS))
    communicate.run(self, nil, block.deadline(0))
  end
  local err = self:_timed_out(seconds)
  err.stdout, err.stderr = communicate.output(self)
  error(err, 0)
end

local function last_line(text)
  return text and text:match("([^\n]*)\n*$") or ""
end

local function raise_failure(self, result)
  local how = result.signal and "was ended by " .. result.signal or ("exited with code %d"):format(result.code)
  local tail = last_line(result.stderr)
  local message = ("'%s' %s%s"):format(self.name, how, tail ~= "" and ": " .. tail or "")
  result.command = self.name
  error(errors.new("process", message, result), 0)
end

function process.run_process(given)
  local o = command.read(given, "run_process", RUN_DEFAULTS)
  local deadline = block.deadline(o.timeout, 1, "run_process")
  local self <close> = new(o, true)
  self:_start(o)
  if not communicate.run(self, o.input or "", deadline) then give_up(self, o.timeout) end
  self.unfinished = false
  local result = result_of(self)
  if o.check and result.code ~= 0 then raise_failure(self, result) end
  return result
end

return process
