-- SPDX-License-Identifier: MIT
-- A finalizer that waits, while the state of a worker thread is closed, for what only the program could settle, which waits
-- for the end of that thread: nobody saw that they waited for each other.
package.path = "tests/spec/?.lua;" .. package.path
local run = require "support.run"

describe("a deadlock at the end of a worker", function()
  it("is found", function()
    local result = run.script [[
      local thread_pool = require "thread_pool"
      local pool = thread_pool.new(1)
      local promise = require("futures").new()
      pool:submit(function(p)
        keep = setmetatable({}, { __gc = function() print(select(2, pcall(p.result, p))) end })
      end, promise):result()
      pool:close()
      print "closed" ]]
    assert.equal(0, result.code, result.err)
    assert.matches("^parhost.deadlock: .*a worker waits for [^\n]*the workers of thread_pool[^\n]*\nclosed\n$", result.out)
  end)
end)
