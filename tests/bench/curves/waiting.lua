-- SPDX-License-Identifier: MIT
-- One state that waits for very much: sleeping tasks, requests in flight.
local async = require "async"
local parhost = require "parhost"
local report = require "support.report"
local servers = require "support.servers"
local sides = require "support.sides"
local system = require "support.system"

local clock = parhost.monotonic

local SIZES <const> = { 100, 300, 1000, 3000, 10000, 30000, 100000, 300000, 1000000 }

local sleepers = {
  id = "sleepers", what = "processor time of tasks that sleep, 10^2 to 10^6 at once", series = { "tasks" }, x = SIZES,
  charts = { cpu = {
    title = "What a sleeping task costs", subtitle = "started, asleep for 1 ms, and ended, in one group",
    x_label = "tasks at once", y_label = "processor time per task", x_scale = "log", y_format = "seconds", y_min = 0,
  } },
}

local asleep = {
  id = "asleep", what = "memory of 10^2 to 10^6 sleeping tasks, and after their end", series = { "tasks" }, x = SIZES,
  runs = 1,
  charts = {
    bytes = {
      title = "What memory a sleeping task takes", x_label = "tasks at once", y_label = "bytes per task",
      x_scale = "log", y_min = 0,
    },
    left = {
      title = "Memory after so many tasks were cancelled", subtitle = "and their garbage collected",
      x_label = "tasks that were asleep at once", y_label = "resident memory, more than before", x_scale = "log",
      y_scale = "log2", y_format = "bytes",
    },
  },
}

local QUIET <const> = { slow_step = 3600 } -- a million tasks hold the loop for a while

-- Seconds of processor time for each of n tasks.
local function start_and_end(n)
  local start = os.clock()
  async.run(QUIET, function()
    local group <close> = async.task_group()
    for _ = 1, n do group:create_task(async.sleep, 0.001) end
  end)
  return (os.clock() - start) / n
end

local function middle_of(rounds, measure, n)
  local values = {}
  for i = 1, rounds do values[i] = measure(n) end
  return report.median(values)
end

function sleepers.measure(_, n)
  start_and_end(100)
  return { cpu = middle_of(math.max(1, 30000 // n), start_and_end, n) }
end

-- Bytes for each of n tasks while all of them sleep. Then they are cancelled.
local function sleep_and_cancel(n)
  local bytes
  async.run(QUIET, function()
    collectgarbage()
    local before = system.resident()
    async.group(function(group)
      for _ = 1, n do group:create_task(async.sleep_forever) end
      async.checkpoint()
      bytes = (system.resident() - before) / n
      group:cancel()
    end)
  end)
  return bytes
end

function asleep.measure(_, n)
  sleep_and_cancel(10)
  local before = system.resident()
  local bytes = sleep_and_cancel(n)
  collectgarbage()
  collectgarbage()
  return { bytes = bytes, left = math.max(1, system.resident() - before) }
end

local requests = {
  id = "requests", what = "100 to 10^4 requests in flight, nginx on the loopback", series = { "one", "many" },
  names = { one = "one session", many = "a session for each 500 tasks" },
  x = { 100, 200, 500, 1000, 2000, 5000, 10000 },
  charts = {
    cpu = {
      title = "What a request costs with many in flight",
      subtitle = "GETs of 1 KB; processor time of the program, without nginx",
      x_label = "in flight", y_label = "processor time", x_scale = "log", y_format = "seconds", y_min = 0,
    },
    bytes = {
      title = "Memory of a request in flight", x_label = "in flight", y_label = "bytes per request", x_scale = "log",
      y_format = "bytes", y_min = 0,
    },
  },
}

function requests.setup()
  return servers.nginx(sides.folder, 11000)
end

-- n requests by so many tasks, each on a connection that is kept.
local function get_all(sessions, url, in_flight, n)
  local taken = 0
  local group <close> = async.task_group()
  for i = 1, in_flight do
    local session = sessions[i % #sessions + 1]
    group:create_task(function()
      while taken < n do
        taken = taken + 1
        assert(#session:get(url).body == 1024)
      end
    end)
  end
end

function requests.measure(series, in_flight)
  local http, url, measured, sessions = require "http", os.getenv "BENCH_URL", {}, {}
  async.run(function()
    for i = 1, series == "one" and 1 or math.max(1, in_flight // 500) do sessions[i] = http.session() end
    get_all(sessions, url, 10, 100)
    local before = system.resident()
    get_all(sessions, url, in_flight, in_flight) -- connections are there
    measured.bytes = (system.resident() - before) / in_flight
    local n = math.max(20000, 2 * in_flight)
    local start, cpu = clock(), os.clock()
    get_all(sessions, url, in_flight, n)
    measured.rate, measured.cpu = n / (clock() - start), (os.clock() - cpu) / n
    for _, session in ipairs(sessions) do session:close() end
  end)
  return measured
end

return { sleepers, asleep, requests }
