-- SPDX-License-Identifier: MIT
-- Feeding a child and reading all that it writes, at the same time: one subject waits for three pipes and the end.
-- What has been read stays in the streams until it is taken, and what has not been written in `process.unsent`, so nothing
-- is lost when this is broken off.
local block = require "parhost.block"
local readiness = require "async.readiness"

local communicate = {}

-- Reads in a row before the others get a turn.
local READS_IN_A_ROW <const> = 16

local Pump = readiness.class()

local function is_open(stream)
  return stream ~= nil and stream.pipe:is_open()
end

function Pump:_describe() return self.process:_describe() end
Pump._settled = Pump._fire -- a stream is ready, or the process has ended

function Pump:__close()
  local process = self.process
  process.unsent = is_open(process.stdin) and self.from <= #self.input and self.input:sub(self.from) or nil
  process.settled:_unwatch(self)
  for _, stream in ipairs(self.open) do
    stream.event:_unwatch()
    stream.event:__close()
  end
end

-- Whoever reads or writes one of them already would lose to us, or we to them.
local function pump_of(process, input)
  local open = {}
  for _, which in ipairs { "stdin", "stdout", "stderr" } do
    if is_open(process[which]) then open[#open + 1] = process[which] end
  end
  for _, stream in ipairs(open) do stream:_check_free() end
  for _, stream in ipairs(open) do stream:_begin().fired = true end
  return setmetatable({ process = process, open = open, input = input, from = 1, finished = {} }, Pump)
end

local function arm(self, stream)
  stream.event.fired = false
  stream.event:_watch(self)
  stream.pipe:arm(stream.writes)
end

-- True when all has been written, or nobody is there to read it.
local function write_some(self, stream)
  local pipe = stream.pipe
  while self.from <= #self.input do
    local n, code, text = pipe:write(self.input, self.from)
    if not n then
      if code == "EPIPE" then break end
      stream:_fail(code, text)
    end
    self.from = self.from + n
    if self.from <= #self.input then return false end
  end
  stream:close()
  return true
end

-- True at the end.
local function read_some(stream)
  for _ = 1, READS_IN_A_ROW do
    local got, code, text = stream.pipe:fill()
    if code then stream:_fail(code, text) end
    if got == nil then return true end
    if not got then return false end
  end
  return false
end

-- One step on each stream that is ready; gives how many are not at their end.
local function step(self)
  local pending = 0
  for _, stream in ipairs(self.open) do
    if not self.finished[stream] then
      if stream.event.fired then
        local finished
        if stream.writes then finished = write_some(self, stream) else finished = read_some(stream) end
        self.finished[stream] = finished or nil
        if not finished then arm(self, stream) end
      end
      if not self.finished[stream] then pending = pending + 1 end
    end
  end
  return pending
end

-- False when the deadline came before the end of the outputs and of the process. `input` nil: nothing (more) is written.
function communicate.run(process, input, deadline)
  if input == nil and is_open(process.stdin) then process.stdin:close() end
  local pump <close> = pump_of(process, input and process.unsent or input or "")
  process:_look()
  if not process.settled:_ready() then process.settled:_watch(pump) end
  while true do
    pump.fired = false
    if step(pump) == 0 and process.settled:_ready() then return true end
    local ready, err = block.wait(pump, deadline)
    if err then error(err, 0) end
    if not ready then return false end
  end
end

-- What there is of both outputs; nil for what is not a pipe.
function communicate.output(process)
  local stdout, stderr = process.stdout, process.stderr
  return stdout and stdout.pipe:take(), stderr and stderr.pipe:take()
end

return communicate
