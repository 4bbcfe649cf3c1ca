-- SPDX-License-Identifier: MIT
-- Tasks whose globals are the real ones: busted gives the spec files an environment of their own.
local tasks = { big = {} }

function tasks.surroundings()
  local pipe = assert(io.popen("echo $(pwd) $(nice)"))
  local text = pipe:read("l")
  pipe:close()
  return text
end

-- What only this worker's state has.
function tasks.thread_id()
  tasks.token = tasks.token or math.random(1 << 60)
  return tasks.token
end

function tasks.first_and_length(list)
  return list[1], #list
end

function tasks.await(future) return future:result() end

function tasks.fail(message)
  error(message, 0)
end

function tasks.worker_pid()
  return require("parhost").worker().pid
end

function tasks.check_for_ever()
  while true do require("parhost").check_cancelled() end
end

-- A run in a worker.
function tasks.run_async()
  local async = require "async"
  return async.run(function()
    async.sleep(0.001)
    return "done"
  end)
end

-- A run in a worker that lasts until it is cancelled; it has begun when the gate is open.
function tasks.run_async_for_ever(path)
  local async, gate = require "async", require "tests.spec.support.gate"
  async.run(function()
    local _ <close> = setmetatable({}, { __close = function() async.shield(async.sleep, 0.01) end })
    gate.pass(path)
    async.sleep(100)
  end)
end

-- What a worker of a pool that this one makes has in its environment.
function tasks.getenv_below(name, options)
  local pool <close> = require "proc_pool".new(options)
  return pool:submit("os:getenv", name):result()
end

return tasks
