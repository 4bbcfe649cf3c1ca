-- SPDX-License-Identifier: MIT
-- Tasks per second: small tasks one by one, and in chunks.
local function clock() return require "parhost".monotonic() end

local function same(i) return i end

local function one_by_one(module)
  return function(n)
    local pool <close> = require(module).new(2)
    pool:submit(same, 0):result()
    local futures, start, sum = {}, clock(), 0
    for i = 1, n do futures[i] = pool:submit(same, i) end
    for i = 1, n do sum = sum + futures[i]:result() end
    return n / (clock() - start), sum == n * (n + 1) // 2
  end
end

local function mapped(module)
  return function(n)
    local pool <close> = require(module).new(2)
    pool:submit(same, 0):result()
    local list = {}
    for i = 1, n do list[i] = i end
    local start, sum = clock(), 0
    for _, value in pool:with { chunk_size = "auto" }:map(same, list) do sum = sum + value end
    return n / (clock() - start), sum == n * (n + 1) // 2
  end
end

local PYTHON <const> = [[
import sys, time, multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
def same(i): return i
if __name__ == "__main__":
    n = int(sys.argv[1])
    %s
        start = time.perf_counter()
        total = %s
        print(n / (time.perf_counter() - start), str(total == n * (n + 1) // 2).lower())
]]

local function executor(name, workers)
  local with = ("with %s(%d) as pool:\n        pool.submit(same, 0).result()"):format(name, workers)
  return PYTHON:format(with, "sum(f.result() for f in [pool.submit(same, i) for i in range(1, n + 1)])")
end

local function pool(how)
  return PYTHON:format("with multiprocessing.Pool(2) as pool:\n        pool.apply(same, (0,))", how)
end

return {
  {
    id = "b1", what = "process pool, small tasks one by one", unit = "tasks/s", more = true, n = 100000, smoke = 200,
    needs = { "proc_pool" }, ours = one_by_one "proc_pool",
    floor = { 50, "ProcessPoolExecutor" }, target = { 150, "ProcessPoolExecutor" },
    peers = {
      { name = "ProcessPoolExecutor", language = "python", scale = 0.05, code = executor("ProcessPoolExecutor", 2) },
      { name = "Pool.imap_unordered", language = "python", scale = 0.2,
        code = pool "sum(pool.imap_unordered(same, range(1, n + 1)))" },
    },
  },
  {
    id = "b2", what = "process pool, map, chunk_size auto", unit = "tasks/s", more = true, n = 1000000, smoke = 1000,
    needs = { "proc_pool" }, ours = mapped "proc_pool",
    floor = { 0.53, "Pool, chunks of 1000" }, target = { 1.3, "Pool, chunks of 1000" },
    peers = {
      { name = "Pool, chunks of 1000", language = "python", code = pool "sum(pool.map(same, range(1, n + 1), 1000))" },
    },
  },
  {
    id = "b3", what = "thread pool, small tasks one by one", unit = "tasks/s", more = true, n = 100000, smoke = 200,
    needs = { "thread_pool" }, ours = one_by_one "thread_pool", floor = 750e3, target = 1.5e6,
    peers = { { name = "ThreadPoolExecutor", language = "python", scale = 0.2, code = executor("ThreadPoolExecutor", 2) } },
  },
  {
    id = "b3m", what = "thread pool, map, chunk_size auto", unit = "tasks/s", more = true, n = 1000000, smoke = 1000,
    needs = { "thread_pool" }, ours = mapped "thread_pool", target = 5e6,
  },
}
