-- SPDX-License-Identifier: MIT
-- Programs with a job log that are killed at random moments and started again; tests/stress/joblog_kill.lua says what has
-- to hold.
package.path = "tests/stress/?.lua;" .. package.path
local kill = require "joblog_kill"

describe("a job log whose programs are killed", function()
  for i, how in ipairs { "map", "chunks", "map_unordered", "submit" } do
    for _, kind in ipairs { "proc_pool", "thread_pool" } do
      it(("%s, %s"):format(kind, how), function()
        math.randomseed(i)
        kill.run(kind, how, math.random)
      end)
    end
  end
end)
