-- SPDX-License-Identifier: MIT
-- How it grows: cost per task as tasks become many, memory as they pass through, two workers against none.
local function clock() return require "parhost".monotonic() end

local function same(i) return i end

local function resident()
  local file <close> = assert(io.open "/proc/self/statm")
  local _, pages = file:read("n", "n")
  return pages * require("parhost.core.inspect").page
end

local function cost_per_task(pool, n)
  local futures, start = {}, clock()
  for i = 1, n do futures[i] = pool:submit(same, i) end
  for i = 1, n do futures[i]:result() end
  return (clock() - start) / n
end

-- The dearest size against the cheapest.
local function flat(largest)
  local cheapest, dearest = math.huge, 0
  local n = math.min(largest, 1000)
  while n <= largest do
    local pool <close> = require "proc_pool".new(2)
    cost_per_task(pool, 1000) -- workers are up
    local cost = math.huge
    for _ = 1, math.max(1, 20000 // n) do cost = math.min(cost, cost_per_task(pool, n)) end
    cheapest, dearest = math.min(cheapest, cost), math.max(dearest, cost)
    n = n * 10
  end
  return dearest / cheapest, true
end

local function submit_and_forget(n)
  local pool <close> = require "proc_pool".new { max_workers = 2, max_queue = 1000 }
  for i = 1, n // 10 do pool:submit(same, i) end
  local before = resident()
  for i = 1, n do pool:submit(same, i) end
  return (resident() - before) / 1e6, true
end

-- Tasks of about 50 us: time in this state against time in a pool of two.
local function against_serial(n)
  local function work(rounds)
    local s = 0
    for i = 1, rounds do s = s + i % 7 end
    return s
  end
  local start = clock()
  work(1000000)
  local rounds = math.ceil(50e-6 / (clock() - start) * 1000000)
  local pool <close> = require "proc_pool".new(2)
  pool:submit(work, 1):result()
  start = clock()
  local serial_sum = 0
  for _ = 1, n do serial_sum = serial_sum + work(rounds) end
  local serial = clock() - start
  start = clock()
  local futures, sum = {}, 0
  for i = 1, n do futures[i] = pool:submit(work, rounds) end
  for i = 1, n do sum = sum + futures[i]:result() end
  return serial / (clock() - start), sum == serial_sum
end

return {
  {
    id = "grow1", what = "cost of a task, 10^3 to 10^6: dearest / cheapest", unit = "x", n = 1000000, smoke = 1000, runs = 1,
    needs = { "proc_pool" }, ours = flat, floor = 1.5, target = 1.25,
  },
  {
    id = "grow2", what = "memory over 10^6 submitted and forgotten", unit = "MB", n = 1000000, smoke = 1000, runs = 1,
    needs = { "proc_pool" }, ours = submit_and_forget, floor = 4, target = 1,
  },
  {
    id = "grow3", what = "tasks of 50 us: serial / 2 workers", unit = "x", more = true, n = 4000, smoke = 20,
    needs = { "proc_pool" }, ours = against_serial, floor = 1, target = 1.5,
  },
}
