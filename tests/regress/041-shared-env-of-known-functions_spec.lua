-- SPDX-License-Identifier: MIT
-- A function that a worker knew already came with its _ENV shared with a function that was new to the worker: "malformed
-- message: upvalue". Global functions that a task calls are of that kind.
package.path = "tests/spec/?.lua;" .. package.path
local compile = require("support.ways").compile
local proc_pool = require "proc_pool"

describe("a known function and a new one that share _ENV", function()
  it("arrive together", function()
    local pool <close> = proc_pool.new(1)
    local first, second, third = compile [[(function()
      return function(f) return type(f) == "function" and f() end, function() return type(1) end,
        function() return type "" end
    end)()]]
    assert.equal("number", pool:submit(first, second):result())
    assert.equal("string", pool:submit(first, third):result())
    assert.equal("number", pool:submit(first, second):result())
  end)
end)
