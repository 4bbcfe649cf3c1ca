-- SPDX-License-Identifier: MIT
-- Usual code, about which lua-language-server has nothing to say (tests/spec/types_spec.lua). Never run.
local async = require "async"
local futures = require "futures"
local pool = require "thread_pool".new { max_workers = 2, name = "p" }

pool:submit(print, "x")
pool:submit("math:abs", -1):add_done_callback(function(future) print(future:state()) end)
pool:submit(function(a) return 1, 2, a end, 3)
pool:submit(function(a) if a > 2 then return 1 end end, 3)
for i, a, b in pool:map(function(a) return a, 2 end, { 1 }) do print(i, a, b) end

local group <close> = async.task_group { max_concurrency = 2 }
group:create_task(function() async.sleep(1) end)
group:create_task(function(a)
  if a then return end
  async.sleep(a)
end, 2)

async.run(function() async.sleep(1) end)
async.run(function(a) return a, 2 end, 1)
async.run({ name = "x" }, function(a) return a, 2 end, 1)
async.group(function(g) g:create_task(print) end)
async.group({ name = "x" }, function(g) g:create_task(print) end)
async.shield(function() async.sleep(1) end)
async.shield(group:create_task(print))
async.catch_cancelled(function() async.sleep(1) end)
async.scope(function(scope) scope:cancel() end)
async.race({ function() async.sleep(1) end })
async.wait_for(function() async.sleep(1) end, 1)
local values = async.gather({ group:create_task(print), function() return 3 end })

local ok, err = pool:submit(error, "x"):outcome(1)
if not ok and futures.is(err, "timeout") then print(err.message, values[1]) end
