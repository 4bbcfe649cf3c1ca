-- SPDX-License-Identifier: MIT
-- The random walk of tests/spec/async_walk_spec.lua, 10^5 steps at a time.
--   parhost tests/stress/async_walk.lua [seeds = 10] [first seed = 1]
local futures = require "futures"
local walk = require "tests.spec.support.walk"

local seeds, first = tonumber(arg[1]) or 10, tonumber(arg[2]) or 1
futures.on_unhandled(function() end)
warn "@off" -- groups in generators that were cut off say so
for seed = first, first + seeds - 1 do
  local counted = walk.run(seed, 100000)
  print(("seed %d: %d opened, %d closed, %d cancelled, %d finished"):format(
    seed, counted.opened, counted.closed, counted.cancelled, counted.finished))
  assert(counted.opened == counted.closed and counted.twice == 0, "a <close> variable was not closed exactly once")
  assert(counted.left == 0, "tasks are left")
end
