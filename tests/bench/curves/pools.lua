-- SPDX-License-Identifier: MIT
-- Pools: the cost of a task as tasks, and workers, become many; of a string there and back as it grows.
local parhost = require "parhost"
local report = require "support.report"
local system = require "support.system"

local clock = parhost.monotonic

local MODULES <const> = { process = "proc_pool", thread = "thread_pool" }
local SERIES <const> = { "process", "thread" }

local function new_pool(series, workers)
  local pool = require(MODULES[series]).new { max_workers = workers, min_workers = workers }
  pool:warm_up()
  return pool
end

local function same(value) return value end

-- Seconds per task of so many, submitted one by one, then all results: by the clock, and of processors.
local function dispatch(pool, n)
  local futures, start, cpu = {}, clock(), system.processor_time(pool)
  for i = 1, n do futures[i] = pool:submit(same, i) end
  for i = 1, n do futures[i]:result() end
  return { time = (clock() - start) / n, cpu = (system.processor_time(pool) - cpu) / n }
end

-- The middle of as many rounds as make the measurement worth it, of each of what is measured.
local function middle(rounds, measure, ...)
  local lists, values = {}, {}
  for _ = 1, rounds do
    for what, value in pairs(measure(...)) do
      lists[what] = lists[what] or {}
      table.insert(lists[what], value)
    end
  end
  for what, list in pairs(lists) do values[what] = report.median(list) end
  return values
end

local tasks = {
  id = "tasks", what = "cost of a task, 10^3 to 10^6 of them at once", series = SERIES,
  x = { 1000, 3000, 10000, 30000, 100000, 300000, 1000000 },
  charts = {
    cpu = {
      title = "What a task costs when there are many", subtitle = "submitted one by one to 2 workers, then all results",
      x_label = "tasks at once", y_label = "processor time per task", x_scale = "log", y_format = "seconds", y_min = 0,
    },
  },
}

function tasks.measure(series, n)
  local pool <close> = new_pool(series, 2)
  dispatch(pool, 1000)
  return middle(math.max(1, 30000 // n), dispatch, pool, n)
end

-- So many seconds of processor time in this state.
local function spin(rounds)
  local s = 0
  for i = 1, rounds do s = s + i % 7 end
  return s
end

-- Seconds of processor time.
local function whole_work(pool, pieces)
  local before = system.processor_time(pool)
  pool:map(spin, pieces):collect()
  return system.processor_time(pool) - before
end

local workers = {
  id = "workers", what = "cost of a task, and of 1000 tasks of 0.4 ms, on 1 to 64 workers", series = SERIES,
  x = { 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64 },
  charts = {
    cpu = {
      title = "What a task costs with more workers than processors",
      subtitle = "30 000 tasks that do nothing, submitted one by one", x_label = "workers",
      y_label = "processor time per task",
      x_scale = "log2", y_format = "seconds", y_min = 0, marks = { { x = 2, label = "processors" } },
    },
    work = {
      title = "The same work on more workers than processors",
      subtitle = "1000 tasks of about 0.4 ms, in a map", x_label = "workers", y_label = "processor time of all",
      x_scale = "log2", y_format = "seconds", y_min = 0, marks = { { x = 2, label = "processors" } },
    },
  },
}

function workers.measure(series, count)
  local pool <close> = new_pool(series, count)
  dispatch(pool, 1000)
  local pieces = {}
  for i = 1, 1000 do pieces[i] = 50000 end
  local measured = middle(3, dispatch, pool, 30000)
  measured.work = whole_work(pool, pieces)
  return measured
end

local payload = {
  id = "payload", what = "a string there and back, 1 B to 64 MiB (--big: 1 GiB)", series = SERIES,
  x = {}, big = { 2 ^ 27, 2 ^ 28, 2 ^ 30 }, runs = 3,
  charts = {
    cpu = {
      title = "What a string costs, there and back", subtitle = "one in flight, 2 workers",
      x_label = "size of the string", y_label = "processor time of a round trip", x_scale = "log2", x_format = "bytes",
      y_scale = "log", y_format = "seconds",
    },
    byte = {
      title = "What each byte costs, there and back", subtitle = "the same round trips, divided by the size",
      x_label = "size of the string", y_label = "processor time per byte", x_scale = "log2", x_format = "bytes",
      x_min = 2 ^ 12,
      y_scale = "log", y_format = "seconds",
      marks = {
        { x = 2 ^ 15, label = "L1" }, { x = 2 ^ 18, label = "ring" }, { x = 2 ^ 20, label = "L2" },
        { x = 2 ^ 25, label = "L3" },
      },
    },
  },
}
for e = 0, 26 do payload.x[#payload.x + 1] = (e % 2 == 0 or e > 12) and math.tointeger(2 ^ e) or nil end

local function round_trips(pool, text, n)
  for _ = 1, n do assert(#pool:submit(same, text):result() == #text) end
end

function payload.measure(series, size)
  local pool <close> = new_pool(series, 2)
  local text = ("x"):rep(size // 1)
  round_trips(pool, text, size > 1e8 and 1 or 3)
  local n = math.max(2, math.min(500, 1e8 // size))
  local start, before = clock(), system.processor_time(pool)
  round_trips(pool, text, n)
  local cpu = (system.processor_time(pool) - before) / n
  return { time = (clock() - start) / n, cpu = cpu, byte = cpu / size }
end

return { tasks, workers, payload }
