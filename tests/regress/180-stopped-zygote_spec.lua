-- SPDX-License-Identifier: MIT
-- With its fork server stopped (SIGSTOP) a program could not end: not a pool, not a task that had to be interrupted, not the
-- program itself. Now it is told to go on when it is needed.
package.path = "tests/spec/?.lua;" .. package.path
local hostile = require "support.hostile"
local run = require "support.run"

-- A pool with a worker, whose zygote is stopped.
local BEGIN <const> = [[
  local pool = require("proc_pool").new { max_workers = 2, start_method = "%s" }
  local function parent() return tonumber(io.open("/proc/self/stat"):read("a"):match("%%) %%S (%%d+)")) end
  local crash, zygote = require "crash", pool:submit(parent):result()
  assert(crash.kill(zygote, 19))
  assert(pool:submit(math.abs, -2):result() == 2)
]]

describe("a stopped fork server", function()
  for _, method in ipairs { "forkserver", "fork" } do
    local function check(text, out)
      local result = run.script(hostile.prelude .. BEGIN:format(method) .. text)
      assert.same({ out = out, err = "", code = 0 }, result)
    end

    it("does not keep a pool from its end: " .. method, function()
      check("pool:close() print(pool:join(20))", "true\n")
    end)

    it("does not keep a program from its end: " .. method, function() check("print 'end'", "end\n") end)

    it("interrupts a task: " .. method, function()
      check([[
        local f = pool:with { timeout = 0.05 }:submit(function() while true do end end)
        print(f:error(20).kind)
        print(pool:submit(math.abs, -3):result(20))]], "timeout\n3\n")
    end)
  end

  it("makes workers", function()
    local result = run.script(hostile.prelude .. BEGIN:format "forkserver" .. [[
      local other <close> = require("proc_pool").new(1)
      print(other:submit(math.abs, -3):result(20))]])
    assert.same({ out = "3\n", err = "", code = 0 }, result)
  end)
end)
