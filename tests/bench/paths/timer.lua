-- SPDX-License-Identifier: MIT
-- Timers: n sleeps of a hundred tasks, on the virtual clock.
local async = require "async"
local rounds = tonumber(arg[1]) // 100
local woken = 0
async.run({ clock = "virtual" }, function()
  local group <close> = async.task_group()
  for k = 1, 100 do
    group:create_task(function()
      for _ = 1, rounds do
        async.sleep(k * 0.01)
        woken = woken + 1
      end
    end)
  end
end)
assert(woken == rounds * 100)
