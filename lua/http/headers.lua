-- SPDX-License-Identifier: MIT
-- The headers of a response; this module is their class. headers["Content-Type"] in any case, headers:all(name), and
-- pairs in the order sent.
--
--   self[LIST]    { name, value, name, value, ... }
--   self[VALUES]  name in lower case -> { value... }
-- Numbers, so that every string is free for the name of a header; but for the one method.
local check = require "parhost.check"
local codec = require "parhost.core.codec"

local LIST <const>, VALUES <const> = 1, 2
local NONE <const> = {}

local Headers = { __name = "http.Headers" }
local methods = {}

local function add(self, name, value)
  local list, values = self[LIST], self[VALUES]
  local key = name:lower()
  list[#list + 1], list[#list + 2] = name, value
  local known = values[key]
  if known then known[#known + 1] = value else values[key] = { value } end
end

-- From the lines of a response's head. A line that begins with a blank continues the one before. A CR alone ends no
-- line: it counts as a blank (RFC 9110, 5.5), or else who can write into a value could make headers.
function Headers.parse(head)
  local self = setmetatable({ {}, {} }, Headers)
  local text = head:match("\n(.*)$") or ""
  for line in text:gsub("\r?\n[ \t]+", " "):gmatch("[^\n]+") do
    local name, value = line:match("^([^:%s]+)%s*:%s*(.-)%s*$")
    if name then add(self, name, value:find("\r", 1, true) and value:gsub("\r", " ") or value) end
  end
  return self
end

-- All values of a header, in the order sent; an empty array when there is none.
function methods:all(name)
  if type(name) ~= "string" then check.expected(1, "all", "string", name) end
  local values = self[VALUES][name:lower()] or NONE
  return table.move(values, 1, #values, 1, {})
end

function Headers:__index(name)
  if type(name) ~= "string" then return nil end
  if methods[name] then return methods[name] end
  local values = rawget(self, VALUES)[name:lower()]
  return values and table.concat(values, ", ")
end

function Headers.__newindex(_, name)
  check.misuse(("the headers of a response cannot be changed (field '%s')"):format(tostring(name)))
end

function Headers:__pairs()
  local list, at = self[LIST], -1
  return function()
    at = at + 2
    return list[at], list[at + 1]
  end
end

function Headers:__tostring()
  local lines = {}
  for name, value in pairs(self) do lines[#lines + 1] = name .. ": " .. value end
  return table.concat(lines, "\n")
end

codec.register("http.Headers", Headers)

return Headers
