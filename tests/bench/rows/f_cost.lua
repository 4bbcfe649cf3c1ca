-- SPDX-License-Identifier: MIT
-- What it costs to be there: start-up, first result, memory of idle workers and of queued tasks.
local function clock() return require "parhost".monotonic() end

-- Resident memory of this process in bytes.
local function resident()
  local file <close> = assert(io.open "/proc/self/statm")
  local _, pages = file:read("n", "n")
  return pages * require("parhost.core.inspect").page
end

local function empty(what, id, unit, whole, floor, target)
  local function peer(name, language, code, absent_unless)
    return { name = name, language = language, code = code, whole = whole, absent_unless = absent_unless }
  end
  return {
    id = id, what = what, unit = unit, n = 1, smoke = 1, runs = 21, ours = "", whole = whole, floor = floor, target = target,
    peers = { peer("lua5.4", "lua", ""), peer("python3", "python", "") },
  }
end

local function same(i) return i end

local function first_result(module)
  return function(n)
    local new, times, sum = require(module).new, {}, 0
    for k = 1, n do
      local start = clock()
      local pool <close> = new(2)
      sum = sum + pool:submit(same, k):result()
      times[k] = clock() - start
    end
    table.sort(times)
    return times[(n + 1) // 2] * 1e3, sum == n * (n + 1) // 2
  end
end

local FIRST_PYTHON <const> = [[
import sys, time
from concurrent.futures import %s as Executor
def same(i): return i
if __name__ == "__main__":
    n = int(sys.argv[1])
    times, total = [], 0
    for k in range(1, n + 1):
        start = time.perf_counter()
        with Executor(2) as pool:
            total += pool.submit(same, k).result()
            times.append(time.perf_counter() - start)
    print(sorted(times)[(n - 1) // 2] * 1e3, str(total == n * (n + 1) // 2).lower())
]]

local function first(id, module, executor, floor, target)
  return {
    id = id, what = "pool of 2 and its first result, " .. module, unit = "ms", n = 20, smoke = 2, needs = { module },
    ours = first_result(module), floor = floor, target = target,
    peers = { { name = executor, language = "python", code = FIRST_PYTHON:format(executor) } },
  }
end

-- One worker is held by a task that reads from a pipe; the others wait in the queue, with their futures.
local function queued(n)
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkfifo " .. path))
  local pool = require "proc_pool".new(1)
  local function hold(fifo) return io.open(fifo):read "a" end
  local held = pool:submit(hold, path)
  local gate = assert(io.open(path, "w")) -- opens when the task has begun
  for i = 1, 100 do pool:submit(same, i) end
  local futures = table.move({}, 1, n, 1, {})
  for i = 1, n do futures[i] = false end
  collectgarbage()
  local before = resident()
  for i = 1, n do futures[i] = pool:submit(same, i) end
  local bytes = (resident() - before) / n
  gate:close()
  local sum = 0
  for i = 1, n do sum = sum + futures[i]:result() end
  held:result()
  pool:close()
  os.remove(path)
  return bytes, sum == n * (n + 1) // 2
end

local QUEUED_PYTHON <const> = [[
import sys, os, tempfile, gc
from concurrent.futures import ProcessPoolExecutor
def same(i): return i
def hold(path): return open(path).read()
def resident(): return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
if __name__ == "__main__":
    n = int(sys.argv[1])
    path = tempfile.mktemp()
    os.mkfifo(path)
    with ProcessPoolExecutor(1) as pool:
        pool.submit(hold, path)
        gate = open(path, "w")
        for i in range(100): pool.submit(same, i)
        futures = [None] * n
        gc.collect()
        before = resident()
        for i in range(n): futures[i] = pool.submit(same, i + 1)
        used = (resident() - before) / n
        gate.close()
        total = sum(f.result() for f in futures)
    os.remove(path)
    print(used, str(total == n * (n + 1) // 2).lower())
]]

-- Workers that have run a task each and wait.
local function idle_threads(n)
  local pool <close> = require "thread_pool".new { max_workers = n, min_workers = n }
  pool:submit(same, 0):result()
  pool:warm_up(n)
  pool:drain()
  local after = resident()
  local one <close> = require "thread_pool".new { max_workers = n, min_workers = n }
  one:submit(same, 0):result()
  one:drain()
  return (resident() - after) / n, true
end

return {
  empty("start-up and end of -e ''", "f1", "ms", "time", { 2, "lua5.4" }, { 1.5, "lua5.4" }),
  empty("peak memory of an empty script", "f1m", "MB", "memory", nil, { 3 / 2.3, "lua5.4" }),
  first("f2", "proc_pool", "ProcessPoolExecutor", 2, 0.8),
  first("f2t", "thread_pool", "ThreadPoolExecutor", 1, 0.4),
  {
    id = "f3", what = "memory per idle thread worker", unit = "bytes", n = 50, smoke = 2, needs = { "thread_pool" },
    ours = idle_threads, floor = 90e3, target = 60e3,
  },
  {
    id = "f4", what = "memory per queued task and its future", unit = "bytes", n = 100000, smoke = 200,
    needs = { "proc_pool" }, ours = queued, floor = 500, target = 250,
    peers = { { name = "ProcessPoolExecutor", language = "python", scale = 0.2, code = QUEUED_PYTHON } },
  },
}
