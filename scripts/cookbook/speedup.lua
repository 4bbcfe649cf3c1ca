-- SPDX-License-Identifier: MIT
-- Measures what more workers gain: the same work with 1, 2, 4 ... of them, in threads and in processes.
--   parhost scripts/cookbook/speedup.lua [most workers = processors] [seconds of work = 0.4]
local parhost = require "parhost"

local most = assert(math.tointeger(tonumber(arg[1] or parhost.cpu_count())), "most workers: a whole number expected")
local seconds = assert(tonumber(arg[2] or 0.4), "seconds of work: a number expected")
local PIECES <const> = 32

local function spin(steps)
  local x = 0
  for i = 1, steps do x = (x * 31 + i) % 1000003 end
  return x
end

-- Steps that take so many seconds in one worker.
local function calibrate()
  local start, steps = parhost.monotonic(), 2000000
  spin(steps)
  return math.tointeger(seconds / PIECES * steps / (parhost.monotonic() - start) // 1)
end

local function measure(kind, workers, pieces)
  local pool <close> = require(kind).new(workers)
  pool:warm_up()
  local start = parhost.monotonic()
  pool:map(spin, pieces):collect()
  return parhost.monotonic() - start
end

local steps, pieces = calibrate(), {}
for i = 1, PIECES do pieces[i] = steps end
print "pool         workers  seconds  speed-up  efficiency"
for _, kind in ipairs { "thread_pool", "proc_pool" } do
  local alone = measure(kind, 1, pieces)
  local workers = 1
  while workers <= most do
    local time = workers == 1 and alone or measure(kind, workers, pieces)
    print(("%-12s %7d %8.3f %9.2f %10.0f%%"):format(kind, workers, time, alone / time, 100 * alone / time / workers))
    workers = workers * 2
  end
end
