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

-- Helping: what runs in the only worker of `pool` ------------------------------------------------------------

-- Waits for tasks of its own pool in a group, as_completed, wait, map, race.
function together.await_own_pool(pool)
  local async, futures = require "async", require "futures"
  local function several()
    local list = {}
    for i = 1, 4 do list[i] = pool:submit(math.abs, -i) end
    return list
  end
  return async.run(function()
    local sum, total = 0, 0
    local gathered = async.gather(several())
    for f in futures.as_completed(several()) do sum = sum + f:result() end
    local done = futures.wait(several())
    for _, v in pool:map(math.abs, { -1, -2, -3 }) do total = total + v end
    for _, v in pool:map_unordered(math.abs, { -1, -2, -3 }) do total = total + v end
    local index = async.race { async.sleep_forever, pool:submit(math.abs, -1) }
    return #gathered, sum, #done, total, index
  end)
end

-- Runs on top of each other, n of them.
function together.run_on_runs(pool, n)
  local async = require "async"
  return async.run(function()
    if n == 0 then return "at the bottom" end
    async.sleep(0.001)
    return pool:submit("support.together:run_on_runs", pool, n - 1):result()
  end)
end

-- Three words on who is who.
function together.run_on_top(pool)
  local async = require "async"
  local said = {}
  local function inner()
    async.run(async.sleep, 0.02)
    return "inner ended"
  end
  async.run({ name = "outer" }, function()
    async.create_task(function()
      async.sleep(0.001)
      said[2] = "outer went on"
    end)
    said[1] = pool:submit(inner):result()
    said[3] = async.current_task():name() .. " is main"
  end)
  return table.unpack(said)
end

function together.leave_waiting_tasks(pool)
  local async = require "async"
  local said = {}
  said[3] = async.run(function()
    async.create_task(async.shield, function() said[1] = "shielded " .. pool:submit(math.abs, -9):result() end)
    async.sleep(0)
    async.create_task(function()
      local _ <close> = setmetatable({}, { __close = function()
        async.shield(function() said[2] = "close " .. pool:submit(math.abs, -8):result() end)
      end })
      async.sleep(100)
    end)
    async.sleep(0)
    return "main"
  end)
  return table.unpack(said)
end

function together.virtual_on_top(pool)
  local async = require "async"
  local function inner() async.run({ clock = "virtual" }, async.sleep, 1) end
  async.run(function() return pool:submit(inner):result() end)
end

-- A task of the run stops, twice, what lies on top of the run: once a run, once plain code.
function together.stop_on_top(pool)
  local async = require "async"
  local function in_run() async.run(async.sleep_forever) end
  local function in_plain_code() async.sleep_forever() end
  return async.run(function()
    local state
    for _, inner in ipairs { in_run, in_plain_code } do
      local f = pool:submit(inner)
      local stopper = async.create_task(function()
        async.sleep(0.01)
        f:cancel { force = true }
        for _ = 1, 1000 do async.checkpoint() end
        return "went on"
      end)
      f:wait()
      state = f:state()
      assert(state == "cancelled" and stopper:result() == "went on")
    end
    return state, "outer goes on"
  end)
end

function together.wait_for_nothing()
  local async, futures = require "async", require "futures"
  async.run(function()
    local promise = futures.new()
    async.create_task(promise.result, promise):result()
  end)
end

-- A promise that only something else will fulfil: a timer, a program, ...
function together.wait_beside(what, pool, url)
  local async, futures, http = require "async", require "futures", require "http"
  local ways = {
    timer = function() async.sleep(0.02) end,
    program = function() async.run_process { "sleep", "0.02" } end,
    request = function() pcall(http.get, url .. "/silent", { timeout = 0.05 }) end,
    thread = function() async.to_thread(async.sleep, 0.02) end,
    process = function() async.to_process(async.sleep, 0.02) end,
    own = function() pool:submit(async.sleep, 0.02):result() end,
  }
  return async.run(function()
    local promise = futures.new()
    async.create_task(function()
      ways[what]()
      promise:set_result(what)
    end)
    return promise:result()
  end)
end

-- Being stopped ---------------------------------------------------------------------------------------------

-- Waits at the gate, then for something that does not come.
function together.wait_at(where, path, url, pool)
  local async, futures, http = require "async", require "futures", require "http"
  local waits = {
    sleep = function() async.sleep(100) end,
    request = function() http.get(url .. "/silent") end,
    future = function()
      local promise = futures.new()
      async.create_task(async.sleep, 100)
      promise:result()
    end,
    pool = function() while true do pool:submit(async.sleep, 0.01):result() end end, -- a stop waits for what lies on top
    program = function() async.run_process { "sleep", "100" } end,
  }
  require("tests.spec.support.gate").pass(path)
  local inside = where:match("^task_(.*)")
  while true do
    if inside then pcall(async.run, waits[inside]) else pcall(waits[where]) end
  end
end

-- Requests --------------------------------------------------------------------------------------------------

-- How many of n requests at once are answered with 200.
function together.many_requests(url, n)
  local async, http = require "async", require "http"
  return async.run(function()
    local good = 0
    local tg <close> = async.task_group()
    for _ = 1, n do
      tg:create_task(function()
        if http.get(url .. "/echo", { timeout = 30 }).status == 200 then good = good + 1 end
      end)
    end
    tg:join()
    return good
  end)
end

-- How many of n were given up when their time was up; the status of one after them.
function together.requests_that_time_out(url, n)
  local async, futures, http = require "async", require "futures", require "http"
  return async.run(function()
    local late = 0
    local function try()
      local _ <close> = async.timeout(0.05)
      http.get(url .. "/silent")
    end
    local tg <close> = async.task_group()
    for _ = 1, n do
      tg:create_task(function()
        local ok, err = pcall(try)
        if not ok and futures.is(err, "timeout") then late = late + 1 end
      end)
    end
    tg:join()
    return late, http.get(url .. "/echo", { timeout = 30 }).status
  end)
end

-- Everywhere the same ---------------------------------------------------------------------------------------

-- A request, a sleep, a look at cancellation. Gives the status, the method that the server saw, nil, whether it slept.
function together.everything(url, what)
  local async, http, parhost = require "async", require "http", require "parhost"
  local begun = parhost.monotonic()
  async.sleep(0.01)
  local slept = parhost.monotonic() - begun >= 0.01
  parhost.check_cancelled()
  local response = http.post(url .. "/echo", { body = "text", timeout = 20 })
  if what == "raise" then error("my own error", 0) end
  if what == "time out" then async.wait_for(async.sleep, 0.01, 100) end
  return response.status, response:json().method, nil, slept
end

function together.in_run(name, ...)
  return require("async").run(together[name], ...)
end

function together.in_pool(kind, name, ...)
  local pool <close> = require(kind == "process" and "proc_pool" or "thread_pool").new(1)
  return pool:submit("tests.spec.support.together:" .. name, ...):result()
end

return together
