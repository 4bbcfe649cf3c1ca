-- SPDX-License-Identifier: MIT
-- What the killer's tasks do. Each is called with the path of a file, in which it leaves a mark as it begins ("b ID") and
-- as it ends ("e ID"), its id, a number of milliseconds and a text; each gives its id, unless it is to fail.
local function mark(path, what, id)
  local file <close> = assert(io.open(path, "a"))
  file:setvbuf("full")
  file:write(what, " ", id, "\n")
end

local tasks = {}

function tasks.quick(path, id)
  mark(path, "b", id)
  mark(path, "e", id)
  return id
end

function tasks.compute(path, id, ms)
  mark(path, "b", id)
  local monotonic = require("parhost").monotonic
  local limit = monotonic() + ms / 10000
  while monotonic() < limit do end
  mark(path, "e", id)
  return id
end

function tasks.block(path, id, ms)
  mark(path, "b", id)
  require("crash").block(ms / 1000)
  mark(path, "e", id)
  return id
end

function tasks.sleep(path, id, ms)
  mark(path, "b", id)
  require("async").sleep(ms / 1000)
  mark(path, "e", id)
  return id
end

function tasks.big(path, id, _, text)
  mark(path, "b", id)
  mark(path, "e", id)
  return id, text
end

function tasks.fail(path, id)
  mark(path, "b", id)
  mark(path, "e", id)
  error(id, 0)
end

function tasks.exit(path, id)
  mark(path, "b", id)
  os.exit(3)
end

-- More than any memory_limit.
function tasks.hog(path, id)
  mark(path, "b", id)
  local list = {}
  for i = 1, math.huge do list[i] = ("x"):rep(1 << 16) .. i end
  return #list
end

-- A request to a port where nobody listens.
function tasks.request(path, id)
  mark(path, "b", id)
  local ok, err = pcall(require("http").get, "http://127.0.0.1:1/", { timeout = 20 })
  if ok or not require("futures").is(err, "http") then error(err, 0) end
  mark(path, "e", id)
  return id
end

function tasks.program(path, id, _, text)
  mark(path, "b", id)
  local result = require("async").run_process { "cat", input = text }
  mark(path, "e", id)
  return id, result.stdout
end

-- A pool in a worker.
function tasks.inner(path, id)
  mark(path, "b", id)
  local pool <close> = require("proc_pool").new { max_workers = 1, max_restarts = 1 << 30 }
  local result = pool:submit(math.abs, -id):result()
  mark(path, "e", id)
  return result
end

-- Tasks of the task's own pool; for threads, where handles travel.
function tasks.nest(path, id, _, pool)
  mark(path, "b", id)
  local first, second = pool:submit(math.abs, -id), pool:submit(math.abs, id)
  local result = (first:result() + second:result()) // 2
  mark(path, "e", id)
  return result
end

-- The same in tasks on coroutines ---------------------------------------------------------------------------

local async_tasks = { quick = tasks.quick, sleep = tasks.sleep, fail = tasks.fail, request = tasks.request,
                      program = tasks.program }

function async_tasks.to_thread(path, id, ms)
  return require("async").to_thread(ms < 5 and tasks.sleep or tasks.quick, path, id, ms)
end

function async_tasks.to_process(path, id, ms)
  return require("async").to_process(ms < 5 and tasks.compute or tasks.quick, path, id, ms)
end

function async_tasks.gather(path, id, ms)
  local async = require "async"
  local list = async.gather {
    function() return tasks.quick(path, id) end,
    function() return async.sleep(ms / 1000) end,
    function() return async.to_thread(math.abs, -id) end,
  }
  return (list[1] + list[3]) // 2
end

function async_tasks.race(path, id, ms)
  local async = require "async"
  local index = async.race {
    function() return async.sleep(60) end,
    function() return async.to_thread(tasks.sleep, path, id, ms) end,
  }
  return index == 2 and id
end

function async_tasks.group(path, id, ms)
  local async = require "async"
  local task
  do
    local group <close> = async.task_group()
    task = group:create_task(tasks.sleep, path, id, ms)
    for i = 1, 3 do group:create_task(async.sleep, i / 1000) end
  end
  return task:result()
end

return { pool = tasks, async = async_tasks }
