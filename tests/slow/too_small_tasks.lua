-- SPDX-License-Identifier: MIT
-- Sums of squares in two processes, and slower than in one. Why? docs/report.md looks for it in the timeline.
local proc_pool = require "proc_pool"

local function square(n)
  return n * n
end

do
  local pool <close> = proc_pool.new { max_workers = 2 }
  local futures = {}
  for i = 1, 5000 do futures[i] = pool:submit(square, i) end
  local sum = 0
  for _, future in ipairs(futures) do sum = sum + future:result() end
  print(sum)
end
