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

-- link_fuzz.c: who is hostile, 0 the worker, 1 the host; then steps: 0 a frame (len, type, item, bytes written), 1 bytes,
-- 2 an index, 3 park, 4 read, 5 write back.
for i, side in ipairs { "worker", "host" } do
  local which = string.char(i - 1)
  write("link/frames_of_" .. side, which .. "\0\10\0\0\3\0\10\0\0\4" .. "\0\0\0\3\3\0\0\0\3\4" .. "\3\1\4\5\8abcdefgh\4")
  write("link/corrupt_" .. side, which .. "\2\2\255\255\255\255\0\0\0\0\4\2\3\0\0\0\0\0\0\0\1\4\1\16" ..
    ("\255"):rep(16) .. "\4")
end

-- reply_fuzz.c: the pool's options, then steps: 0 a task (options), 1 a frame (type, slot, flags, item, len, run time,
-- which bytes), 2 a claim, 3 words of a slot, 4 an index, 5 cancel, 6 die, 7 pump, 8 take; + 9: of the other worker.
local READY <const>, REPLY <const> = "\1\1\0\0\0\0\0\0\0\0\0\0\0\1\0", "\1\3\0\0\0\5\0\0\0\0\0\0\1\0"
write("reply/one", "\0\0\0\7" .. READY .. "\2\0\2" .. REPLY .. "\7\8")
write("reply/chunk", "\0\0\6" .. READY .. "\7\2\0\2" .. REPLY .. "\1\3\0\1\1\0\0\0\0\0\0\0\1\0" .. "\7\8\6\0\8")
write("reply/retry", "\0\0\8\0\8\7" .. READY .. "\2\0\2\7\6\9\7\8")
write("reply/cancel", "\4\0\32\0\0\0\64\7\5\1\5\65\7\8")

-- task_fuzz.c: steps: 0 a frame (type, slot, item, len), 1 a task (slot, count, first, flags, seeded, len), 2 a claim,
-- 3 an index, 4 a part of the next body.
write("task/one", "\4\64\1\0\0\0\0\0\0")
write("task/setup", "\4\6\4\7\0\1\0\0\0\0\0\0\0" .. "\4\64\1\0\0\0\0\0\0")
write("task/chunk", "\4\0\4\4\4\4\1\1\1\0\1\0\0" .. "\4\0\4\4\4\4\1\2\1\0\17\1\0")
write("task/blob", "\4\64\0\2\0\0\9\0\0\0\0" .. "\0\4\0\0\0\0\0\0\0")

-- options_fuzz.lua: arguments, each ended by a NUL byte.
for name, line in pairs {
  script = "-v -W script.lua a b", actions = "-e print(1) -lmath -l s=string -E", prompt = "-i", stdin = "- a",
  minus = "-- -x.lua", workers = "-j 4 -j4 --workers 2 --workers=3 x", environment = "PARHOST_WORKERS=0x10 -e1",
  test = "test -o TAP", bad = "-x", help = "--help", version = "-V", cut = "-e",
} do
  write("options/" .. name, (line:gsub(" ", "\0")) .. "\0")
end

-- http_fuzz.lua: a letter, and what it says.
local URL <const> = "https://user:pass@Example.com:8080/p/a?q=1&r#f"
for name, bytes in pairs {
  head = "hHTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nSet-Cookie: a=b\r\nset-cookie: c\r\n" ..
    "X:\r\n folded\r\nbad line\r\n\r\n",
  cookies = "c#HttpOnly_.x.org\tTRUE\t/\tTRUE\t0\tname\tvalue\nx.org\tFALSE\t/p\tFALSE\t1999999999\tn\tv\n",
  url = "u" .. URL, url_v6 = "uhttp://[::1]:80/", url_file = "ufile:///etc/passwd", url_odd = "uhttp:\\\\x@y/",
  redirect = "r0https://first.example/x", redirect_away = "r1//other.example:444/",
  redirect_down = "r2http://first.example/",
  redirect_user = "r3https://u:p@first.example/", redirect_scheme = "r4file:///x", redirect_relative = "r5../x?y",
  headers = "o0X-A\0v\0accept\0text/plain\0", params = "o1a\0b c\0z\0\xff\0", form = "o2name\0value &=\0q\0\0",
  auth = "o3user\0u\0password\0p\0bearer\0t\0", method = "o6purge", version = "o72",
} do
  write("http/" .. name, bytes)
end
