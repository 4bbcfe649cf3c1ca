-- SPDX-License-Identifier: MIT
-- URLs: reading them (as libcurl does), adding parameters, and whether two are of one origin.
local core = require "parhost.core.http"

local url = {}

-- Programs ask for the same URLs again and again.
local CACHED_MAX <const> = 500
local cache, cached = {}, 0

-- What libcurl reads otherwise than browsers do, or does not understand.
local function objection(text, parts)
  if text:find("^%a[%w+.-]*:/*[^/?#]*\\") then return "a backslash before the path" end
  if parts.host and parts.host:find("[\x80-\xff]") then
    return "names of hosts beyond ASCII are written in their xn-- form"
  end
end

-- For people and logs: what is between the scheme and the last "@" of the authority is not shown, nor that of a URL in the
-- path of another.
function url.masked(text)
  return (text:gsub("^(%a[%w+.-]*:/+)[^/?#]*@", "%1***@"):gsub("://[^/?#]*@", "://***@"))
end

local function read(text, base)
  local parts, why = core.url((text:gsub("#.*$", "")), base) -- the fragment is not sent
  if parts then why = objection(text, parts) end
  if why then return nil, why end
  parts.shown = url.masked(parts.whole)
  return parts
end

-- Gives { whole =, scheme =, user =, password =, host =, port =, shown = }, `whole` without user, password
-- and fragment; nil and what is wrong.
function url.parse(text)
  local parts = cache[text]
  if parts then return parts end
  local why
  parts, why = read(text)
  if not parts then
    if not text:find("^%a[%w+.-]*:") then why = why .. " (it begins with https:// or http://)" end
    return nil, why
  end
  if cached >= CACHED_MAX then cache, cached = {}, 0 end
  cache[text], cached = parts, cached + 1
  return parts
end

-- Whether it was read lately, and found good.
function url.is_known(text)
  return cache[text] ~= nil
end

-- What a Location header means at `base`.
function url.join(base, location)
  if location:find("^#") then return base end
  return read(location, base.whole)
end

-- Credentials may go from one to the other: the same place, or the same host by TLS instead of in the clear.
function url.same_origin(a, b)
  if a.host:lower() ~= b.host:lower() then return false end
  if a.scheme == b.scheme then return a.port == b.port end
  return a.scheme == "http" and a.port == "80" and b.scheme == "https" and b.port == "443"
end

-- Encoding --------------------------------------------------------------------------------------------------

local function percent(byte)
  return ("%%%02X"):format(byte:byte())
end

-- As HTML forms are encoded: a space becomes "+".
local function encode(text)
  return (text:gsub("[^%w%-._~ ]", percent):gsub(" ", "+"))
end

-- Of a string, number (with a decimal point, whatever the locale has) or boolean; nil for anything else.
function url.text_of(value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" then return (tostring(value):gsub(",", ".")) end
  if kind == "boolean" then return tostring(value) end
  return nil
end

local function sorted_keys(map)
  local keys = {}
  for key in next, map do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

url.sorted_keys = sorted_keys

-- Calls add(name, value) for each field of { name = value, name = { value, value } } or { { name, value }, ... }, by
-- name or in the order given. Gives what is wrong, or nil.
function url.each_field(fields, add)
  for i, pair in ipairs(fields) do
    if type(pair) ~= "table" or url.text_of(pair[1]) == nil then return ("{ name, value } expected at [%d]"):format(i) end
    local why = add(url.text_of(pair[1]), pair[2])
    if why then return why end
  end
  for _, name in ipairs(sorted_keys(fields)) do
    if type(name) == "string" then
      local value = fields[name]
      local many = type(value) == "table" and value[1] ~= nil
      for _, one in ipairs(many and value or { value }) do
        local why = add(name, one)
        if why then return why end
      end
    elseif math.type(name) ~= "integer" or name < 1 or name > #fields then
      return "names expected to be strings"
    end
  end
end

-- "a=1&b=2"; nil and what is wrong.
function url.encode_fields(fields)
  local parts = {}
  local why = url.each_field(fields, function(name, value)
    local text = url.text_of(value)
    if text == nil then return ("string, number or boolean expected for '%s', got %s"):format(name, type(value)) end
    parts[#parts + 1] = encode(name) .. "=" .. encode(text)
  end)
  if why then return nil, why end
  return table.concat(parts, "&")
end

-- The URL with a query added to the one it has.
function url.with_query(text, query)
  if query == "" then return text end
  local before, fragment = text:match("^([^#]*)(.*)$")
  local joint = not before:find("?", 1, true) and "?" or before:find("[?&]$") and "" or "&"
  return before .. joint .. query .. fragment
end

return url
