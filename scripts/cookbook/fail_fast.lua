-- SPDX-License-Identifier: MIT
-- The first error cancels the rest: what waits is dropped, what runs in other processes is stopped and cleans up.
--   parhost scripts/cookbook/fail_fast.lua [number of the job that fails = 2]
local async = require "async"
local futures = require "futures"
local proc_pool = require "proc_pool"

local failing = assert(tonumber(arg[1] or 2), "a number expected")

local function job(n)
  if n == failing then error(("job %d: the disk is full"):format(n), 0) end
  local _ <close> = setmetatable({}, { __close = function() print(("job %d cleans up"):format(n)) end })
  while true do end -- a long computation
end

async.run(function()
  local pool <close> = proc_pool.new(3)
  local jobs = async.with { pool = pool }
  local ok, err = pcall(async.group, function(tg)
    for n = 1, 10 do
      tg:create_task(function() return jobs:to_process(job, n) end)
    end
  end)
  assert(not ok and futures.is(err, "group"))
  for _, failure in ipairs(err:flatten()) do print("failed: " .. failure) end
  print(("%d failed, %d cancelled"):format(pool:stats().failed, pool:stats().cancelled))
end)
