-- SPDX-License-Identifier: MIT
-- What the specs of threads, processes, tasks and requests together run in workers.
local together = {}

function together.in_threads(n)
  local pool <close> = require("thread_pool").new(1)
  return pool:submit(math.abs, -n):result()
end

function together.in_processes(n)
  local pool <close> = require("proc_pool").new()
  return pool:submit(math.abs, -n):result()
end

function together.in_tasks(n)
  local async = require "async"
  return async.run(function()
    local t = async.create_task(function()
      async.sleep(0.001)
      return n
    end)
    return t:result()
  end)
end

-- By default pools, and by a program.
function together.in_all(a, b, c)
  local async = require "async"
  return async.run(function()
    local list = async.gather {
      function() return async.to_process(math.abs, -a) end,
      function() return async.to_thread(math.abs, -b) end,
      function() return async.run_process({ "echo", tostring(c) }).stdout:match("%d+") end,
    }
    return table.unpack(list)
  end)
end

-- A pool in the worker of a pool ...
function together.deeper(n)
  if n == 0 then return "at the bottom" end
  local pool <close> = require("proc_pool").new()
  return pool:submit("tests.spec.support.together:deeper", n - 1):result()
end

-- Writes the pid of a worker of its own, and its own, to the pipe at `path`; then waits for ever.
function together.keep_inner_worker(path)
  local parhost = require "parhost"
  local pool <close> = require("proc_pool").new()
  local pid = pool:submit("tests.spec.support.tasks:worker_pid"):result()
  local file = assert(io.open(path, "w"))
  file:write(pid, " ", parhost.worker().pid, "\n")
  file:close()
  pool:submit("tests.spec.support.tasks:check_for_ever"):result()
end

local function nice()
  local pipe <close> = assert(io.popen("nice"))
  return pipe:read("n")
end

-- Of this worker, of one of a pool that it makes, of one of a nicer pool.
function together.niceness()
  local proc_pool = require "proc_pool"
  local same <close> = proc_pool.new()
  local nicer <close> = proc_pool.new { nice = 3 }
  return nice(), same:submit(nice):result(), nicer:submit(nice):result()
end

-- Jobs that go on until they are stopped, which their <close> variable writes to the file `mark`. They run when the gate is
-- open.
local function until_stopped(step)
  return function(path, mark)
    local _ <close> = setmetatable({}, { __close = function()
      local file <close> = assert(io.open(mark, "w"))
      file:write("closed")
    end })
    require("tests.spec.support.gate").pass(path)
    while true do step() end
  end
end

together.loops_until_stopped = until_stopped(function() end)
together.checks_until_stopped = until_stopped(function() require("parhost").check_cancelled() end)
together.sleeps_until_stopped = until_stopped(function() pcall(require("async").sleep, 100) end)
together.awaits_until_stopped = until_stopped(function()
  local f = require("async").create_task(require("async").sleep_forever)
  pcall(f.result, f)
end)

return together
