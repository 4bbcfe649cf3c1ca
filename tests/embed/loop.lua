-- SPDX-License-Identifier: MIT
-- `say` is a function of the tool.
local async = require "async"
local pool = require "thread_pool".new(1)

local function count(line)
  local words = 0
  for _ in line:gmatch "%S+" do words = words + 1 end
  return words
end

function handle(line)
  if line == "" then error("an empty line", 0) end
  async.create_task(function() -- goes on in the tool's loop
    local words = pool:submit(count, line):result()
    async.sleep(0.03)
    say(("%s: %d"):format(line, words))
  end)
end
