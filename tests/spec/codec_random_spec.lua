-- SPDX-License-Identifier: MIT
-- Random values there and back. A failure tells the seed: CODEC_SEED=n parhost test tests/spec/codec_random_spec.lua
package.path = "tests/spec/?.lua;" .. package.path
local parhost = require "parhost"
local compile = require("support.ways").compile

local seed = math.tointeger(tonumber(os.getenv "CODEC_SEED")) or os.time()

local Plain, Dumped = {}, {}
function Dumped.__dump(object) return { object.inner } end
function Dumped.__load(data) return setmetatable({ inner = data[1] }, Dumped) end
parhost.register("codec_random.plain", Plain)
parhost.register("codec_random.dumped", Dumped)

local random = math.random
local make -- (state, depth) -> a value

local INTEGERS = { 0, 1, -1, 127, 128, 255, 256, 2^31 | 0, 2^53 | 0, math.maxinteger, math.mininteger }
local FLOATS = { 0.0, -0.0, 1.5, -1e300, 1 / 0, -1 / 0, 0 / 0, 5e-324, 3.0 }

local function integer()
  return random() < 0.5 and INTEGERS[random(#INTEGERS)] or random(0) >> random(0, 63)
end

local function text()
  local length = random(0, random() < 0.1 and 300 or 12)
  local alphabet = random() < 0.5 and 2 or 255
  local bytes = {}
  for i = 1, length do bytes[i] = string.char(random(0, alphabet)) end
  return table.concat(bytes)
end

local function remember(state, value)
  state.made[#state.made + 1] = value
  return value
end

local function key(state, depth)
  local k = make(state, depth)
  if k == nil or k ~= k then return "k" .. random(100) end
  return k
end

local function new_table(state, depth)
  local t = remember(state, {})
  for i = 1, random(0, 6) do t[i] = make(state, depth - 1) end
  for _ = 1, random(0, 6) do t[key(state, depth - 1)] = make(state, depth - 1) end
  if random() < 0.2 then setmetatable(t, Plain) end
  return t
end

local getter = compile [[function(a, b)
  local function get() return a, b end
  local function set(x) a = x return b end
  return get, set
end]]

local function new_function(state, depth)
  local get, set = getter(make(state, depth - 1), make(state, depth - 1))
  remember(state, set)
  return remember(state, get)
end

local MAKERS = {
  function() return nil end,
  function() return random() < 0.5 end,
  integer, integer,
  function() return FLOATS[random(#FLOATS)] end,
  text, text,
  function(state) return state.made[random(math.max(1, #state.made))] end,
  new_table, new_table, new_table,
  new_function,
  function() return ({ print, string, string.format, math.sin, parhost, _G.string })[random(6)] end,
  function(_, depth) return setmetatable({ inner = make({ made = {} }, depth - 1) }, Dumped) end,
}

function make(state, depth)
  local pick = depth > 0 and random(#MAKERS) or random(8)
  return MAKERS[pick](state, depth)
end

-- Same shape: `pairs_of` goes from each object of a to the one of b, both ways.
local function same(a, b, forth, back)
  local kind = math.type(a) or type(a)
  if kind ~= (math.type(b) or type(b)) then return false, ("%s and %s"):format(kind, math.type(b) or type(b)) end
  if kind == "float" then return string.pack("n", a) == string.pack("n", b), "float" end
  if kind ~= "table" and kind ~= "function" then return a == b, kind end
  if forth[a] or back[b] then return forth[a] == b and back[b] == a, "identity" end
  forth[a], back[b] = b, a
  if kind == "function" then
    if debug.getinfo(a, "S").what == "C" then return a == b, "C function" end
    for i = 1, 255 do
      local name, x = debug.getupvalue(a, i)
      local other, y = debug.getupvalue(b, i)
      if name ~= other then return false, "upvalues" end
      if not name then return true end
      local cell, twin = debug.upvalueid(a, i), debug.upvalueid(b, i)
      if (forth[cell] or twin) ~= twin or (back[twin] or cell) ~= cell then return false, "cells" end
      forth[cell], back[twin] = twin, cell
      local ok, why = same(x, y, forth, back)
      if not ok then return false, why end
    end
  end
  if a == b then return package.loaded[a == string and "string" or "parhost"] == a, "module" end
  if getmetatable(a) ~= getmetatable(b) then return false, "metatable" end
  return true
end

-- Tables by their plain keys; keys that are objects are matched by what was found of them elsewhere, or by number.
local function compare(a, b)
  local forth, back, queue = {}, {}, { { a, b } }
  local seen = {}
  while #queue > 0 do
    local x, y = table.unpack(table.remove(queue), 1, 2)
    local ok, why = same(x, y, forth, back)
    if not ok then return false, why end
    if type(x) == "function" and not seen[x] and debug.getinfo(x, "S").what ~= "C" then
      seen[x] = true
      for i = 1, 255 do
        local name, value = debug.getupvalue(x, i)
        if not name then break end
        queue[#queue + 1] = { value, select(2, debug.getupvalue(y, i)) }
      end
    elseif type(x) == "table" and x ~= y and not seen[x] then
      seen[x] = true
      local objects = 0
      for k, v in next, x do
        if type(k) == "table" or type(k) == "function" then
          objects = objects + 1
        else
          queue[#queue + 1] = { v, rawget(y, k) }
        end
      end
      for k in next, y do
        if type(k) == "table" or type(k) == "function" then objects = objects - 1
        elseif rawget(x, k) == nil then return false, "keys" end
      end
      if objects ~= 0 then return false, "object keys" end
    end
  end
  return true
end

describe("random values", function()
  it("come back in the shape in which they went", function()
    math.randomseed(seed)
    for i = 1, 3000 do
      local value = { make({ made = {} }, random(1, 5)) }
      local bytes = parhost.dump_value(value)
      local copy = parhost.load_value(bytes)
      local ok, why = compare(value, copy)
      assert(ok, ("value %d with CODEC_SEED=%d: %s"):format(i, seed, why))
      ok, why = compare(copy, parhost.load_value(parhost.dump_value(copy)))
      assert(ok, ("value %d again, with CODEC_SEED=%d: %s"):format(i, seed, why))
    end
  end)
end)
