-- SPDX-License-Identifier: MIT
-- The same thing very often: what must stay flat is memory, that of worker processes as well; what must come back are
-- descriptors, threads, processes.
--
--   parhost tests/stress/soak.lua [part[=size]...]        all parts in full; or these, so often
--
-- proc, thread      submits through a pool with a bounded queue (1,000,000)
-- maps              items of maps with a buffer, through both kinds of pools (1,000,000)
-- async             tasks on coroutines, at most 1000 at a time (1,000,000)
-- jobs              async.to_thread and async.to_process, at most 100 at a time (200,000)
-- programs          async.run_process (5,000)
-- requests          http.get, refused (20,000)
-- pools             pools of both kinds opened, used and closed (1,000)
local proc_pool = require "proc_pool"
local thread_pool = require "thread_pool"
local async = require "async"
local census = require "tests.stress.support.census"
local http = require "http"
local monotonic = require("parhost").monotonic

local SAMPLES <const> = 20
local WARM <const> = SAMPLES // 5 -- from here on memory is to stay
local BOUND <const> = 6 << 20 -- bytes

-- Memory ----------------------------------------------------------------------------------------------------

local function memory_of(pool)
  local workers = 0
  for _, worker in ipairs(pool and pool:workers() or {}) do
    if worker.pid then workers = workers + (census.rss(worker.pid) or 0) end
  end
  return { own = census.collected(), workers = workers }
end

-- Calls sample() after each twentieth of n: to be called with each number from 1 to n.
local function sampler(n, pool)
  local list = {}
  local step = math.max(1, n // SAMPLES)
  return list, function(i)
    if i % step == 0 and #list < SAMPLES then list[#list + 1] = memory_of(pool) end
  end
end

local function check_growth(list, what)
  local warm, last = list[math.min(WARM, #list)][what], list[#list][what]
  local text = ("%s %s -> %s"):format(what, census.mb(warm), census.mb(last))
  assert(last - warm <= census.bound(BOUND), "memory grows: " .. text)
  return text
end

-- Parts -----------------------------------------------------------------------------------------------------

local parts = {}

local function submit_many(module, n)
  local pool <close> = module.new { max_workers = 2, max_queue = 1000 }
  local list, sample = sampler(n, pool)
  local sum, settled = 0, 0
  local function count(future)
    sum, settled = sum + future:result(), settled + 1
  end
  for i = 1, n do
    pool:submit(math.abs, -i):add_done_callback(count)
    sample(i)
  end
  assert(pool:drain(60), "the pool does not come to rest")
  assert(settled == n and sum == n * (n + 1) // 2, ("%d futures settled, sum %d"):format(settled, sum))
  return list
end

function parts.proc(n) return submit_many(proc_pool, n) end
function parts.thread(n) return submit_many(thread_pool, n) end

local function counter(n)
  local i = 0
  return function()
    if i < n then
      i = i + 1
      return i
    end
  end
end

function parts.maps(n)
  local list, sample = sampler(n)
  local pools <close> = setmetatable({ proc_pool.new(2), thread_pool.new(2) }, { __close = function(pools)
    for _, pool in ipairs(pools) do pool:close() end
  end })
  local seen = 0
  for k, pool in ipairs(pools) do
    for i, value in pool:with { chunk_size = 10, buffer_size = 500 }:map(math.abs, counter(n // 2)) do
      assert(i == value)
      seen = seen + 1
      sample(seen)
    end
    assert(seen == n // 2 * k, "items are missing")
  end
  return list
end

-- n tasks, at most `width` at a time.
local function run_tasks(n, width, fn)
  local list, sample = sampler(n)
  local done = 0
  async.run(function()
    local places = async.semaphore(width)
    local group <close> = async.task_group()
    for i = 1, n do
      places:acquire()
      group:create_task(function()
        fn(i)
        done = done + 1
        places:release()
      end)
      sample(i)
    end
  end)
  assert(done == n, "tasks are missing")
  return list
end

function parts.async(n) return run_tasks(n, 1000, async.checkpoint) end

function parts.jobs(n)
  return run_tasks(n, 100, function(i)
    assert((i % 2 == 0 and async.to_thread or async.to_process)(math.abs, -i) == i)
  end)
end

function parts.programs(n)
  return run_tasks(n, 10, function() assert(async.run_process({ "echo", "x" }).stdout == "x\n") end)
end

function parts.requests(n)
  return run_tasks(n, 20, function() assert(not pcall(http.get, "http://127.0.0.1:1/")) end)
end

function parts.pools(n)
  local list, sample = sampler(n)
  for i = 1, n do
    local module = i % 2 == 0 and proc_pool or thread_pool
    local pool <close> = module.new { max_workers = 2 }
    assert(pool:submit(math.abs, -i):result() == i)
    sample(i)
  end
  return list
end

local SIZES <const> = { { "proc", 1000000 }, { "thread", 1000000 }, { "maps", 1000000 }, { "async", 1000000 },
                        { "jobs", 200000 }, { "programs", 5000 }, { "requests", 20000 }, { "pools", 1000 } }

-- The run ---------------------------------------------------------------------------------------------------

-- { { part, size }, ... } from the arguments.
local function read_arguments()
  local chosen, default = {}, {}
  for _, row in ipairs(SIZES) do default[row[1]] = row[2] end
  for _, argument in ipairs(arg) do
    local name, size = argument:match "^(%a+)=?(%d*)$"
    if not default[name or ""] then error(("soak: no part '%s'"):format(argument), 0) end
    chosen[#chosen + 1] = { name, math.tointeger(tonumber(size)) or default[name] }
  end
  return chosen[1] and chosen or SIZES
end

local chosen = read_arguments()
for _, name in ipairs { "proc", "thread", "pools", "programs", "requests" } do parts[name](name == "pools" and 2 or 1) end
local before = census.take()
for _, row in ipairs(chosen) do
  local name, n = row[1], row[2]
  local start = monotonic()
  local list = parts[name](n)
  local text = check_growth(list, "own")
  if list[#list].workers > 0 then text = text .. ", " .. check_growth(list, "workers") end
  local left = census.left(before, 10)
  assert(not left, left)
  print(("soak: %-8s %8d in %5.1f s; %s"):format(name, n, monotonic() - start, text))
  io.stdout:flush()
end
local now = census.take()
print(("soak: descriptors %d, threads %d, children %d, workers %d; as before"):format(
  now.descriptors, now.threads, now.children, now.workers))
