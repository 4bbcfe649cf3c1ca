-- SPDX-License-Identifier: MIT
-- For start_method = "fork": the big tables that exist when the pool is made. The workers hold them as well, so they
-- travel by number instead of being encoded; their contents in the workers are those of that moment. Small tables
-- are left out: encoding them costs little, and gives what they hold at the call.
local extern = {}

local BIG <const> = 1000

-- Whether a table has many entries. Asks no metamethods.
local function is_big(t)
  if rawlen(t) >= BIG then return true end
  local n = 0
  for _ in next, t do
    n = n + 1
    if n >= BIG then return true end
  end
  return false
end

local function push(pending, value)
  local kind = type(value)
  if kind == "table" or kind == "function" then pending[#pending + 1] = value end
end

-- What the code that runs now can see: globals, loaded modules, locals and upvalues of the active functions.
local function roots()
  local pending = { _G, package.loaded }
  for level = 2, math.maxinteger do
    local info = debug.getinfo(level, "f")
    if not info then break end
    push(pending, info.func)
    for i = 1, math.maxinteger do
      local name, value = debug.getlocal(level, i)
      if not name then break end
      push(pending, value)
    end
  end
  return pending
end

local function push_parts(pending, value)
  if type(value) == "function" then
    for i = 1, math.maxinteger do
      local name, upvalue = debug.getupvalue(value, i)
      if not name then return end
      push(pending, upvalue)
    end
  end
  push(pending, debug.getmetatable(value))
  for key, part in next, value do
    push(pending, key)
    push(pending, part)
  end
end

-- Gives two tables: big table -> number, number -> big table. What is inside of a big table is not looked at.
function extern.find()
  local numbers, values, seen = {}, {}, {}
  local pending = roots()
  while #pending > 0 do
    local value = table.remove(pending)
    if not seen[value] then
      seen[value] = true
      if type(value) == "table" and value ~= _G and is_big(value) then
        values[#values + 1] = value
        numbers[value] = #values
      else
        push_parts(pending, value)
      end
    end
  end
  return numbers, values
end

return extern
