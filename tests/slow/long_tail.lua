-- SPDX-License-Identifier: MIT
-- Pages of different sizes, in two processes that take turns well at first. Why is the end so slow? docs/report.md looks
-- for it in the timeline.
local proc_pool = require "proc_pool"

local SIZES <const> = { 3, 4, 2, 5, 3, 4, 3, 2, 4, 3, 5, 2, 3, 4, 3, 2, 4, 3, 5, 60 }

local function render(size)
  local begin = os.clock()
  while os.clock() - begin < size * 0.005 do end
  return size
end

do
  local pool <close> = proc_pool.new { max_workers = 2 }
  local pages = 0
  for _, size in pool:map(render, SIZES) do pages = pages + size end
  print(pages)
end
