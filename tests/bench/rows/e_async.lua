-- SPDX-License-Identifier: MIT
-- Tasks in one state: sleeping, switching, starting, being there, waking in time.
local function clock() return require "parhost".monotonic() end

local function resident()
  local file <close> = assert(io.open "/proc/self/statm")
  local _, pages = file:read("n", "n")
  return pages * require("parhost.core.inspect").page
end

-- Seconds for n tasks that run `body`, with a result that shows that all have run.
local function many(body)
  return function(n)
    local async = require "async"
    local count = 0
    local start = clock()
    async.run(function()
      local group <close> = async.task_group()
      for _ = 1, n do
        group:create_task(function()
          body(async)
          count = count + 1
        end)
      end
    end)
    return clock() - start, count
  end
end

local function live(n)
  local async = require "async"
  local bytes, count
  async.run(function()
    async.create_task(async.sleep_forever)
    async.checkpoint()
    collectgarbage()
    local before = resident()
    for _ = 1, n do async.create_task(async.sleep_forever) end
    async.checkpoint()
    bytes, count = (resident() - before) / n, #async.all_tasks()
  end)
  return bytes, count >= n
end

local function switches(n)
  local async = require "async"
  local start = clock()
  async.run(function()
    local group <close> = async.task_group()
    for _ = 1, 2 do
      group:create_task(function()
        for _ = 1, n // 2 do async.checkpoint() end
      end)
    end
  end)
  return n / (clock() - start), true
end

-- Median lateness in us; the check says that none was early.
local function lateness(n)
  local async = require "async"
  local late = {}
  async.run(function()
    for i = 1, n do
      local due = clock() + 0.01
      async.sleep(0.01)
      late[i] = (clock() - due) * 1e6
    end
  end)
  table.sort(late)
  return late[(n + 1) // 2], late[1] >= 0
end

local HEAD <const> = "import asyncio, sys, time\nn = int(sys.argv[1])\ncount = 0\n"

local function asyncio(body)
  return { name = "asyncio", language = "python", code = HEAD .. body }
end

local GROUP <const> = [[
async def child():
    global count
    %s
    count += 1
async def main():
    async with asyncio.TaskGroup() as group:
        for _ in range(n): group.create_task(child())
start = time.perf_counter()
asyncio.run(main())
print(time.perf_counter() - start, count)
]]

local LIVE <const> = [[
import gc, os
def resident(): return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
async def forever(): await asyncio.Event().wait()
async def main():
    gc.collect()
    before = resident()
    tasks = [asyncio.create_task(forever()) for _ in range(n)]
    await asyncio.sleep(0)
    print((resident() - before) / n, "true")
    for t in tasks: t.cancel()
asyncio.run(main())
]]

local SWITCHES <const> = [[
async def child():
    for _ in range(n // 2): await asyncio.sleep(0)
async def main():
    async with asyncio.TaskGroup() as group:
        for _ in range(2): group.create_task(child())
start = time.perf_counter()
asyncio.run(main())
print(n / (time.perf_counter() - start), "true")
]]

local LATE <const> = [[
async def main():
    late = []
    for _ in range(n):
        due = time.perf_counter() + 0.01
        await asyncio.sleep(0.01)
        late.append((time.perf_counter() - due) * 1e6)
    late.sort()
    print(late[(n - 1) // 2], "true")
asyncio.run(main())
]]

local function node(body)
  return {
    name = "node", language = "node",
    code = [[
const n = Number(process.argv[2]); let count = 0
const sleep = ms => new Promise(done => setTimeout(done, ms))
async function child() { ]] .. body .. [[; count++ }
async function main() {
  const start = performance.now(), all = []
  for (let i = 0; i < n; i++) all.push(child())
  await Promise.all(all)
  console.log((performance.now() - start) / 1000, count)
}
main()
]],
  }
end

local NODE_SWITCHES <const> = [[
const n = Number(process.argv[2])
async function child() { for (let i = 0; i < n / 2; i++) await null }
async function main() {
  const start = performance.now()
  await Promise.all([child(), child()])
  console.log(n / ((performance.now() - start) / 1000), true)
}
main()
]]

local function row(id, what, unit, n, ours, floor, target, peers)
  return {
    id = id, what = what, unit = unit, n = n, smoke = 10, needs = { "async" }, ours = ours, floor = floor, target = target,
    peers = peers,
  }
end

local fast <const> = row("e3", "switches between two tasks", "1/s", 1000000, switches, 3e6, 6e6,
  { asyncio(SWITCHES), { name = "node", language = "node", code = NODE_SWITCHES } })
fast.more = true

return {
  row("e1", "tasks that sleep 1 ms each", "s", 100000, many(function(async) async.sleep(0.001) end), 0.33, 0.2,
    { asyncio(GROUP:format "await asyncio.sleep(0.001)"), node "await sleep(1)" }),
  row("e2", "memory per live task", "bytes", 100000, live, 2048, 1536, { asyncio(LIVE) }),
  fast,
  row("e4", "task group of empty children", "s", 100000, many(function() end), 0.19, 0.08,
    { asyncio(GROUP:format "pass"), node "" }),
  row("e5", "lateness of a 10 ms timer, median", "us", 50, lateness, 210, 60, { asyncio(LATE) }),
}
