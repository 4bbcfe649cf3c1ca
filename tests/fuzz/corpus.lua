-- SPDX-License-Identifier: MIT
-- Writes the corpus that the fuzzers begin with (tests/fuzz/corpus/): one file for each kind of value.
-- Run it after a change of the format: ./parhost tests/fuzz/corpus.lua
local parhost = require "parhost"
require "futures"

local HEADER = 20
local here = arg[0]:match("^(.*)/") .. "/corpus/"

local function write(name, bytes)
  local file <close> = assert(io.open(here .. name, "wb"))
  file:write(bytes)
end

local Point, Dumped = {}, {}
function Dumped.__dump(o) return { o.x } end
function Dumped.__load(d) return setmetatable({ x = d }, Dumped) end
parhost.register("point", Point)
parhost.register("dumped", Dumped)

local cycle, long, point = {}, ("long "):rep(20), setmetatable({ x = 1 }, Point)
cycle.self = cycle
local deep = {}
for _ = 1, 100 do deep = { deep } end
local array = {}
for i = 1, 200 do array[i] = i * 1000 end
local map = {}
for i = 1, 200 do map["key" .. i] = i end

local values = {
  scalars = { true, false, 0, 127, 128, -1, math.mininteger, math.maxinteger, 0.5, -0.0, 1 / 0, 0 / 0, "" },
  strings = { "abc", "abc", long, long, "\0\255" },
  tables = { {}, { 1, nil, 3 }, { [1] = 1, [2.5] = 2, [true] = 3, x = { y = {} } } },
  cycle = cycle, shared = { cycle, cycle, { cycle } }, deep = deep, array = array, map = map,
  key = { [{ 1 }] = { [{}] = 2 } },
  records = { { id = 1, name = "one" }, { id = 2, name = "two" }, { id = 3, name = "one" } },
  instance = point, instances = { point, point, setmetatable({ p = point }, Point) },
  dumped = setmetatable({ x = 1 }, Dumped),
  class = { Point, point }, named = { string.format, math, math.sin, print },
  error = require("futures").error("os", "no such file", { code = 2 }),
}
for name, value in pairs(values) do
  local bytes = parhost.dump_value(value)
  write("load/" .. name, bytes)
  write("decode/" .. name, bytes:sub(HEADER + 1))
end

-- Steps of link_fuzz.c: 0 a frame (len, type, item, bytes written), 1 bytes, 2 an index, 3 park, 4 read, 5 write back.
write("link/frames", "\0\10\0\0\3\0\10\0\0\4" .. "\0\0\0\3\3\0\0\0\3\4" .. "\3\1\4\5\8abcdefgh\4")
write("link/corrupt", "\2\2\255\255\255\255\0\0\0\0\4\2\3\0\0\0\0\0\0\0\1\4\1\16" .. ("\255"):rep(16) .. "\4")
