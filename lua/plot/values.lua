-- SPDX-License-Identifier: MIT
-- Reads the tables of numbers that charts are made of. A value that is missing, NaN or infinite is a gap: it becomes NaN.
local check = require "parhost.check"
local words = require "plot.words"

local values = {}

local GAP <const> = 0 / 0

values.GAP = GAP

function values.is_finite(value)
  return value - value == 0
end

-- What is wrong, as an error object of our own until somebody knows the name of the function: values.guard.
local Refusal = {}

function values.refuse(where, message, ...)
  error(setmetatable({ text = ("option '%s': %s"):format(where, message:format(...)) }, Refusal), 0)
end

-- read(...) -> its results; a refusal becomes a bad argument #1 of the function.
function values.guard(name, read, ...)
  local ok, result = pcall(read, ...)
  if ok then return result end
  if getmetatable(result) == Refusal then check.bad_argument(1, name, result.text) end
  error(result, 0)
end

-- The number of entries of an array with gaps: its n, or its last index.
local function length(list, where)
  local last = 0
  for key in next, list do
    if math.type(key) == "integer" and key >= 1 then
      last = math.max(last, key)
    elseif key ~= "n" then
      values.refuse(where, "array expected, got a table with the key %s", type(key) == "string" and ("'%s'"):format(key)
        or tostring(key))
    end
  end
  local n = list.n
  if n ~= nil and (math.type(n) ~= "integer" or n < last) then values.refuse(where, "its n is not its length") end
  last = n or last
  if last > 1e8 then values.refuse(where, "at most 10^8 values expected, got index %d", last) end
  return last
end

values.length = length

local function number(value, where, i)
  if value == nil or value == false then return GAP end
  if math.type(value) == nil then
    values.refuse(where, "[%d]: number expected, got %s", i, check.type_name(value))
  end
  value = value + 0.0
  return values.is_finite(value) and value or GAP
end

local function table_expected(list, where)
  if type(list) ~= "table" then values.refuse(where, "array of numbers expected, got %s", check.type_name(list)) end
end

-- Array of numbers -> array of floats, with n.
function values.numbers(list, where)
  table_expected(list, where)
  local read = { n = length(list, where) }
  for i = 1, read.n do read[i] = number(list[i], where, i) end
  return read
end

-- The middle, the least and the greatest of what was measured several times.
function values.summary(list)
  if #list == 0 then return GAP, GAP, GAP end
  table.sort(list)
  local middle = #list // 2
  if #list % 2 == 1 then return list[middle + 1], list[1], list[#list] end
  return (list[middle] + list[middle + 1]) / 2, list[1], list[#list]
end

-- The finite numbers of an array of repetitions.
function values.finite(list, where, i)
  local found = {}
  for k = 1, length(list, where) do
    local value = number(list[k], ("%s[%d]"):format(where, i), k)
    if values.is_finite(value) then found[#found + 1] = value end
  end
  return found
end

-- Array of numbers or of repetitions -> the middle ones, lows, highs (NaN where there is one value only).
function values.measured(list, where)
  table_expected(list, where)
  local read, low, high = { n = length(list, where) }, {}, {}
  for i = 1, read.n do
    if type(list[i]) == "table" then
      read[i], low[i], high[i] = values.summary(values.finite(list[i], where, i))
      if low[i] == high[i] then low[i], high[i] = GAP, GAP end
    else
      read[i], low[i], high[i] = number(list[i], where, i), GAP, GAP
    end
  end
  return read, low, high
end

local function margin(value, where, i)
  value = number(value, where, i)
  if value < 0 then values.refuse(where, "[%d]: a number >= 0 expected, got %s", i, value) end
  return value
end

-- Errors: e, or { down, up }, for each y -> lows, highs.
function values.errors(list, y, where)
  table_expected(list, where)
  if length(list, where) > y.n then
    values.refuse(where, "%d values, but %d of y", length(list, where), y.n)
  end
  local low, high = {}, {}
  for i = 1, y.n do
    local one = list[i]
    local down, up = one, one
    if type(one) == "table" then
      if length(one, where) ~= 2 then values.refuse(where, "[%d]: a number or { down, up } expected", i) end
      down, up = one[1], one[2]
    end
    low[i], high[i] = y[i] - margin(down, where, i), y[i] + margin(up, where, i)
    if not (values.is_finite(low[i]) and values.is_finite(high[i])) then low[i], high[i] = GAP, GAP end
  end
  return low, high
end

-- Names of bars: strings or numbers -> strings.
function values.names(list, where)
  table_expected(list, where)
  local read = { n = length(list, where) }
  for i = 1, read.n do
    local name = list[i]
    if type(name) ~= "string" and math.type(name) == nil then
      values.refuse(where, "[%d]: string or number expected, got %s", i, check.type_name(name))
    end
    read[i] = words.clean(tostring(name))
  end
  return read
end

return values
