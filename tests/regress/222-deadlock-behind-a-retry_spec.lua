-- SPDX-License-Identifier: MIT
-- A future that another state waits for, too, was known by the first task that stood for it. When that was run again after
-- an error, as another task, the search for deadlocks took the future for one that is about to settle.
package.path = "tests/spec/?.lua;" .. package.path
local assert = require "luassert"
local busted = require "busted"
local futures = require "futures"
local gate = require "support.gate"
local thread_pool = require "thread_pool"

local describe, it = busted.describe, busted.it
local _ENV = package.loaded._G -- luacheck: ignore 211

describe("a deadlock behind a task that was run again", function()
  it("is found", function()
    local pool <close> = thread_pool.new(2)
    local g, promise, mark = gate.new(), futures.new(), os.tmpname()
    local again = pool:with { retries = 1, retry_if = function() return true end }:submit(function(p, path, first)
      if os.remove(first) then
        require("support.gate").pass(path)
        error "again"
      end
      return p:result()
    end, promise, g.path, mark)
    local waits = pool:submit(function(f) return f:result() end, again)
    g:open()
    local ok, err = waits:outcome()
    assert.is_false(ok)
    assert.is_true(futures.is(err, "deadlock"), tostring(err))
    promise:set_result()
  end)
end)
