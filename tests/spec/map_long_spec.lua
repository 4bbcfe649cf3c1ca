-- SPDX-License-Identifier: MIT
-- Maps over iterators that go on for long.
package.path = "tests/spec/?.lua;" .. package.path
local map = require "parhost.map"
local thread_pool = require "thread_pool"
local virtual = require "support.virtual"

local function numbers(n)
  local i = 0
  return function()
    i = i + 1
    return i <= n and i or nil
  end
end

describe("a map over a long iterator", function()
  local many = map.many
  setup(function() map.many = 100 end)
  teardown(function() map.many = many end)

  local function warnings(options, input)
    local pool <close> = thread_pool.new(1)
    return virtual.warnings_of(function()
      assert.equal(1000, pool:with(options):map(math.abs, input):collect().n)
    end)
  end

  it("is warned of once, when everything is read before the loop begins", function()
    local warned = warnings({}, numbers(1000))
    assert.equal(1, #warned)
    assert.matches("^parhost: map: the iterator has given 100 items and goes on; with { buffer_size = n }", warned[1])
  end)

  it("is nothing special with a buffer, nor is an array", function()
    assert.same({}, warnings({ buffer_size = 500 }, numbers(1000)))
    local list = {}
    for i = 1, 1000 do list[i] = i end
    assert.same({}, warnings({}, list))
  end)
end)
