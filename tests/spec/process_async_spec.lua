-- SPDX-License-Identifier: MIT
-- Processes in tasks: what waits for one does not hold up the others, and what is cancelled leaves nothing behind.
package.path = "tests/spec/?.lua;" .. package.path
local process = require "async.process"
local futures = require "futures"
local is_alive = require "support.alive"

local has_async, async = pcall(require, "async")
local start, run_process = process.process, process.run_process

-- A task that has come to wait in fn(...).
local function waiting(fn, ...)
  local t = async.create_task(fn, ...)
  repeat async.checkpoint() until t:done() or t:traceback()
  return t
end

if not has_async then
  it("processes need no tasks", function() assert.equal("x", run_process({ "cat", input = "x" }).stdout) end)
  return
end

describe("in a task", function()
  it("is what async.process and async.run_process are", function()
    assert.equal(process.process, async.process)
    assert.equal(process.run_process, async.run_process)
  end)

  it("IO-11 cancelling wait leaves the child", function()
    async.run(function()
      local p <close> = start { "cat", stdin = "pipe", stdout = "pipe" }
      local t = waiting(p.wait, p)
      t:cancel()
      assert.is_true(t:wait())
      assert.is_true(t:cancelled())
      assert.is_true(p:running())
      assert.equal("abc", (p:communicate("abc")))
      assert.equal(0, (p:wait()))
    end)
  end)

  it("IO-11 cancelling run_process terminates the child, then kills it", function()
    async.run(function()
      for _, script in ipairs { "echo $$ >%s; exec sleep 100", "trap '' TERM; echo $$ >%s; while :; do sleep 0.01; done" } do
        local path = os.tmpname()
        os.remove(path)
        assert(os.execute("mkfifo " .. path))
        local t = async.create_task(run_process, { script:format(path), shell = true, grace = 0.05 })
        local pid = tonumber((run_process { "cat", path }.stdout))
        assert.is_true(is_alive(pid))
        t:cancel()
        t:wait()
        assert.is_true(t:cancelled())
        assert.is_false(is_alive(pid))
        os.remove(path)
      end
    end)
  end)

  it("IO-11 a timeout around it ends it", function()
    async.run(function()
      local p
      local ok, err = pcall(function()
        local _ <close> = async.timeout(0.05)
        p = start { "sleep", "100" }
        local _ <close> = p
        p:wait()
      end)
      assert.is_false(ok)
      assert.is_true(futures.is(err, "timeout"))
      assert.same({ nil, "SIGTERM" }, { p:wait() })
    end)
  end)

  it("runs many at once, and the first failure ends the others", function()
    async.run(function()
      local results = async.gather { function() return run_process({ "cat", input = "a" }).stdout end,
        function() return run_process({ "cat", input = "b" }).stdout end }
      assert.same({ "a", "b" }, { results[1], results[2] })
      local list = {}
      local ok, err = pcall(function()
        local tg <close> = async.task_group()
        for i = 1, 5 do
          list[i] = start { "cat", stdin = "pipe" }
          tg:create_task(function()
            local p <close> = list[i]
            p:wait()
          end)
        end
        tg:create_task(run_process, { "false", check = true })
      end)
      assert.is_false(ok)
      assert.equal("group", err.kind)
      assert.is_true(err:contains("process"))
      for _, p in ipairs(list) do assert.same({ nil, "SIGTERM" }, { p:wait() }) end
    end)
  end)

  it("takes turns with the others, however fast it writes", function()
    async.run(function()
      local p <close> = start { "yes", stdout = "pipe" }
      local other = 0
      local t = async.create_task(function()
        while true do
          other = other + 1
          async.checkpoint()
        end
      end)
      local total = 0
      while total < 20000000 do total = total + #p:read() end
      assert.is_true(other > 5)
      t:cancel()
    end)
  end)

  it("a stream has one user at a time, and is free after a cancellation", function()
    async.run(function()
      local p <close> = start { "cat", stdin = "pipe", stdout = "pipe" }
      local t = waiting(p.read, p)
      local ok, err = pcall(p.read, p)
      assert.is_false(ok)
      assert.equal("invalid_state", err.kind)
      t:cancel()
      t:wait()
      p:write("x\n")
      assert.equal("x", p:read("l"))
    end)
  end)

  it("closing a stream wakes who reads it", function()
    async.run(function()
      local p <close> = start { "cat", stdin = "pipe", stdout = "pipe" }
      local t = waiting(p.read, p)
      p.stdout:close()
      local ok, err = t:outcome()
      assert.is_false(ok)
      assert.equal("closed", err.kind)
    end)
  end)

  it("several wait for one", function()
    async.run(function()
      local p <close> = start { "cat", stdin = "pipe" }
      local a, b = waiting(p.wait, p), waiting(p.wait, p)
      p.stdin:close()
      assert.equal(0, (a:result()))
      assert.equal(0, (b:result()))
    end)
  end)
end)
