-- SPDX-License-Identifier: MIT
-- Random use of thread pools from many sides at once: parhost tests/stress/hammer.lua [seconds [seed]]
-- Each round makes pools with random options, submits tasks that compute, fail, print nothing, nest, wait for futures of
-- others, sit in loops until they are stopped, and checks every outcome. Meant for the sanitizers as well.
local futures = require "futures"
local parhost = require "parhost"
local thread_pool = require "thread_pool"

local seconds, seed = tonumber(arg[1] or 5), math.tointeger(tonumber(arg[2] or 1))
math.randomseed(seed)
local random = math.random

local function same(...) return ... end
local function fail(err) error(err, 0) end
local function compute(n)
  local sum = 0
  for i = 1, n do sum = sum + i end
  return sum
end
local function spin() while true do pcall(same, 1) end end
local function nest(pool, n)
  if n == 0 then return 1 end
  local a, b = pool:submit(nest, pool, n - 1), pool:submit(nest, pool, n - 1)
  return a:result() + b:result()
end
local function await(f) return f:result() end
local function big(n) return ("x"):rep(n) end

local outcomes = 0
local function expect(f, check)
  local ok, value = f:outcome(60)
  outcomes = outcomes + 1
  if not check(ok, value) then
    error(("seed %d: %s gave %s, %s"):format(seed, f:name(), ok, tostring(value)))
  end
end

local function is(expected) return function(ok, value) return ok and value == expected end end
local function fails(expected) return function(ok, value) return not ok and value == expected end end
local function kind(name) return function(ok, value) return not ok and futures.is(value, name) end end

-- Each gives a future and the check of its outcome.
local actions = {
  function(pool) local n = random(1000) return pool:submit(same, n), is(n) end,
  function(pool) local n = random(20000) return pool:submit(compute, n), is(n * (n + 1) // 2) end,
  function(pool) return pool:submit(fail, "wrong"), fails "wrong" end,
  function(pool) local n = random(4) return pool:submit(nest, pool, n), is(1 << n) end,
  function(pool) return pool:submit(await, pool:submit(same, 5)), is(5) end,
  function(pool)
    local f = futures.new()
    local g = pool:submit(await, f)
    f:set_result "set"
    return g, is "set"
  end,
  function(pool) return pool:with { timeout = 0.002 * random(5) }:submit(spin), kind "timeout" end,
  function(pool)
    local f = pool:submit(spin)
    if random(2) == 1 then f:wait(0.001) end
    f:cancel { force = true }
    return f, kind "cancelled"
  end,
  function(pool)
    local f = pool:submit(same, 1)
    f:cancel()
    return f, function(ok, value) return ok or futures.is(value, "cancelled") end
  end,
  function(pool) local n = random(200000) return pool:submit(big, n), is(big(n)) end,
  function(pool) return pool:with { priority = random(-2, 2) }:submit(same, "p"), is "p" end,
  function(pool) return pool:submit(function() os.exit(3) end), kind "worker_exit" end,
}

local function map(pool)
  local list = {}
  for i = 1, random(200) do list[i] = i end
  local view = pool:with { chunk_size = random(3) == 1 and "auto" or random(10), buffer_size = random(2) == 1 and 20 or nil }
  local stop_at = random(4) == 1 and random(#list) or nil
  for i, v in view:map(same, list) do
    assert(v == i)
    if i == stop_at then break end
  end
end

local function round()
  local pools = {}
  for i = 1, random(3) do
    pools[i] = thread_pool.new {
      max_workers = random(4), max_tasks_per_worker = random(4) == 1 and random(20) or nil,
      idle_timeout = random(4) == 1 and 0.001 or nil, seed = random(3) == 1 and 1 or nil,
    }
  end
  local list = {}
  for _ = 1, random(60) do
    local f, check = actions[random(#actions)](pools[random(#pools)])
    list[#list + 1] = { f, check }
    if random(20) == 1 then map(pools[random(#pools)]) end
    if random(10) == 1 then expect(table.unpack(table.remove(list, random(#list)))) end
  end
  if random(8) == 1 then
    for _, pool in ipairs(pools) do pool[random(2) == 1 and "terminate" or "kill"](pool) end
    for _, row in ipairs(list) do assert(row[1]:wait(60), "a future did not settle") end
  else
    for _, row in ipairs(list) do expect(row[1], row[2]) end
  end
  for _, pool in ipairs(pools) do pool:close() end
end

futures.on_unhandled(function() end)
local deadline, rounds = parhost.monotonic() + seconds, 0
while parhost.monotonic() < deadline do
  round()
  rounds = rounds + 1
end
print(("hammer: seed %d, %d rounds, %d outcomes checked"):format(seed, rounds, outcomes))
