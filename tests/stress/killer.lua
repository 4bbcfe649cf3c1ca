-- SPDX-License-Identifier: MIT
-- Everything under fire at once: pools of processes and of threads, tasks on coroutines. Submits, maps, cancels, forces,
-- waits, computes, opens and closes pools; kills, stops and continues workers, at random. At the end the fork server is
-- killed as well, and everything must come back.
--
--   parhost tests/stress/killer.lua [seed [seconds]]       the seed is printed; a failure says what was wrong
--
-- Tasks leave marks in a file as they begin and end (support/tasks.lua); what the futures say is compared with these
-- (support/account.lua): every future settles, once, in a way that something has happened for; no task begins more often
-- than its retries allow; a task that is done has begun and ended; what was cancelled before it ran has not begun.
local seed = math.tointeger(tonumber(arg[1])) or os.time()
local seconds = tonumber(arg[2]) or 60
local proc_pool = require "proc_pool"
local thread_pool = require "thread_pool"
local account = require "tests.stress.support.account"
local async = require "async"
local census = require "tests.stress.support.census"
local crash = require "crash"
local futures = require "futures"
local monotonic = require("parhost").monotonic
local tasks = require "tests.stress.support.tasks"

local SIGKILL <const>, SIGTERM <const>, SIGSTOP <const>, SIGCONT <const> = 9, 15, 19, 18
local ROUND <const> = 4000 -- tasks
local PENDING <const> = 400 -- at a time
local GROWTH <const> = 16 << 20 -- bytes
local random = math.random
math.randomseed(seed)
futures.on_unhandled(function() end)
print(("killer: seed %d, %g s"):format(seed, seconds))

local complain = account.complain
local round -- support/account.lua
local pools = {} -- { where =, handle =, doomed = true when it was ended }
local closing = {} -- pools
local stopped = {} -- pids
local counts = { kills = 0, stops = 0, pools = 0, cancels = 0 }

local function any(list) return list[random(#list)] end

-- Pools -----------------------------------------------------------------------------------------------------

local MODULES <const> = { proc = proc_pool, thread = thread_pool }

local function new_pool(where)
  counts.pools = counts.pools + 1
  return {
    where = where,
    handle = MODULES[where].new {
      max_workers = random(account.MAX_WORKERS), grace = random() * 0.05, max_restarts = 1 << 30,
      max_tasks_per_worker = random(3) == 1 and random(20) or nil,
      idle_timeout = random(3) == 1 and random() * 0.02 or nil,
    },
  }
end

-- A view on a pool, how often its tasks may run again, whether they have a time limit.
local function view_of(pool)
  local how = random(10)
  if how == 1 then return pool:with { retries = 2 }, 2 end
  if how == 2 then return pool:with { priority = random(-2, 2) }, 0 end
  if how == 3 then return pool:with { timeout = random() * 0.03 }, 0, true end
  if how == 4 then return pool:with { deadline = monotonic() + random() * 0.1 }, 0, true end
  return pool, 0
end

-- What is submitted -----------------------------------------------------------------------------------------

-- kind -> weight
local IN_POOLS <const> = { { "quick", 40 }, { "compute", 8 }, { "sleep", 2 }, { "block", 1 }, { "big", 4 }, { "fail", 3 },
                           { "exit", 0.5 }, { "hog", 0.5 }, { "request", 1 }, { "program", 0.5 }, { "inner", 0.3 } }
local IN_THREADS <const> = { { "nest", 3 }, table.unpack(IN_POOLS) }
local IN_ASYNC <const> = { { "quick", 10 }, { "sleep", 10 }, { "fail", 2 }, { "request", 1 }, { "program", 1 },
                           { "to_thread", 8 }, { "to_process", 8 }, { "gather", 3 }, { "race", 2 }, { "group", 2 } }

local function choose(rows)
  local total = 0
  for _, row in ipairs(rows) do total = total + row[2] end
  local at = random() * total
  for _, row in ipairs(rows) do
    at = at - row[2]
    if at <= 0 then return row[1] end
  end
  return rows[1][1]
end

-- Mostly short, at times some MB.
local function text_for(kind)
  if kind == "program" then return ("x"):rep(random(1 << 12)) end
  if kind == "big" then return ("x"):rep(random(random(20) == 1 and 1 << 22 or 1 << 16)) end
end

-- Milliseconds: at times 50.
local function duration() return random(20) == 1 and 50 or random(12) end

local function submit_to(entry)
  local kind = choose(entry.where == "thread" and IN_THREADS or IN_POOLS)
  local view, retries, timed = view_of(entry.handle)
  local text = text_for(kind)
  local record = { kind = kind, where = entry.where, retries = retries, timed = timed, pool = entry,
                   length = text and #text }
  local id = round:add(record)
  if kind == "hog" then view = view:with { memory_limit = 4 << 20 } end
  round:follow(record, view:submit(tasks.pool[kind], round.path, id, duration(),
    kind == "nest" and entry.handle or text))
end

local actions = {}

function actions.submit()
  local entry = any(pools)
  for _ = 1, random(40) do submit_to(entry) end
end

function actions.create()
  for _ = 1, random(20) do
    local kind = choose(IN_ASYNC)
    local text = text_for(kind)
    local record = { kind = kind, where = "async", retries = 0, length = text and #text }
    local id = round:add(record)
    round:follow(record, async.create_task(tasks.async[kind], round.path, id, duration(), text))
  end
end

-- Takes the items of a map one by one; leaves it before the end when `stop` says so.
local function take_items(it, items, stop)
  local guard <close> = it
  for i = 1, stop do
    local got = table.pack(pcall(it.next, it))
    if not got[1] then
      items[i].item = { false, got[2] }
      if futures.is(got[2], "timeout") then return end
    elseif got[2] == nil then
      return complain("the map of tasks %d... ended before item %d", items[1].id, i)
    else
      items[i].item = table.pack(true, table.unpack(got, 3, got.n))
    end
  end
  return guard
end

function actions.map()
  local entry = any(pools)
  local kind = any { "quick", "quick", "compute", "fail" }
  local with = { chunk_size = any { 1, 7, "auto" }, buffer_size = random(2) == 1 and 20 or nil }
  if random(6) == 1 then with.timeout = random() * 0.05 end
  local paths, ids, ms, items = {}, {}, {}, {}
  local record = { kind = "map", where = entry.where, retries = 0, pool = entry, timed = with.timeout ~= nil }
  round:add(record)
  for i = 1, random(100) do
    items[i] = { kind = kind, where = entry.where, retries = 0, pool = entry, timed = record.timed, map = record }
    ids[i], paths[i], ms[i] = round:add(items[i]), round.path, random(12)
  end
  local stop = random(4) == 1 and random(#items) or #items
  round:follow(record, async.create_task(function()
    take_items(entry.handle:with(with):map(tasks.pool[kind], paths, ids, ms), items, stop)
  end))
end

-- What is done to it ----------------------------------------------------------------------------------------

-- Of the last ones that have a future.
local function recent()
  local records = round.records
  for _ = 1, #records > 0 and 20 or 0 do
    local record = records[random(math.max(1, #records - 200), #records)]
    if record.future then return record end
  end
end

function actions.cancel()
  for _ = 1, random(5) do
    local record = recent()
    if record and not record.future:done() and record.future:cancel() then
      counts.cancels = counts.cancels + 1
      local stopped_before = record.cancelled or record.pool and record.pool.doomed -- then it may have run
      record.cancelled = true
      record.never = not stopped_before and record.where ~= "async" and record.kind ~= "map"
    end
  end
end

function actions.force()
  local record = recent()
  if not record or record.future:done() then return end
  record.cancelled = true
  counts.cancels = counts.cancels + 1
  if record.where == "async" or record.kind == "map" then record.future:cancel { reason = "at random" }
  else record.future:cancel { force = true, grace = random() * 0.02 } end
end

function actions.wait()
  local list = {}
  for _ = 1, random(10) do
    local record = recent()
    list[#list + 1] = record and record.future
  end
  futures.wait(list, { timeout = random() * 0.02, return_when = any { "first_completed", "all_completed" } })
end

function actions.compute()
  local limit = monotonic() + random() * 0.01
  while monotonic() < limit do end
end

-- Any process worker that there is, those of workers as well.
local function strike(signal)
  local zygote = census.zygote()
  local workers = zygote and census.children(zygote) or {}
  local pid = workers[random(math.max(1, #workers))]
  if pid then
    account.struck[pid] = signal
    crash.kill(pid, signal)
    return pid
  end
end

function actions.kill()
  if strike(random(4) == 1 and SIGTERM or SIGKILL) then counts.kills = counts.kills + 1 end
end

local function stop(pid)
  counts.stops = counts.stops + 1
  stopped[#stopped + 1] = pid
end

function actions.stop() stop(strike(SIGSTOP)) end

-- The fork server stands still for a while.
function actions.stop_zygote()
  local pid = census.zygote()
  if pid and crash.kill(pid, SIGSTOP) then stop(pid) end
end

function actions.continue()
  for _, pid in ipairs(stopped) do crash.kill(pid, SIGCONT) end
  stopped = {}
end

function actions.replace()
  local entry = table.remove(pools, random(#pools))
  local how = random(3)
  if how == 1 then entry.handle:terminate()
  elseif how == 2 then entry.handle:kill()
  else entry.handle:shutdown { wait = false, cancel_pending = random(2) == 1 } end
  entry.doomed = true
  closing[#closing + 1] = entry
  pools[#pools + 1] = new_pool(entry.where)
end

local ACTIONS <const> = { { "submit", 8 }, { "create", 5 }, { "map", 2 }, { "cancel", 6 }, { "force", 4 }, { "wait", 6 },
                          { "compute", 3 }, { "kill", 4 }, { "stop", 1 }, { "stop_zygote", 0.1 }, { "continue", 2 },
                          { "replace", 0.4 } }

-- Rounds ----------------------------------------------------------------------------------------------------

local function describe_pools()
  for _, list in ipairs { pools, closing } do
    for _, entry in ipairs(list) do
      local s = entry.handle:stats()
      print(("  %s: queued %d, running %d, workers %d"):format(entry.handle:name(), s.queued, s.running, s.workers))
      for _, w in ipairs(entry.handle:workers()) do print("   ", w.id, w.pid or w.tid, w.state, w.tasks, w.task) end
    end
  end
  async.dump(io.stdout)
end

local function join_closing()
  for _, entry in ipairs(closing) do
    if not entry.handle:join(20) then complain("%s does not end", entry.handle:name()) end
  end
  closing = {}
end

local function finish_round()
  actions.continue()
  local _, hanging = futures.wait(round:unsettled(), { timeout = 60 })
  if #hanging > 0 then
    complain("%d futures do not settle, the first is %s", #hanging, tostring(hanging[1]))
    describe_pools()
  end
  join_closing()
end

local function run_round(limit)
  local last = account.total + ROUND
  while account.total < last and monotonic() < limit do
    if round.pending > PENDING then
      futures.wait(round:unsettled(50), { timeout = 0.05, return_when = "first_completed" })
      if random(10) == 1 then actions.continue() end
    else
      actions[choose(ACTIONS)]()
    end
  end
  finish_round()
end

-- Work of every kind is there when the fork server dies: that of threads and coroutines goes on.
local function run_last_round()
  for _ = 1, 10 do
    actions.submit()
    actions.create()
  end
  account.zygote_died = true
  crash.kill(census.zygote(), SIGKILL)
  for _ = 1, 10 do
    actions.create()
    for _, entry in ipairs(pools) do
      if entry.where == "thread" then
        submit_to(entry)
      else
        local f = select(2, pcall(entry.handle.submit, entry.handle, math.abs, -1))
        if getmetatable(f) ~= getmetatable(round.records[1].future) and not futures.is(f, "broken_pool") then
          complain("submit to a pool without fork server: %s", tostring(f))
        end
      end
    end
  end
  finish_round()
end

local previous

-- A round with its account, in a run of tasks or in plain code.
local function with_account(in_plain_code, run, ...)
  round = account.new_round(os.tmpname())
  if in_plain_code then run(...) else async.run({ slow_step = 60 }, run, ...) end
  round:check()
  if previous then previous:check_late() end
  previous = round
end

-- Everything once, so that what is made at its first use is there: libcurl, the zygote, the loop.
local function warm_up()
  for where, module in pairs(MODULES) do
    local pool <close> = module.new(1)
    assert(pool:submit(math.abs, -1):result() == 1, where)
  end
  pcall(require("http").get, "http://127.0.0.1:1/", { timeout = 5 })
  async.run_process { "true" }
end

warm_up()
local before, memory_before = census.take(), census.collected()
local memory = {}
for i = 1, 4 do pools[i] = new_pool(i % 2 == 0 and "thread" or "proc") end
local start = monotonic()
local limit, said = start + seconds, start
repeat
  with_account(#memory % 2 == 1, run_round, limit)
  memory[#memory + 1] = census.collected()
  if monotonic() - said > 60 then
    said = monotonic()
    print(("killer: after %.0f s: %s; memory %s"):format(said - start, account.summary(), census.mb(memory[#memory])))
    io.stdout:flush()
  end
until monotonic() >= limit
with_account(false, run_last_round) -- its end is that of the default pools, too
for _, entry in ipairs(pools) do
  if not entry.handle:shutdown { timeout = 20 } then complain("%s does not end", entry.handle:name()) end
end
local left = census.left(before, 20)
if left then complain("left at the end: %s", left) end
local memory_after = census.collected()
print(("killer: memory before %s, after the first round %s, after the last %s, without pools %s"):format(
  census.mb(memory_before), census.mb(memory[1]), census.mb(memory[#memory]), census.mb(memory_after)))
if memory_after - memory_before > census.bound(GROWTH) then complain("memory has grown") end
previous:check_late()
print(("killer: %d rounds, %s"):format(#memory, account.summary()))
print(("killer: %d kills, %d stops, %d cancels, %d pools, %.0f tasks/s"):format(
  counts.kills, counts.stops, counts.cancels, counts.pools, account.total / (monotonic() - start)))
os.exit(account.wrong == 0)
