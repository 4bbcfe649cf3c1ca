-- SPDX-License-Identifier: MIT
-- Twenty clients that are answered every few milliseconds, but now and then none is for a long while. Why? docs/report.md
-- looks for it in the timeline.
local async = require "async"

local function answer(times)
  for _ = 1, times do async.sleep(0.005) end
end

local function checksum(n)
  local sum = 0
  for i = 1, n do sum = (sum * 31 + i) % 65521 end
  return sum
end

local function housekeeping()
  for _ = 1, 3 do
    async.sleep(0.04)
    local begin = os.clock()
    while os.clock() - begin < 0.08 do checksum(10000) end
  end
end

async.run(function()
  local clients <close> = async.task_group()
  for _ = 1, 20 do clients:create_task(answer, 60) end
  clients:with { name = "housekeeping" }:create_task(housekeeping)
end)
print "done"
