-- SPDX-License-Identifier: MIT
-- Checks of arguments: misuse raises with the words of stock Lua's library, at the place where the program
-- called into parhost, however deep the check lies.
local check = {}

local own_source = debug.getinfo(1, "S").source
local root = own_source:match("^(.*)parhost/check%.lua$") or ""
local own_modules = {
  parhost = true, futures = true, proc_pool = true, thread_pool = true, async = true, http = true,
  plot = true,
}

local function is_own(source)
  if source:sub(1, #root) ~= root then return false end
  local module = source:sub(#root + 1):match("^([%w_]+)[/.]")
  return own_modules[module] or false
end

check.is_own = is_own

-- The position "file:line: " of the innermost Lua function that is not part of parhost, or "".
function check.caller_position()
  for level = 3, math.maxinteger do
    local info = debug.getinfo(level, "Sl")
    if not info then return "" end
    if info.currentline > 0 and not is_own(info.source) then
      return ("%s:%d: "):format(info.short_src, info.currentline)
    end
  end
end

function check.misuse(message)
  error(check.caller_position() .. message, 0)
end

function check.bad_argument(n, name, message)
  check.misuse(("bad argument #%d to '%s' (%s)"):format(n, name, message))
end

-- One of our modules: the first argument of a function of its that is called with a colon.
local function is_module(value)
  if type(value) ~= "table" then return false end
  for name in pairs(own_modules) do
    if rawequal(package.loaded[name], value) then return true end
  end
  return false
end

check.MODULE = "the module itself: call it with a dot"

-- The type of a value as messages name it.
function check.type_name(value)
  if is_module(value) then return check.MODULE end
  local metatable = debug.getmetatable(value)
  local name = type(metatable) == "table" and rawget(metatable, "__name")
  if type(name) == "string" then return name end
  return value == nil and "nil" or type(value)
end

function check.expected(n, name, what, value)
  check.bad_argument(n, name, ("%s expected, got %s"):format(what, check.type_name(value)))
end

function check.bad_self(name, what, value)
  check.misuse(("calling '%s' on bad self (%s expected, got %s)"):format(name, what, check.type_name(value)))
end

-- `self` of a method of `class`, a metatable with a __name.
function check.self(self, class, name)
  if getmetatable(self) ~= class then check.bad_self(name, class.__name, self) end
end

-- Whether it can be called: a function, or an object such as an iterator.
function check.is_callable(value)
  if type(value) == "function" then return true end
  local metatable = debug.getmetatable(value)
  return type(metatable) == "table" and metatable.__call ~= nil
end

-- A number of seconds, or nil.
function check.seconds(value, n, name)
  if value == nil then return nil end
  if math.type(value) == nil then check.expected(n, name, "number", value) end
  if value ~= value then check.bad_argument(n, name, "number expected, got NaN") end
  return value
end

-- An integer, also in the shape of a float.
function check.integer(value, n, name, min)
  local integer = math.type(value) and math.tointeger(value)
  if not integer then
    local got = math.type(value) and tostring(value) or check.type_name(value)
    check.bad_argument(n, name, ("integer expected, got %s"):format(got))
  elseif integer < min then
    check.bad_argument(n, name, ("integer >= %d expected, got %d"):format(min, integer))
  end
  return integer
end

local function key_of(list)
  local key = next(list)
  if type(key) == "string" then return ("field '%s'"):format(key) end
  return "key " .. (math.type(key) and tostring(key) or check.type_name(key))
end

-- The number of elements of an array: its field `n`, or its length. One that has nothing but other fields is a mistake.
-- `hint`: where such fields belong.
function check.length(list, position, name, hint)
  local n = rawget(list, "n")
  if n == nil then
    n = #list
    if n == 0 and getmetatable(list) == nil and next(list) ~= nil then
      if is_module(list) then check.expected(position, name, "array", list) end
      local message = "array expected, got a table without elements, with " .. key_of(list)
      check.bad_argument(position, name, message .. (hint and "; " .. hint or ""))
    end
  elseif math.type(n) ~= "integer" or n < 0 then
    check.bad_argument(position, name, ("field 'n': integer >= 0 expected, got %s"):format(tostring(n)))
  end
  return n
end

return check
