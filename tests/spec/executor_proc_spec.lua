-- SPDX-License-Identifier: MIT
-- The executor's contract for processes.
package.path = "tests/spec/?.lua;" .. package.path
local contract = require "support.executor_contract"
local proc_pool = require "proc_pool"

contract.describe("proc_pool", proc_pool.new, { workers = true })

-- Without a pipe of our own.
local function open_files()
  local path = os.tmpname()
  os.execute("ls /proc/$PPID/fd | wc -l >" .. path)
  local n = io.lines(path)()
  os.remove(path)
  return n
end

describe("proc_pool", function()
  it("IN-03 leaves nothing open behind, even when the initializer fails", function()
    proc_pool.new(1):close()
    collectgarbage()
    collectgarbage()
    local before = open_files()
    for _ = 1, 3 do
      local pool = proc_pool.new { max_workers = 2, initializer = "string:no_such_function" }
      local ok, err = pool:submit(math.abs, -1):outcome()
      assert.is_false(ok)
      assert.equal("initializer_failed", err.kind)
      pool:close()
    end
    collectgarbage()
    collectgarbage()
    assert.equal(before, open_files())
  end)

  it("SD-11 tells of a crash after its handle was collected", function()
    local f = proc_pool.new(1):submit("os:exit", 42)
    collectgarbage()
    collectgarbage()
    local ok, err = f:outcome(20)
    assert.is_false(ok)
    assert.equal("worker_died", err.kind)
    assert.equal(42, err.exit_code)
  end)

  it("refuses to send its handle", function()
    local pool <close> = proc_pool.new(1)
    local ok, err = pcall(pool.submit, pool, math.abs, pool)
    assert.is_false(ok)
    assert.equal("nested", err.kind)
  end)

  it("gives its workers the environment of who makes it, also in workers that have another one", function()
    local below = require("support.tasks").getenv_below
    local pool <close> = proc_pool.new { max_workers = 1, env = { X = "1", HOME = false } }
    assert.same({ "1", nil, os.getenv("PATH") },
      { pool:submit(below, "X", 1):result(), pool:submit(below, "HOME", 1):result(),
        pool:submit(below, "PATH", 1):result() })
    assert.equal("2", pool:submit(below, "X", { max_workers = 1, env = { X = "2" } }):result())
    assert.same({ nil, os.getenv("HOME") }, { below("X", 1), below("HOME", 1) })
  end)

  it("gives its workers env, cwd and niceness", function()
    local pool <close> = proc_pool.new { max_workers = 1, env = { X = "1", N = 5, HOME = false }, cwd = "/", nice = 3 }
    local function env(name) return pool:submit("os:getenv", name):result() end
    assert.same({ "1", "5", nil, os.getenv("PATH") }, { env "X", env "N", env "HOME", env "PATH" })
    assert.is_nil(os.getenv("X"))
    local niceness = tonumber(require("support.tasks").surroundings():match("%-?%d+$"))
    assert.equal(("/ %d"):format(math.min(niceness + 3, 19)), pool:submit(require("support.tasks").surroundings):result())
    local cases = {
      { { env = { [1] = "x" } }, "option 'env': names of variables expected, got number" },
      { { env = { A = {} } }, "option 'env': string or false expected for A, got table" },
      { { start_method = "fork", idle_timeout = 1 },
        "option 'idle_timeout': not possible with start_method = \"fork\"" },
      { { start_method = "fork", on_worker_death = "replace" },
        "option 'on_worker_death': \"replace\" is not possible with start_method = \"fork\"" },
    }
    for _, case in ipairs(cases) do
      local ok, err = pcall(proc_pool.new, case[1])
      assert.is_false(ok)
      assert.equal(("bad argument #1 to 'new' (%s)"):format(case[2]), err:match("bad argument.*"))
    end
  end)

  it("with start_method fork finds big tables in the worker as they were", function()
    local tasks = require "support.tasks"
    for i = 1, 2000 do tasks.big[i] = i end
    local pool <close> = proc_pool.new { max_workers = 1, start_method = "fork" }
    tasks.big[1] = "changed"
    assert.same({ 1, 2000 }, { pool:submit(tasks.first_and_length, tasks.big):result() })
    assert.same({ "new", 1 }, { pool:submit(tasks.first_and_length, { "new" }):result() })
  end)
end)
