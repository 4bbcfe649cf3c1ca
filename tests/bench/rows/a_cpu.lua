-- SPDX-License-Identifier: MIT
-- CPU-bound work: four sums of squares, whole processes, two workers; and a plain script without a pool.
local SUM <const> = [[
local function sum(n)
  local s = 0
  for i = 0, n - 1 do s = s + i * i end
  return s
end
local n = tonumber((...)) or tonumber(arg[1])
]]

local SERIAL <const> = SUM .. [[for _ = 1, 4 do print(sum(n)) end]]

local POOL <const> = SUM .. [[
local pool <close> = require "proc_pool".new(2)
local futures = {}
for i = 1, 4 do futures[i] = pool:submit(sum, n) end
for i = 1, 4 do print(futures[i]:result()) end
]]

-- What the machine gives right now: two processes, two sums each.
local BY_HAND <const> = SUM .. [[
local half = ("'%s' -e 'local n = %d; local function sum(n) local s = 0; for i = 0, n - 1 do s = s + i * i end"
  .. " return s end print(sum(n)) print(sum(n))'"):format(arg[-1], n)
os.execute(half .. " & " .. half .. "; wait")
]]

local PYTHON <const> = [[
import sys
from concurrent.futures import ProcessPoolExecutor
def total(n):
    s = 0
    for i in range(n): s += i * i
    return s
if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        for f in [pool.submit(total, int(sys.argv[1])) for _ in range(4)]: print(f.result())
]]

local function whole(what, id, n, runs, floor, target, peers)
  return {
    id = id, what = what, unit = "ms", n = n, runs = runs, smoke = 1000, ours = POOL, whole = "time",
    needs = { "proc_pool" }, peers = peers, limit = "two processes by hand",
    floor = { 1 / floor, "parhost, serial" }, target = { 1 / target, "parhost, serial" },
  }
end

local serial <const> = { name = "parhost, serial", code = SERIAL, whole = "time" }
local by_hand <const> = { name = "two processes by hand", code = BY_HAND, whole = "time" }
local python <const> = { name = "ProcessPoolExecutor", language = "python", code = PYTHON, whole = "time" }

return {
  whole("4 sums of squares to 10^6, 2 workers", "a", 1000000, 21, 1.6, 1.8, { serial, by_hand, python }),
  whole("the same to 10^7", "a7", 10000000, nil, 1.6, 1.9, { serial, by_hand }),
  {
    id = "a'", what = "the same to 10^7, plain script", unit = "ms", n = 10000000, smoke = 1000, ours = SERIAL,
    whole = "time", floor = { 1 / 0.97, "lua5.4" }, target = { 1, "lua5.4" },
    peers = { { name = "lua5.4", language = "lua", code = SERIAL, whole = "time" } },
  },
}
