-- SPDX-License-Identifier: MIT
-- Coroutines in a task group: three tasks that sleep at the same time.
--   parhost scripts/async.lua
local async = require "async"

local function task(name, delay)
  print(("Task %s started, will sleep for %s seconds."):format(name, delay))
  async.sleep(delay)
  print(("Task %s finished."):format(name))
  return "Result from " .. name
end

local function main()
  local start = async.time()
  print "Starting TaskGroup..."
  local t1, t2, t3
  do
    local tg <close> = async.task_group()
    t1 = tg:create_task(task, "A", 2)
    t2 = tg:create_task(task, "B", 1)
    t3 = tg:create_task(task, "C", 3)
  end -- leaving the block waits for all of them
  print "All tasks in TaskGroup have completed."
  print("Result of t1: " .. t1:result())
  print("Result of t2: " .. t2:result())
  print("Result of t3: " .. t3:result())
  print(("Total execution time: %.2f seconds."):format(async.time() - start))
end

async.run(main)
