-- SPDX-License-Identifier: MIT
-- Ctrl-C done well: what is finished is kept, what runs is stopped, what waits is dropped; then it dies as shells expect.
--   parhost scripts/cookbook/ctrl_c.lua [tasks = 20] [seconds of each = 0.1]     press Ctrl-C at any time
local async = require "async"
local proc_pool = require "proc_pool"

local count = assert(math.tointeger(tonumber(arg[1] or 20)), "tasks: a whole number expected")
local seconds = assert(tonumber(arg[2] or 0.1), "seconds: a number expected")

local function job(n, duration)
  require("async").sleep(duration)
  return n * n
end

local function work(results)
  local pool <close> = proc_pool.new(2)
  local tasks = {}
  for n = 1, count do tasks[n] = pool:submit(job, n, seconds) end
  for task in async.as_completed(tasks) do
    results[#results + 1] = task:result()
    io.write("."):flush()
  end
end

async.run(function()
  local results = {}
  local finished, why = async.catch_cancelled(work, results)
  print()
  if finished then return print(("all %d done"):format(#results)) end
  -- Here one would save them. What waits needs async.shield, for the task is still cancelled.
  print(("interrupted (%s): %d of %d are done and saved"):format(why.source, #results, count))
end)
