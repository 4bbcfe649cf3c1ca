-- SPDX-License-Identifier: MIT
-- park + resume: two tasks that take turns, n turns in all.
local async = require "async"
local n = tonumber(arg[1])
local turns = 0
local function take_turns()
  for _ = 1, n // 2 do
    turns = turns + 1
    async.checkpoint()
  end
end
async.run(function()
  local group <close> = async.task_group()
  group:create_task(take_turns)
  group:create_task(take_turns)
end)
assert(turns == n // 2 * 2)
