-- SPDX-License-Identifier: MIT
-- A watchdog: looks at the workers, finds the one that has not got on for too long, and has it replaced.
--   parhost scripts/cookbook/watchdog.lua [seconds a task may take = 0.5] [tasks = 8]     the third one hangs
local async = require "async"
local parhost = require "parhost"
local proc_pool = require "proc_pool"

local limit = assert(tonumber(arg[1] or 0.5), "seconds: a number expected")
local count = assert(math.tointeger(tonumber(arg[2] or 8)), "tasks: a whole number expected")

local function job(n)
  if n == 3 then os.execute "exec sleep 1000" end -- stuck in C: asking it to stop does not help
  return n * n
end

-- `tasks` by their numbers in the pool, as pool:workers() names them.
local function watch(pool, tasks)
  while true do
    async.sleep(limit / 5)
    for _, worker in ipairs(pool:workers()) do
      local age = parhost.monotonic() - worker.since
      if worker.state == "busy" and age > limit then
        print(("worker %d is stuck in task %d"):format(worker.id, worker.task))
        tasks[worker.task]:cancel { force = true, grace = 0, reason = "stuck" }
      end
    end
  end
end

async.run(function()
  local pool <close> = proc_pool.new(2)
  local tasks = {}
  for n = 1, count do tasks[n] = pool:submit(job, n) end
  local tg <close> = async.task_group()
  tg:service(watch, pool, tasks)
  for n, task in ipairs(tasks) do
    local ok, result = task:outcome()
    print(("task %d: %s"):format(n, ok and result or result.reason))
  end
  print(("%d completed, %d cancelled"):format(pool:stats().completed, pool:stats().cancelled))
end)
