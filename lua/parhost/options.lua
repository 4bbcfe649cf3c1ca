-- SPDX-License-Identifier: MIT
-- The one checker for tables of options. A spec maps each key to a rule:
--   { "integer", min = 1 }   also above = 0; { "number" } likewise, never NaN
--   { "one_of", "wait", "cancel" }
--   { "string" }             any other word: that type
--   { test = function(v) }   gives the value to take, or nil and what was expected
-- each with default = and also = (one more value that is fine),
-- and gives a fresh table with the checked values and the rules' defaults.
local check = require "parhost.check"

local options = {}

-- The number of single edits (insert, delete, replace, swap) between two words.
local function edit_distance(a, b)
  local before, last, row = {}, {}, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost)
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    before, last, row = last, row, before
  end
  return last[#b]
end

-- The known word nearest to `word`, or nil when none is near.
function options.nearest(word, known)
  local best, best_distance
  for candidate in pairs(known) do
    local distance = edit_distance(word, candidate)
    if not best or distance < best_distance or (distance == best_distance and candidate < best) then
      best, best_distance = candidate, distance
    end
  end
  if best and best_distance <= math.max(1, #word // 2) then return best end
end

-- What to say of a word that is not known.
local function hint(word, known)
  local near = options.nearest(word, known)
  if near then return ("; did you mean '%s'?"):format(near) end
  local words = {}
  for candidate, rule in pairs(known) do
    if not rule.refused then words[#words + 1] = candidate end
  end
  table.sort(words)
  return "; there are " .. table.concat(words, ", ")
end

local function show(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if math.type(value) or type(value) == "boolean" then return tostring(value) end
  return check.type_name(value)
end

local function in_range(rule, value)
  return (rule.min == nil or value >= rule.min) and (rule.above == nil or value > rule.above)
    and (rule.max == nil or value <= rule.max)
end

local function number_words(rule, noun)
  if rule.min then return ("%s >= %d"):format(noun, rule.min) end
  if rule.above then return ("%s > %d"):format(noun, rule.above) end
  return noun
end

local readers = {}

function readers.integer(rule, value)
  local integer = math.type(value) and math.tointeger(value)
  if integer and in_range(rule, integer) then return integer end
  if integer and rule.max and integer > rule.max then return nil, ("must be <= %d, got %d"):format(rule.max, integer) end
  if integer and rule.above then return nil, ("must be > %d, got %d"):format(rule.above, integer) end
  return nil, number_words(rule, "integer")
end

function readers.number(rule, value)
  if math.type(value) and value == value and in_range(rule, value) then return value end
  return nil, number_words(rule, "number")
end

function readers.one_of(rule, value)
  local names = {}
  for i = 2, #rule do
    if rule[i] == value then return value end
    names[#names + 1] = ("%q"):format(rule[i])
  end
  return nil, table.concat(names, ", ", 1, #names - 1) .. " or " .. names[#names]
end

local function read(rule, value)
  if rule.also ~= nil and value == rule.also then return value end
  if rule.test then return rule.test(value) end
  local reader = readers[rule[1]]
  if reader then return reader(rule, value) end
  if type(value) == rule[1] then return value end
  return nil, rule[1]
end

local function refuse_unknown(spec, given, key, n, name, where)
  if check.type_name(given) == check.MODULE then check.expected(n, name, "table of options", given) end
  local is_word = type(key) == "string"
  local shown = is_word and ("'%s'%s"):format(key, hint(key, spec)) or ("[%s]"):format(show(key))
  check.bad_argument(n, name, where .. "unknown option " .. shown)
end

local function read_all(spec, given, n, name, where)
  local values = {}
  for key, value in next, given do
    local rule = spec[key]
    if rule == nil then refuse_unknown(spec, given, key, n, name, where) end
    if rule.refused then check.bad_argument(n, name, ("%soption '%s' is %s"):format(where, key, rule.refused)) end
    local result, expected = read(rule, value)
    if expected then
      if rule.also ~= nil then expected = ("%s or %s"):format(expected, show(rule.also)) end
      local text = expected:find(", got ", 1, true) and expected
        or ("%s expected, got %s"):format(expected, show(value))
      check.bad_argument(n, name, ("%soption '%s': %s"):format(where, key, text))
    end
    values[key] = result
  end
  return values
end

-- Checks `given`, argument #n of the function `name`. `where` ("series[2]: ") says so when it is a part of that.
function options.check(spec, given, n, name, where)
  if type(given) ~= "table" or getmetatable(given) ~= nil then
    check.expected(n, name, "table of options", given)
  end
  local values = read_all(spec, given, n, name, where or "")
  for key, rule in next, spec do
    if values[key] == nil then values[key] = rule.default end
  end
  return values
end

return options
