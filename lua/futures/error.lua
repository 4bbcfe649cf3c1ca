-- SPDX-License-Identifier: MIT
-- Error objects: tables { kind =, message =, ... } with the metatable that C and Lua share.
local check = require "parhost.check"
local host = require "parhost.core.host"

local Error = host.error_metatable()
Error.__index = Error
Error.__name = "parhost.Error"

local errors = { Error = Error }

local function one_line(text)
  return (text:gsub("%s*\n%s*", " "))
end

-- Gives (does not raise) an error object. `fields` are copied into it.
function errors.new(kind, message, fields)
  local err = { kind = kind, message = one_line(message) }
  if fields then
    for key, value in next, fields do
      if err[key] == nil then err[key] = value end
    end
  end
  return setmetatable(err, Error)
end

-- The checked form for users: futures.error.
function errors.error(kind, message, fields)
  if type(kind) ~= "string" then check.expected(1, "error", "string", kind) end
  if type(message) ~= "string" then check.expected(2, "error", "string", message) end
  if fields ~= nil and type(fields) ~= "table" then check.expected(3, "error", "table", fields) end
  return errors.new(kind, message, fields)
end

-- True for an error object, of that kind when one is given.
function errors.is(err, kind)
  if kind ~= nil and type(kind) ~= "string" then check.expected(2, "is", "string", kind) end
  return getmetatable(err) == Error and (kind == nil or err.kind == kind)
end

-- The text of any error value, whatever its __tostring does.
function errors.text(err)
  local ok, text = pcall(tostring, err)
  return ok and text or ("(error object is a %s value)"):format(type(err))
end

-- A number of seconds for a message: 5, 0.25.
function errors.seconds_text(seconds)
  return (("%.3f"):format(seconds):gsub("%.?0+$", ""))
end

function Error:__tostring()
  return ("parhost.%s: %s"):format(rawget(self, "kind") or "error", rawget(self, "message") or "")
end

local function children(err)
  if errors.is(err, "group") and type(err.errors) == "table" then return err.errors end
end

-- The errors of a group and of the groups in it, in order, as one array. An error that is no group: itself
-- alone.
function Error:flatten()
  local flat, seen = {}, {}
  local path = { { list = { self }, at = 0 } }
  while #path > 0 do
    local level = path[#path]
    level.at = level.at + 1
    local err = level.list[level.at]
    local list = children(err)
    if level.at > #level.list then
      path[#path] = nil
    elseif not list then
      flat[#flat + 1] = err
    elseif not seen[list] then
      seen[list] = true
      path[#path + 1] = { list = list, at = 0 }
    end
  end
  return flat
end

local function check_predicate(predicate, name)
  if type(predicate) == "string" then
    return function(err) return errors.is(err, predicate) end
  end
  if type(predicate) ~= "function" then check.expected(1, name, "function or string", predicate) end
  return predicate
end

local function with_errors(group, list)
  if #list == 0 then return nil end
  local copy = {}
  for key, value in next, group do copy[key] = value end
  copy.errors = list
  return setmetatable(copy, Error)
end

local function split(err, predicate)
  local list = children(err)
  if predicate(err) then return err, nil end
  if not list then return nil, err end
  local matching, rest = {}, {}
  for _, child in ipairs(list) do
    local yes, no = split(child, predicate)
    matching[#matching + 1] = yes
    rest[#rest + 1] = no
  end
  return with_errors(err, matching), with_errors(err, rest)
end

-- The part of a group for which predicate(error) holds, and the part for which it does not; the groups in it
-- keep their shape. A string stands for "is of this kind".
function Error:split(predicate)
  return split(self, check_predicate(predicate, "split"))
end

-- Whether the predicate holds for any error in it.
function Error:contains(predicate)
  predicate = check_predicate(predicate, "contains")
  for _, err in ipairs(self:flatten()) do
    if predicate(err) then return true end
  end
  return false
end

return errors
