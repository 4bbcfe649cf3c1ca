-- SPDX-License-Identifier: MIT
-- An interrupt that came while results were taken in was taken for the error of decoding one: it was lost, and
-- "attempt to index a nil value (local 'sink')" was raised in its place; or a result was lost.
package.path = "tests/spec/?.lua;" .. package.path
local world = require "support.world"

local function interrupt(text)
  return world.run({ text = text }, function(program) program:kill "INT" end)
end

describe("Ctrl-C while results come in", function()
  it("unwinds the program", function()
    for _ = 1, 8 do
      local result = interrupt [[
        require("proc_pool").new(1)
        local drain = require("parhost.core.pool").drain
        ready()
        while true do drain() end]]
      assert.same({ -2, "" }, { result.code, result.err })
    end
  end)

  it("loses none of them", function()
    for _ = 1, 8 do
      local result = interrupt [[
        local pool = require("thread_pool").new(1)
        local futures, n = { pool:submit(math.abs, -1) }, 1
        require("parhost").on_exit(function()
          for _, f in ipairs(futures) do assert(f:outcome(20)) end
          print "all"
        end)
        ready()
        while true do -- the last ones, as the signal may take its time
          n = n % 50 + 1
          futures[n] = pool:submit(math.abs, -1)
          futures[n]:wait()
        end]]
      local err = result.err:gsub("^parhost: interrupted; waiting for 1 running task [^\n]*\n$", "") -- it may just run
      assert.same({ -2, "all\n", "" }, { result.code, result.out, err })
    end
  end)
end)
