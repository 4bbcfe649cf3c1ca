-- SPDX-License-Identifier: MIT
-- Measures and draws how much faster more processes do the work of cpu.lua: 1 to twice as many as there are processors.
--   parhost scripts/speedup.lua [file = speedup.svg] [repetitions = 5] [seconds of work = 0.2] [most workers]
local parhost = require "parhost"
local plot = require "plot"
local proc_pool = require "proc_pool"

local PIECES <const> = 64 -- of the work: many, so that no worker waits long for the last ones

local function number(text, default, name, least)
  local value = text == nil and default or tonumber(text)
  if not value or not (value >= least and value < math.huge) then
    io.stderr:write(("speedup.lua: %s: a number >= %s expected, got '%s'\n"):format(name, least, text))
    os.exit(1)
  end
  return value
end

local file = arg[1] or "speedup.svg"
local repetitions = number(arg[2], 5, "repetitions", 1) // 1
local seconds = number(arg[3], 0.2, "seconds of work", 0.001)
local cores = parhost.cpu_count()
local most = number(arg[4], 2 * cores, "most workers", 1) // 1

local function cpu_bound_task(limit)
  local sum = 0
  for i = 0, limit - 1 do sum = sum + i * i end
  return sum
end

-- The n of one piece, when all of them are to take so many seconds.
local function calibrate()
  local n <const> = 2000000
  local start = parhost.monotonic()
  cpu_bound_task(n)
  return math.max(1, seconds / PIECES / (parhost.monotonic() - start) * n // 1)
end

local function time_of(pool, pieces)
  local start = parhost.monotonic()
  pool:map(cpu_bound_task, pieces):collect()
  return parhost.monotonic() - start
end

-- All numbers of workers as long as they are few, then steps of about a tenth.
local function steps()
  local list, workers = {}, 1
  while workers < most do
    list[#list + 1] = workers
    workers = math.max(workers + 1, workers * 1.1 // 1)
  end
  list[#list + 1] = most
  return list
end

local pieces, size = {}, calibrate()
for i = 1, PIECES do pieces[i] = size end

local workers, times = steps(), {}
for i, count in ipairs(workers) do
  local pool <close> = proc_pool.new(math.tointeger(count))
  pool:warm_up()
  times[i] = {}
  for k = 1, repetitions do times[i][k] = time_of(pool, pieces) end
end

plot.speedup {
  title = "Speed-up of cpu.lua",
  subtitle = ("%d processors; median of %d, error bars from least to greatest"):format(cores, repetitions),
  workers = workers,
  seconds = times,
  marks = { { x = cores, label = "processors" } },
}:save(file):print()
