-- SPDX-License-Identifier: MIT
-- A time limit for each task: what computes longer is stopped, wherever it is; its worker goes on with the next task.
--   parhost scripts/cookbook/timeout.lua [seconds = 0.5] [limit...]     counts the primes below each limit
local futures = require "futures"
local proc_pool = require "proc_pool"

local function primes_below(limit)
  local count = 0
  for n = 2, limit - 1 do
    local prime = true
    for divisor = 2, math.floor(math.sqrt(n)) do
      if n % divisor == 0 then prime = false break end
    end
    if prime then count = count + 1 end
  end
  return count
end

local seconds = assert(tonumber(arg[1] or 0.5), "seconds: a number expected")
local limits = #arg > 1 and table.move(arg, 2, #arg, 1, {}) or { 1000, 10^12, 5000, 10^15, 10000 }
for i, limit in ipairs(limits) do
  limits[i] = assert(math.tointeger(tonumber(limit)), "limit: a whole number expected")
end

do
  local pool <close> = proc_pool.new(2)
  local limited = pool:with { timeout = seconds }
  local tasks = {}
  for i, limit in ipairs(limits) do tasks[i] = limited:submit(primes_below, limit) end
  for i, task in ipairs(tasks) do
    local ok, result = task:outcome()
    if ok then
      print(("%d primes below %d"):format(result, limits[i]))
    elseif futures.is(result, "timeout") then
      print(("below %d: given up after %.1f s"):format(limits[i], result.seconds))
    else
      error(result, 0)
    end
  end
end
