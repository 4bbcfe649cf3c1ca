-- SPDX-License-Identifier: MIT
-- A thread that closes descriptors wholesale while the program sleeps in its loop, or a dispatcher in its epoll: nothing
-- could wake these any more, neither a result nor a time limit nor the end of the program. Both look once a second now.
package.path = "tests/spec/?.lua;" .. package.path
local hostile = require "support.hostile"
local run = require "support.run"

local LOST <const> = "parhost.os: the event loop cannot wait: something in this process has closed its descriptors"

-- What the program prints; its end may be reported, too.
local function output(text)
  local result = run.script(hostile.prelude .. [[
    local crash = require "crash"
    local cpath = package.cpath
    local function close_and_block(seconds)
      package.cpath = cpath
      local crash = require "crash"
      crash.block(0.1)
      crash.close_from(3, 1000)
      crash.block(seconds)
      return "done"
    end]] .. text)
  assert.equal(0, result.code, result.err)
  return result.out
end

describe("descriptors that are closed while somebody sleeps", function()
  it("do not keep a result from who waits", function()
    assert.equal("done\n", output [[
      local pool = require("thread_pool").new(1)
      print(pool:submit(close_and_block, 0):result())]])
  end)

  it("do not keep a time limit from being seen", function()
    assert.equal(LOST .. "\n", output [[
      local pool = require("thread_pool").new(1)
      local f = pool:submit(close_and_block, 3)
      print(select(2, pcall(require("async").sleep, 1.5)))]])
  end)

  for _, kind in ipairs { "proc_pool", "thread_pool" } do
    it("do not hold up the end of a pool: " .. kind, function()
      assert.equal("false\n", output(([[
        local pool = require("%s").new(1)
        pool:submit(math.abs, -1):result()
        require("async").sleep(0.001) -- the loop is there before the descriptors go: their numbers are not to be its own
        local f = pool:submit(function()
          local limit = os.clock() + 0.3
          while os.clock() < limit do end
        end)
        local limit = os.clock() + 0.05
        while os.clock() < limit do end -- until the dispatcher drives
        crash.close_from(3, 1000)
        print((pcall(f.result, f)))]]):format(kind)))
    end)
  end
end)
