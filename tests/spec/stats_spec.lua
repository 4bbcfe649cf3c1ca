-- SPDX-License-Identifier: MIT
-- --stats: the numbers of programs, and what is made of numbers.
package.path = "tests/spec/?.lua;" .. package.path
local host = require "parhost.core.host"
local json = require "http.json"
local run = require "support.run"
local servers = require "support.servers"

local stats = host.load_built_in "cli.stats"()

-- A program's numbers, from --stats=json.
local function numbers_of(script, arguments)
  local name = run.write(script)
  local result = run.sh(("timeout 60 %s --stats=json %s %s"):format(run.parhost, name, arguments or ""))
  os.remove(name)
  local line = result.err:match "[^\n]*\n$"
  assert(line, result.err)
  local numbers = json.decode(line, "stats")
  numbers.script = name
  return numbers, result
end

local MIXED <const> = [[
local pool <close> = require "MODULE".new { max_workers = 2, name = "p", inline = arg[1] == "inline" }
local now = require "parhost".monotonic
local function busy() local t = now() + 0.005 while now() < t do end return ("x"):rep(1000) end
for i, v in pool:map(busy, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }) do end
pool:submit(error, "bad"):outcome()
for i, v in pool:with { chunk_size = 5 }:map(math.abs, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }) do end
local waiting = {}
if arg[1] ~= "inline" then
  for i = 1, 20 do waiting[i] = pool:submit(busy) end
  waiting[20]:cancel()
end
]]

describe("--stats counts", function()
  for module, kind in pairs { proc_pool = "", thread_pool = "" } do
    it("the tasks of a " .. module .. kind, function()
      local n = numbers_of(MIXED:gsub("MODULE", module))
      local p = n.pools[1]
      assert.same({ "p", module, 2, 2 }, { p.name, p.kind, p.max_workers, p.workers })
      assert.same({ 39, 1, 1 }, { p.completed, p.failed, p.cancelled })
      assert.same({ 40, 32, 0 }, { p.tasks, p.messages, p.restarts })
      assert.is_true(p.busy >= 29 * 0.005 and p.busy <= 2 * p.open and p.active <= p.open and p.open <= n.wall)
      assert.is_true(p.longest >= 0.005 and p.run_p50 >= 0.0045 and p.run_p99 <= p.longest * 1.1)
      assert.is_true(p.wait_p50 > 0 and p.wait_p99 >= p.wait_p50)
      assert.is_true(p.bytes_out > 29 * 1000 and p.bytes_out < 40000 and p.bytes_in > 0)
      assert.is_true(n.cpu > 0 and n.workers == 2)
      assert.is_true(math.abs(n.efficiency - p.busy / (2 * n.wall)) < 1e-6)
    end)
  end

  it("the tasks of inline pools, and pools that are left to the end of the program", function()
    local p = numbers_of(MIXED:gsub("MODULE", "proc_pool"):gsub("<close>", ""), "inline").pools[1]
    assert.same({ "inline", 0, 21, 1 }, { p.kind, p.workers, p.tasks, p.failed })
    assert.is_true(p.run_p50 > 0 and p.busy >= 0.05)
    assert.is_nil(p.wait_p50)
  end)

  it("workers that die", function()
    local p = numbers_of([[
      local pool = require "proc_pool".new { max_workers = 1 }
      for _ = 1, 2 do pool:submit(os.exit, 3):outcome() end
      os.exit(0)]]).pools[1]
    assert.same({ 2, 2, 1 }, { p.failed, p.restarts, p.workers })
  end)

  it("tasks on coroutines, requests and programs, in workers as well", function()
    local server <close> = servers.bad()
    local n = numbers_of(([[
      local function work(url)
        local async, http = require "async", require "http"
        async.run(function()
          async.gather { function() http.get(url .. "/echo") end, function() pcall(http.get, "http://127.0.0.1:1/") end,
            function() async.run_process { "true" } end }
          pcall(async.create_task(error).result)
          local t = async.create_task(async.sleep_forever)
          async.sleep(0)
          t:cancel()
        end)
      end
      work("URL")
      local pool <close> = require "proc_pool".new(1)
      pool:submit(work, "URL"):result()]]):gsub("URL", server.url))
    assert.same({ 12, 2, 2 }, { n.tasks, n.tasks_failed, n.tasks_cancelled })
    assert.same({ 4, 2, 2 }, { n.requests, n.requests_failed, n.programs })
    assert.is_true(n.request_bytes > 0 and n.request_seconds > 0)
  end)

  it("a step that holds the loop", function()
    local n = numbers_of [[
      local async = require "async"
      async.run(function() local t = os.clock() + 0.11 while os.clock() < t do end end)]]
    assert.is_true(n.longest_step.seconds >= 0.11)
    assert.same({ "task-1", n.script .. ":2" }, { n.longest_step.task, n.longest_step.at })
    assert.equal("blocked loop", n.hints[1].kind)
  end)

  it("nothing where nothing is", function()
    local n, result = numbers_of "print 'out'"
    assert.equal("out\n", result.out)
    assert.same({ {}, {}, 0, 0 }, { n.pools, n.hints, n.tasks, n.workers })
    assert.is_nil(n.efficiency)
  end)

  it("beside a trace", function()
    local path = os.tmpname()
    local n = numbers_of(MIXED:gsub("MODULE", "proc_pool"))
    local script = run.write((MIXED:gsub("MODULE", "proc_pool")))
    local result = run.sh(("%s --stats=json --trace %s %s"):format(run.parhost, path, script))
    os.remove(path)
    os.remove(script)
    local p = json.decode(result.err, "stats").pools[1]
    assert.same({ n.pools[1].tasks, n.pools[1].bytes_in }, { p.tasks, p.bytes_in }) -- what the trace adds is not counted
  end)
end)

describe("the hints of programs", function()
  it("name small tasks, the long tail and idle workers", function()
    local programs = {
      ["hand-over"] = [[
        local function same(x) return x end
        local futures = {}
        for i = 1, 3000 do futures[i] = pool:submit(same, i) end
        for _, f in ipairs(futures) do f:result() end]],
      ["long tail"] = [[
        local function busy(s) local t = os.clock() + s while os.clock() < t do end end
        local futures = {}
        for i = 1, 9 do futures[i] = pool:submit(busy, i == 9 and 0.3 or 0.002) end
        for _, f in ipairs(futures) do f:result() end]],
      ["idle workers"] = [[
        for i = 1, 30 do
          pool:submit(math.abs, i):result()
          os.execute "sleep 0.003"
        end]],
    }
    for kind, program in pairs(programs) do
      local n = numbers_of('local pool <close> = require "proc_pool".new(2) pool:warm_up(2)\n' .. program)
      assert.equal(kind, n.hints[1] and n.hints[1].kind, json.encode(n))
    end
  end)
end)

-- A pool of two workers that has been busy all the time, with other fields.
local function judge(fields, others)
  local pool = {
    name = "p", kind = "proc_pool", max_workers = 2, workers = 2, completed = 100, failed = 0, cancelled = 0, restarts = 0,
    tasks = 100, messages = 100, bytes_in = 1000, bytes_out = 1000, busy = 2, longest = 0.02, open = 1, active = 1, tail = 0,
    wait_p50 = 0.1, wait_p99 = 0.2, run_p50 = 0.02, run_p99 = 0.02,
  }
  for key, value in pairs(fields) do pool[key] = value end
  local totals = { wall = 1.25, cpu = 2, cpus = 2, workers = 2, tasks = 0, tasks_failed = 0, tasks_cancelled = 0,
    requests = 0, requests_failed = 0, request_bytes = 0, request_seconds = 0, programs = 0, pools = { pool } }
  for key, value in pairs(others or {}) do totals[key] = value end
  return stats.judge(totals)
end

local function kind_of(...)
  local hints = judge(...).hints
  assert(#hints <= 1)
  return hints[1] and hints[1].kind or "none"
end

describe("a hint", function()
  it("comes at its threshold, and not before", function()
    local rows = {
      { "none", {} },
      { "hand-over", { tasks = 1000, messages = 1000, busy = 0.04, active = 1 } },
      { "idle workers", { tasks = 999, messages = 999, busy = 0.04, active = 1 } },
      { "idle workers", { tasks = 1000, messages = 200, busy = 0.04, active = 1 } },
      { "none", { tasks = 50000, messages = 50000, busy = 1.2, active = 1 } },
      { "payloads", { bytes_in = 100 * 2 ^ 20, bytes_out = 200 * 2 ^ 20 } },
      { "none", { bytes_in = 99 * 2 ^ 20, bytes_out = 0 } },
      { "none", { bytes_in = 100 * 2 ^ 20, bytes_out = 0 } },
      { "few tasks", { tasks = 1, messages = 1, workers = 1, busy = 1 } },
      { "few tasks", { tasks = 100, messages = 1, workers = 1, busy = 1 } },
      { "none", { tasks = 1, messages = 1, workers = 1, busy = 0.01 } },
      { "none", { tasks = 3, messages = 3, max_workers = 4 } },
      { "long tail", { tail = 0.25, longest = 0.08 } },
      { "none", { tail = 0.24, longest = 0.08 } },
      { "none", { tail = 0.25, longest = 0.07 } },
      { "idle workers", { busy = 0.99 } },
      { "none", { busy = 1.01 } },
      { "none", { busy = 0.01, open = 0.04, active = 0.01 } },
      { "none", { tasks = 0, messages = 0, busy = 0 } },
      { "blocked loop", {}, { longest_step = { seconds = 0.1, task = "t", at = "a.lua:1" } } },
      { "none", {}, { longest_step = { seconds = 0.09, task = "t", at = "a.lua:1" } } },
    }
    for i, row in ipairs(rows) do assert.equal(row[1], kind_of(row[2], row[3]), "row " .. i) end
  end)

  it("says what to do", function()
    local text = judge({ tasks = 10000, messages = 10000, busy = 0.18, open = 1 }).hints[1].text
    assert.equal('p: tasks average 18 us and most of the time goes to hand-over: use chunk_size = "auto"', text)
    assert.matches("^p: 100 tasks make 1 chunk for 2 workers", judge({ messages = 1, workers = 1 }).hints[1].text)
    assert.matches("a step of task 't' held the loop for 1%.500 s %(a%.lua:1%)",
      judge({}, { longest_step = { seconds = 1.5, task = "t", at = "a.lua:1" } }).hints[1].text)
  end)
end)

describe("the text", function()
  it("has a row for each pool, and what else there was", function()
    local totals = judge({ failed = 3 }, { tasks = 1, requests = 2, requests_failed = 1, request_bytes = 3000,
      request_seconds = 0.5, programs = 1, longest_step = { seconds = 0.0021, task = "t", at = "a.lua:1" } })
    assert.equal([[
parhost: 1.250 s wall, 2.000 s CPU, parallel efficiency 80 % (2 workers)
  pool   workers   tasks   failed    wait p50 / p99   run p50 / p99   in / out per task
  p            2     100        3   100 ms / 200 ms   20 ms / 20 ms         10 B / 10 B
  1 task on a coroutine, longest step 2.1 ms (a.lua:1)
  2 requests (1 failed), 250 ms each, 2.9 KiB in all
  1 other program
]], stats.text(totals))
  end)

  it("shows ten pools, those that have done most", function()
    local totals = judge {}
    for i = 1, 14 do
      totals.pools[i] = setmetatable({ name = "q" .. i, busy = i, open = 100 }, { __index = totals.pools[1] })
    end
    local text = stats.text(totals)
    assert.matches("q14", text)
    assert.is_nil(text:find("q4 ", 1, true))
    assert.matches("and 4 more pools", text)
  end)

  it("stands on standard error, behind everything else", function()
    local result = run.sh(run.parhost .. [[ --stats -e '
      local pool <close> = require "proc_pool".new { max_workers = 1, name = "mine" }
      pool:submit(print, "hello"):result() io.stderr:write "last\n"']])
    assert.equal("hello\n", result.out)
    assert.matches("^last\nparhost: .- wall, .- CPU, parallel efficiency %d+ %% %(1 worker%)\n  pool .-\n  mine +1 +1 +0 ",
      result.err)
  end)
end)
