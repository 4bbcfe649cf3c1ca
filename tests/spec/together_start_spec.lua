-- SPDX-License-Identifier: MIT
-- Which of processes, threads, tasks and requests comes first makes no difference; nor where pools are made.
local alive = require "tests.spec.support.alive"
local gate = require "tests.spec.support.gate"
local proc_pool = require "proc_pool"
local run = require "tests.spec.support.run"
local tasks = require "tests.spec.support.tasks"
local thread_pool = require "thread_pool"

local nested = "tests.spec.support.together:"

local function prints(expected, text)
  local result = run.script(text)
  assert.same({ expected, "", 0 }, { result.out, result.err, result.code })
end

local FIRST <const> = {
  threads = [[local pool = require "thread_pool".new(1) assert(pool:submit(math.abs, -1):result() == 1)]],
  tasks = [[local async = require "async" async.run(async.sleep, 0.001)]],
  ["plain code that waits"] = [[local f = require "async".create_task(print, "ran") f:result()]],
  ["a request"] = [[local ok, err = pcall(require "http".get, "http://127.0.0.1:1/") assert(err.code == "connect")]],
}

describe("processes after", function()
  for what, text in pairs(FIRST) do
    it(what, function()
      local ran = text:find("print", 1, true) and "ran\n" or ""
      prints(ran .. "2\n", text .. [[
        local pool = require "proc_pool".new(1)
        print(pool:submit(math.abs, -2):result())]])
    end)
  end

  it("all of them", function()
    prints("2\t3\n", FIRST.threads .. FIRST.tasks .. FIRST["a request"] .. [[
      local async = require "async"
      print(require "proc_pool".new(1):submit(math.abs, -2):result(), async.run(async.to_process, math.abs, -3))]])
  end)
end)

describe("in a worker", function()
  for name, module in pairs { ["process"] = proc_pool, ["thread"] = thread_pool } do
    it("a " .. name .. " makes pools of every kind, whatever it has done before", function()
      local pool <close> = module.new(1)
      for _ = 1, 2 do
        assert.equal(3, pool:submit(nested .. "in_threads", 3):result(20))
        assert.equal(4, pool:submit(nested .. "in_tasks", 4):result(20))
        assert.equal(5, pool:submit(nested .. "in_processes", 5):result(20))
        assert.same({ 6, 7, "8" }, { pool:submit(nested .. "in_all", 6, 7, 8):result(20) })
      end
    end)
  end

  it("SD-35 to a depth", function()
    local pool <close> = proc_pool.new(1)
    assert.equal("at the bottom", pool:submit(nested .. "deeper", 2):result(20))
    local err = pool:submit(nested .. "deeper", 3):error(20)
    assert.equal("nested", err.kind)
  end)
end)

describe("the pool of a worker", function()
  it("dies with it when it is killed", function()
    local pool <close> = proc_pool.new(1)
    local door = gate.new()
    local f = pool:submit(nested .. "keep_inner_worker", door.path)
    local file = assert(io.open(door.path, "r"))
    local inner, outer = file:read("n", "n")
    file:close()
    os.execute("kill -KILL " .. math.tointeger(outer))
    assert.equal("worker_died", f:error(20).kind)
    local limit = os.time() + 20
    while alive(math.tointeger(inner)) do assert(os.time() < limit) end
  end)

  it("is as nice as its worker, and as it says itself", function()
    local ours = tonumber(tasks.surroundings():match("%-?%d+$"))
    local pool <close> = proc_pool.new { max_workers = 1, nice = 2 }
    local inner, nicer = math.min(ours + 2, 19), math.min(ours + 5, 19)
    assert.same({ inner, inner, nicer }, { pool:submit(nested .. "niceness"):result(20) })
  end)
end)
