-- SPDX-License-Identifier: MIT
-- What came back; this module is its class. What most programs do not ask for is made from what the core gave when
-- somebody does.
--
--   self[HEAD]      the lines of the head           self[FACTS]   elapsed, http_version and timings, as the core has them
--   self[READER]    stream = true: what gives the chunks, until the end; else nil
local check = require "parhost.check"
local codec = require "parhost.core.codec"
local core = require "parhost.core.http"
local errors = require "futures.error"
local Headers = require "http.headers"
local json = require "http.json"

local HEAD <const>, FACTS <const>, READER <const> = 1, 2, 3
local TIME_NAMES <const> = { "resolved", "connected", "secured", "sent", "first_byte", "total" }

local Response = { __name = "http.Response" }
local methods = {}

local lazy = {}

function lazy.headers(self)
  return Headers.parse(self[HEAD])
end

function lazy.reason(self)
  return self[HEAD]:match("^HTTP/%S+ %d+ ([^\r\n]*)") or ""
end

function lazy.history()
  return {}
end

function lazy.elapsed(self)
  return (core.facts(self[FACTS]))
end

function lazy.http_version(self)
  if not self[FACTS] then return nil end -- it has travelled, and there was none
  return (select(2, core.facts(self[FACTS])))
end

function lazy.timings(self)
  local timings, times = {}, { select(3, core.facts(self[FACTS])) }
  for i, name in ipairs(TIME_NAMES) do timings[name] = times[i] end
  return timings
end

function Response:__index(key)
  local method = methods[key]
  if method then return method end
  local make = lazy[key]
  if not make then return nil end
  local value = make(self)
  rawset(self, key, value)
  return value
end

-- `fields`: { head, facts, reader, status =, url =, body = }
function Response.new(fields)
  return setmetatable(fields, Response)
end

local function check_self(self, name)
  if getmetatable(self) ~= Response then check.bad_self(name, "http.Response", self) end
end

local function reader_of(self, name)
  check_self(self, name)
  local reader = self[READER]
  if reader == nil then check.misuse(("'%s': the request was made without stream = true"):format(name)) end
  return reader
end

-- With stream = true: the rest of the body, piece by piece. Leaving the loop early ends the request.
function methods:chunks()
  local reader = reader_of(self, "chunks")
  return function() return reader:next() end, nil, nil, reader
end

-- With stream = true: the rest of the body as one string.
function methods:read()
  local reader = reader_of(self, "read")
  local parts = {}
  for chunk in function() return reader:next() end do parts[#parts + 1] = chunk end
  return table.concat(parts)
end

-- Ends a response that is still coming in.
function methods:close()
  check_self(self, "close")
  if self[READER] then self[READER]:close() end
end

Response.__close = methods.close

-- The body as a Lua value. Raises kind "http", code "json".
function methods:json()
  check_self(self, "json")
  return json.decode(self.body or self:read(), self.url)
end

-- Raises kind "http", code "status" for a status of 400 and more; else gives the response.
function methods:raise_for_status()
  check_self(self, "raise_for_status")
  if self.status < 400 then return self end
  local text = ("%s: status %d %s"):format(self.url, self.status, self.reason):gsub("%s+$", "")
  local fields = { code = "status", url = self.url, status = self.status, response = self[READER] == nil and self or nil }
  error(errors.new("http", text, fields), 0)
end

function Response:__tostring()
  local size = self.body and ("%d bytes"):format(#self.body) or "stream"
  return ("http.Response: %d %s (%s, %s)"):format(self.status, self.reason, self.url, size)
end

-- Travelling ------------------------------------------------------------------------------------------------

local PLAIN <const> = { "status", "url", "body", "history", HEAD }
local FROM_FACTS <const> = { "elapsed", "http_version", "timings" }

function Response.__dump(self)
  if self[READER] then
    error(errors.new("not_serializable", "a response with stream = true cannot travel", { type = "http.Response" }), 0)
  end
  local data = {}
  for _, key in ipairs(PLAIN) do data[key] = rawget(self, key) end
  for _, key in ipairs(FROM_FACTS) do data[key] = self[key] end
  return data
end

function Response.__load(data)
  return setmetatable(data, Response)
end

codec.register("http.Response", Response)

return Response
