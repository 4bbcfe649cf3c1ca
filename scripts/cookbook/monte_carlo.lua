-- SPDX-License-Identifier: MIT
-- Random numbers that can be reproduced: with a seed, each task has a stream of its own, however many workers there are.
--   parhost scripts/cookbook/monte_carlo.lua [seed = 42] [million points = 4]
local thread_pool = require "thread_pool"

local TASKS <const> = 64
local seed = assert(math.tointeger(tonumber(arg[1] or 42)), "seed: a whole number expected")
local millions = assert(tonumber(arg[2] or 4), "million points: a number expected")
local points = math.tointeger(millions * 1000000 // TASKS)

local function hits(n)
  local inside = 0
  for _ = 1, n do
    local x, y = math.random(), math.random()
    if x * x + y * y <= 1 then inside = inside + 1 end
  end
  return inside
end

local function estimate_pi(workers)
  local pool <close> = thread_pool.new { max_workers = workers, seed = seed }
  local tasks, total = {}, 0
  for i = 1, TASKS do tasks[i] = pool:submit(hits, points) end
  for task in thread_pool.as_completed(tasks) do total = total + task:result() end
  return 4 * total / (TASKS * points)
end

for _, workers in ipairs { 1, 2, 4 } do
  print(("%d workers: pi is about %.6f"):format(workers, estimate_pi(workers)))
end
