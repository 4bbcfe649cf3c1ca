-- SPDX-License-Identifier: MIT
-- Progress: results as they come, and a line on stderr with what is done and how long it may take still.
--   parhost scripts/cookbook/progress.lua [tasks = 40] [seconds = 1]     pieces of so much computing in all
local parhost = require "parhost"
local proc_pool = require "proc_pool"

local function compute(seconds)
  local stop = os.clock() + seconds
  local steps = 0
  while os.clock() < stop do steps = steps + 1 end
  return steps
end

local total = assert(math.tointeger(tonumber(arg[1] or 40)), "tasks: a whole number expected")
local seconds = assert(tonumber(arg[2] or 1), "seconds: a number expected")
local pieces = {}
for i = 1, total do pieces[i] = seconds / total * (0.5 + i / total) end

local steps = 0
do
  local pool <close> = proc_pool.new()
  for _, more in parhost.progress(pool:map_unordered(compute, pieces), { label = "pieces" }) do steps = steps + more end
end
print(("%d tasks, %d steps"):format(total, steps))
