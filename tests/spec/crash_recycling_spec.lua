-- SPDX-License-Identifier: MIT
-- Workers that are replaced after some tasks, and workers that cannot be started.
package.path = "tests/spec/?.lua;" .. package.path
local hostile = require "support.hostile"
local proc_pool = require "proc_pool"
local run = require "support.run"

describe("max_tasks_per_worker", function()
  it("CR-29 replaces a worker after so many tasks", function()
    local pool <close> = proc_pool.new { max_workers = 1, max_tasks_per_worker = 3 }
    local pids = {}
    for i = 1, 4 do pids[i] = pool:submit(hostile.pid):result() end
    assert.same({ pids[1], pids[1] }, { pids[2], pids[3] })
    assert.is_not.equal(pids[1], pids[4])
    assert.is_true(hostile.gone { pids[1] })
    assert.equal(1, #pool:workers())
    assert.equal(0, pool:stats().restarts)
  end)

  it("CR-31 goes on after shutdown{ wait = false }", function()
    local pool = proc_pool.new { max_workers = 1, max_tasks_per_worker = 1 }
    local list, seen = {}, {}
    for i = 1, 5 do list[i] = pool:submit(hostile.pid) end
    pool:shutdown { wait = false }
    for i = 1, 5 do
      local pid = list[i]:result(20)
      assert.is_nil(seen[pid])
      seen[pid] = true
    end
    assert.is_true(pool:join(20))
  end)

  it("starts the next one while the caller computes", function()
    local pool <close> = proc_pool.new { max_workers = 1, max_tasks_per_worker = 1 }
    local monotonic = require("parhost").monotonic
    for _ = 1, 3 do
      local mark = os.tmpname()
      os.remove(mark)
      pool:submit(hostile.same, 1):result()
      local quiet = monotonic() + 0.05 -- long enough for the dispatcher to go to sleep
      while monotonic() < quiet do end
      pool:submit(hostile.append, mark, "x")
      local limit = monotonic() + 20
      local file
      repeat file = io.open(mark) until file or monotonic() > limit
      assert.is_truthy(file)
      file:close()
      os.remove(mark)
    end
  end)

  it("CR-45 leaves no zombies and no descriptors behind, 200 times", function()
    local pool <close> = proc_pool.new { max_workers = 2, max_tasks_per_worker = 1 }
    pool:submit(hostile.same, 1):result()
    local descriptors, children = hostile.possessions()
    local seen, n = {}, 0
    for _, pid in pool:map(hostile.pid, (function()
      local i = 0
      return function()
        i = i + 1
        if i <= 200 then return i end
      end
    end)()) do
      if not seen[pid] then n = n + 1 end
      seen[pid] = true
    end
    assert.equal(200, n)
    pool:drain()
    local pids = {}
    for pid in pairs(seen) do pids[#pids + 1] = pid end
    assert.is_true(hostile.gone(pids))
    local now, others = hostile.possessions()
    assert.is_true(now <= descriptors + 2, ("%d descriptors, %d before"):format(now, descriptors))
    assert.equal(children, others)
  end)
end)

-- Runs a program as a user who has no other process, and may have only so many (threads count). Another run of this spec
-- has another user. The folder of this one may be closed to that user: a copy of the program runs.
local function run_with(processes, text)
  local copy = os.tmpname()
  assert(os.execute(("cp %s %s && chmod 755 %s"):format(run.parhost, copy, copy)))
  local user = 20000 + io.open("/proc/self/stat"):read("n") % 40000
  local result = run.sh(("cd / && exec setpriv --reuid=%d --clear-groups prlimit --nproc=%d timeout 60 %s -e %s"):format(
    user, processes, copy, run.quote(text)))
  os.remove(copy)
  return result
end

local describe_as_root = os.execute('[ "$(id -u)" = 0 ]') and describe or pending

describe_as_root("a worker that cannot be started", function()
  it("CR-33 breaks the pool when there is no other", function()
    local result = run_with(3, [[
      local pool <close> = require("proc_pool").new { max_workers = 1, name = "p" }
      local f, g = pool:submit(math.abs, -1), pool:submit(math.abs, -2)
      print(f:outcome(20))
      print(g:outcome(20))
      print(pcall(pool.submit, pool, math.abs, -1))]])
    local text = "parhost.broken_pool: p is broken: a worker could not be started: Resource temporarily unavailable"
    local line = "false\t" .. text
    assert.same({ ("%s\tnil\n%s\tnil\n%s\n"):format(line, line, line), 0 }, { result.out, result.code })
  end)

  local it_counts_threads = run.has_tsan and pending or it
  it_counts_threads("leaves the work to those that there are", function()
    local result = run_with(6, [[
      local pool <close> = require("proc_pool").new(4)
      pool:warm_up()
      local pids, n = {}, 0
      for _, pid in pool:map(function() return require("parhost").worker().pid end, { 1, 2, 3, 4, 5, 6, 7, 8 }) do
        n = n + (pids[pid] and 0 or 1)
        pids[pid] = true
      end
      print(n > 0 and n < 4)]])
    assert.same({ "true\n", 0 }, { result.out, result.code })
  end)
end)

describe_as_root("a task that starts programs without end", function()
  for _, kind in ipairs { "proc_pool", "thread_pool" } do
    it("is stopped in time, and the pool goes on: " .. kind, function()
      local result = run_with(40, ([[
        local futures = require "futures"
        local pool <close> = require("%s").new { max_workers = 2 }
        local f = pool:with { timeout = 0.3 }:submit(function()
          local async, list = require "async", {}
          while true do
            local ok, process = pcall(async.process, { "sleep", "1000" })
            if ok then list[#list + 1] = process end
          end
        end)
        print(futures.is(select(2, f:outcome(20)), "timeout"), pool:submit(math.abs, -2):result(20))
        ]]):format(kind))
      assert.same({ "true\t2\n", 0 }, { result.out, result.code }, result.err)
    end)
  end
end)

-- The stack of a thread takes 8 MiB of address space, the link of a worker 1; sanitizers take all there is.
local describe_plain = hostile.address_space() < 1 << 40 and describe or pending

describe_plain("a dispatcher that cannot be started", function()
  it("makes the work wait for the program, which is told so", function()
    local result = run.script(hostile.prelude .. [[
      local pool <close> = require("proc_pool").new { max_workers = 1, name = "p" }
      local size = io.open("/proc/self/status"):read("a"):match("VmSize:%s*(%d+)") * 1024
      local before = require("crash").limit("as", size + (6 << 20))
      local f = pool:submit(math.abs, -1)
      require("crash").limit("as", before)
      print(f:result(20), pool:submit(math.abs, -2):result(20))]])
    assert.same({
      out = "1\t2\n", code = 0,
      err = "Lua warning: parhost: the dispatcher of p could not be started (Resource temporarily unavailable): "
        .. "tasks are handed to workers only while the program submits or waits\n",
    }, result)
  end)
end)
