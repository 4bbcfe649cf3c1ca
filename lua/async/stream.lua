-- SPDX-License-Identifier: MIT
-- Streams: our ends of the pipes to a child, read and written like files of the io library. Bytes are read when they
-- are asked for and a write returns when all is in the pipe, so neither side runs ahead of the other.
local block = require "parhost.block"
local check = require "parhost.check"
local errors = require "futures.error"
local readiness = require "async.readiness"

-- So many steps that had not to wait, and the others get a turn: a fast writer must not hold up the whole loop.
local STEPS_IN_A_ROW <const> = 16

-- A pipe's readiness: fired by the state's loop, and when the stream is closed. Also the guard of whoever waits:
-- closing it takes the wait back.
local Event = readiness.class()

function Event:_describe() return self.name end

function Event:__close()
  self.busy = false
  self.pipe:disarm()
end

local Stream = { __name = "parhost.Stream" }
Stream.__index = Stream

local stream = {}

-- `owner` is kept alive by the stream; `name` is for messages: "stdout of 'cat'".
function stream.new(pipe, owner, name, writes)
  local event = setmetatable({ pipe = pipe, name = name, fired = true, busy = false }, Event)
  pipe:set_subject(event)
  return setmetatable({ pipe = pipe, owner = owner, name = name, writes = writes, event = event, steps = 0 }, Stream)
end

function stream.is_stream(value)
  return getmetatable(value) == Stream
end

function stream.raise_os(name, code, text)
  error(errors.new("os", ("%s: %s"):format(name, text), { code = code }), 0)
end

function Stream:_check_open()
  if self.pipe:is_open() then return end
  error(errors.new("closed", ("%s is closed"):format(self.name)), 0)
end

local function check_self(self, method, writes)
  if not stream.is_stream(self) then check.bad_self(method, "parhost.Stream", self) end
  if self.writes ~= writes then
    check.misuse(("%s can only be %s"):format(self.name, self.writes and "written" or "read"))
  end
  self:_check_open()
end

-- One user at a time: bytes that two tasks read in turn are of use to neither.
function Stream:_check_free()
  if not self.event.busy then return end
  local verb = self.writes and "writing to" or "reading from"
  error(errors.new("invalid_state", ("another task is %s %s"):format(verb, self.name), { state = "busy" }), 0)
end

function Stream:_begin()
  self:_check_free()
  self.event.busy = true
  return self.event
end

function Stream:_fail(code, text)
  stream.raise_os(self.name, code, text)
end

local function wait_ready(self)
  local event = self.event
  event.fired, self.steps = false, 0
  self.pipe:arm(self.writes)
  local _, err = block.wait(event)
  if err then error(err, 0) end
  self:_check_open()
end

local function take_turns(self)
  self.steps = self.steps + 1
  if self.steps >= STEPS_IN_A_ROW then wait_ready(self) end
end

-- Reading ---------------------------------------------------------------------------------------------------

-- Waits for more bytes; false at the end.
local function fill(self)
  local pipe = self.pipe
  take_turns(self)
  while true do
    local got, code, text = pipe:fill()
    if got then return true end
    if code then self:_fail(code, text) end
    if got == nil then return false end
    wait_ready(self)
  end
end

local function read_any(self)
  if self.pipe:buffered() == 0 and not fill(self) then return nil end
  return self.pipe:take()
end

local function read_line(self, keep)
  local pipe = self.pipe
  local line = pipe:line(keep)
  while not line do
    if not fill(self) then return pipe:buffered() > 0 and pipe:take() or nil end
    line = pipe:line(keep)
  end
  return line
end

local function read_all(self)
  while fill(self) do end
  return self.pipe:take()
end

local function read_count(self, n)
  local pipe = self.pipe
  while pipe:buffered() < math.max(n, 1) do
    if not fill(self) then break end
  end
  if pipe:buffered() == 0 then return nil end
  return pipe:take(n)
end

local FORMATS <const> = { l = "l", L = "L", a = "a", ["*l"] = "l", ["*L"] = "L", ["*a"] = "a" } -- stars: as in Lua 5.1

local function check_format(format, n, name)
  if math.type(format) then return check.integer(format, n, name, 0) end
  if FORMATS[format] then return format end
  check.bad_argument(n, name, "invalid format: a number, \"l\", \"L\" or \"a\" expected")
end

local function read_format(self, format)
  if format == nil then return read_any(self) end
  local kind = FORMATS[format]
  if kind == "a" then return read_all(self) end
  if kind then return read_line(self, kind == "L") end
  return read_count(self, format)
end

local function read_each(self, format, ...)
  local value = read_format(self, format)
  if select("#", ...) == 0 or value == nil then return value end
  return value, read_each(self, ...)
end

-- Of several formats, all are read or none: who is cancelled in between finds the first ones again.
local put_back = { __close = function(guard, err) guard.pipe:keep_no_more(err ~= nil) end }

local function read_all_or_none(self, ...)
  self.pipe:keep()
  local _ <close> = setmetatable({ pipe = self.pipe }, put_back)
  return read_each(self, ...)
end

function Stream:read(...)
  check_self(self, "read", false)
  for i = 1, select("#", ...) do check_format(select(i, ...), i, "read") end
  local _ <close> = self:_begin()
  if select("#", ...) > 1 then return read_all_or_none(self, ...) end
  return read_format(self, (...))
end

function Stream:lines(format)
  check_self(self, "lines", false)
  format = check_format(format == nil and "l" or format, 1, "lines")
  return function() return self:read(format) end
end

-- Writing ---------------------------------------------------------------------------------------------------

local function write_text(self, text)
  local from, length = 1, #text
  take_turns(self)
  while from <= length do
    local n, code, message = self.pipe:write(text, from)
    if not n then self:_fail(code, message) end
    from = from + n
    if from <= length then wait_ready(self) end
  end
end

function Stream:write(...)
  check_self(self, "write", true)
  for i = 1, select("#", ...) do
    local text = select(i, ...)
    if type(text) ~= "string" and not math.type(text) then check.expected(i, "write", "string", text) end
  end
  local _ <close> = self:_begin()
  for i = 1, select("#", ...) do write_text(self, tostring((select(i, ...)))) end
  return self
end

-- The end ---------------------------------------------------------------------------------------------------

function Stream:close()
  if not stream.is_stream(self) then check.bad_self("close", "parhost.Stream", self) end
  if not self.pipe:is_open() then return end
  self.pipe:close()
  self.event:_fire()
end

Stream.__close = Stream.close

function Stream:__tostring()
  return ("parhost.Stream: %s%s"):format(self.name, self.pipe:is_open() and "" or " (closed)")
end

return stream
