-- SPDX-License-Identifier: MIT
-- Process pools under fire: submits, cancels, forces, waits, computes, and kills, stops and continues workers at
-- random. Tasks leave marks in a file as they begin and end; what the futures say is compared with these.
--
--   parhost tests/stress/killer.lua [seed [seconds]]       the seed is printed; a failure says what was wrong
--
-- Every future settles, once; no task begins more often than its retries allow; a task that is done has begun and
-- ended exactly once more than it was interrupted; what was cancelled before it ran has not begun.
local seed = tonumber(arg[1]) or os.time()
local seconds = tonumber(arg[2]) or 20
package.cpath = arg[-1]:gsub("[^/]*$", "") .. "tests/support/?.so;" .. package.cpath

local crash = require "crash"
local futures = require "futures"
local monotonic = require("parhost").monotonic
local proc_pool = require "proc_pool"

local SIGKILL <const>, SIGTERM <const>, SIGSTOP <const>, SIGCONT <const> = 9, 15, 19, 18
local random = math.random
math.randomseed(seed)
print(("killer: seed %d, %g s"):format(seed, seconds))

local log = os.tmpname()
local records = {} -- id -> { future =, kind =, retries =, settled = n, cancelled = true when cancel() said so }
local pools = {}
local stopped = {} -- pids

-- Tasks -----------------------------------------------------------------------------------------------------

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
  local limit = os.clock() + ms / 1000
  while os.clock() < limit do end
  mark(path, "e", id)
  return id
end

function tasks.block(path, id, ms)
  mark(path, "b", id)
  require("crash").block(ms / 1000)
  mark(path, "e", id)
  return id
end

function tasks.big(path, id, _, text)
  mark(path, "b", id)
  mark(path, "e", id)
  return id, text
end

local KINDS <const> = { "quick", "quick", "quick", "quick", "compute", "block", "big" }

-- Actions ---------------------------------------------------------------------------------------------------

local function new_pool()
  return proc_pool.new {
    max_workers = random(3), grace = random() * 0.05, max_restarts = 1 << 30,
    max_tasks_per_worker = random(3) == 1 and random(5) or nil,
    idle_timeout = random(3) == 1 and random() * 0.02 or nil,
  }
end

local function any(list) return list[random(#list)] end

local function view_of(pool)
  local how = random(8)
  if how == 1 then return pool:with { retries = 2 }, 2 end
  if how == 2 then return pool:with { priority = random(-2, 2) }, 0 end
  if how == 3 then return pool:with { timeout = random() * 0.03 }, 0 end
  if how == 4 then return pool:with { deadline = monotonic() + random() * 0.1 }, 0 end
  return pool, 0
end

local actions = {}

function actions.submit()
  for _ = 1, random(40) do
    local kind, id = any(KINDS), #records + 1
    local view, retries = view_of(any(pools))
    local text = kind == "big" and ("x"):rep(random(1 << 19)) or nil
    local record = { kind = kind, retries = retries, settled = 0, length = text and #text }
    records[id] = record
    record.future = view:submit(tasks[kind], log, id, random(12), text)
    record.future:add_done_callback(function() record.settled = record.settled + 1 end)
  end
end

local function recent() return records[random(math.max(1, #records - 200), #records)] end

function actions.cancel()
  for _ = 1, random(5) do
    local record = recent()
    if not record.future:done() and record.future:cancel() then record.cancelled = true end
  end
end

function actions.force() recent().future:cancel { force = true, grace = random() * 0.02 } end

function actions.wait()
  local list = {}
  for i = 1, random(10) do list[i] = recent().future end
  futures.wait(list, { timeout = random() * 0.02, return_when = any { "first_completed", "all_completed" } })
end

function actions.compute()
  local limit = monotonic() + random() * 0.01
  while monotonic() < limit do end
end

local function strike(signal)
  local worker = any(any(pools):workers())
  if worker and worker.pid then
    crash.kill(worker.pid, signal)
    return worker.pid
  end
end

function actions.kill() strike(random(4) == 1 and SIGTERM or SIGKILL) end

function actions.stop()
  local pid = strike(SIGSTOP)
  if pid then stopped[#stopped + 1] = pid end
end

function actions.continue()
  for _, pid in ipairs(stopped) do crash.kill(pid, SIGCONT) end
  stopped = {}
end

function actions.replace()
  local pool = table.remove(pools, random(#pools))
  local how = random(3)
  if how == 1 then pool:terminate() elseif how == 2 then pool:kill() else pool:shutdown { wait = false } end
  pools[#pools + 1] = new_pool()
end

local WEIGHTS <const> = { submit = 8, cancel = 6, force = 4, wait = 8, compute = 4, kill = 4, stop = 1, continue = 2,
                          replace = 0.2 }

local function choose()
  local total = 0
  for _, weight in pairs(WEIGHTS) do total = total + weight end
  local at = random() * total
  for name, weight in pairs(WEIGHTS) do
    at = at - weight
    if at <= 0 then return name end
  end
  return "wait"
end

-- The account -----------------------------------------------------------------------------------------------

local wrong = 0

local function complain(...)
  wrong = wrong + 1
  if wrong <= 20 then print("killer: " .. string.format(...)) end
end

local function read_marks()
  local begun, ended = {}, {}
  for line in io.lines(log) do
    local what, id = line:match("^([be]) (%d+)$")
    local count = what == "b" and begun or ended
    id = tonumber(id)
    count[id] = (count[id] or 0) + 1
  end
  return begun, ended
end

local function check(id, record, begun, ended)
  local ok, value, extra = record.future:outcome(0)
  local kind = ok and "done" or futures.is(value) and value.kind or tostring(value)
  local name = ("task %d (%s, %s)"):format(id, record.kind, kind)
  if record.settled ~= 1 then complain("%s settled %d times", name, record.settled) end
  if begun > record.retries + 1 then complain("%s began %d times", name, begun) end
  if ok and value ~= id then complain("%s gave %s", name, value) end
  if ok and record.length and #extra ~= record.length then complain("%s gave %d bytes", name, #extra) end
  if ok and (ended < 1 or (record.retries == 0 and begun ~= 1)) then
    complain("%s began %d times, ended %d times", name, begun, ended)
  end
  if record.cancelled and begun > record.retries then complain("%s was cancelled, and began", name) end
  if not ok and kind ~= "cancelled" and kind ~= "timeout" and kind ~= "worker_died" then
    complain("%s failed: %s", name, tostring(value))
  end
  return kind
end

local function unsettled()
  local list = {}
  for _, record in ipairs(records) do
    if record.settled == 0 then list[#list + 1] = record.future end
  end
  return list
end

local function describe_pools()
  for _, pool in ipairs(pools) do
    local s = pool:stats()
    print(("  %s: queued %d, running %d, workers %d"):format(pool:name(), s.queued, s.running, s.workers))
    for _, w in ipairs(pool:workers()) do print("   ", w.id, w.pid, w.state, w.tasks, w.task) end
  end
end

-- The run ---------------------------------------------------------------------------------------------------

for i = 1, 3 do pools[i] = new_pool() end
actions.submit()
local limit, steps = monotonic() + seconds, 0
while monotonic() < limit do
  if #unsettled() > 400 then futures.wait(unsettled(), { timeout = 0.2, return_when = "first_completed" })
  else actions[choose()]() end
  steps = steps + 1
end
actions.continue()
local _, hanging = futures.wait(unsettled(), { timeout = 30 })
if #hanging > 0 then
  complain("%d futures do not settle", #hanging)
  describe_pools()
end
for _, pool in ipairs(pools) do
  if not pool:shutdown { timeout = 10 } then complain("%s does not end", pool:name()) end
end
local begun, ended = read_marks()
os.remove(log)
local counts = {}
for id, record in ipairs(records) do
  if record.settled > 0 then
    local kind = check(id, record, begun[id] or 0, ended[id] or 0)
    counts[kind] = (counts[kind] or 0) + 1
  end
end
local text = {}
for kind, n in pairs(counts) do text[#text + 1] = ("%d %s"):format(n, kind) end
table.sort(text)
print(("killer: %d steps, %d tasks: %s"):format(steps, #records, table.concat(text, ", ")))
os.exit(wrong == 0)
