-- SPDX-License-Identifier: MIT
-- An item of starmap that is no array raised "attempt to index a number value", without a place; a string was taken for an
-- empty array.
local futures = require "futures"
local thread_pool = require "thread_pool"

local function line() return debug.getinfo(2, "l").currentline end

describe("starmap of what is no array of arguments", function()
  for what, item in pairs { number = 5, string = "ab", ["nil"] = false } do
    it("is misuse, with its place: a " .. what, function()
      local pool <close> = thread_pool.new(1)
      local list = { n = 2, { 1, 2 }, item or nil }
      for _, view in ipairs { pool, pool:with { chunk_size = 4 } } do
        local ok, err = pcall(function() view:starmap(math.max, list) end)
        local expected = "230%-starmap%-items_spec%.lua:" .. line() - 1 .. ": bad argument #2 to 'starmap' "
          .. "%(item 2: array of arguments expected, got " .. what .. "%)"
        assert.is_false(ok)
        assert.matches(expected, err)
      end
      assert.equal(0, pool:stats().queued)
    end)
  end

  it("is the error of its item where the input is read later", function()
    local pool <close> = thread_pool.new(1)
    local results = pool:with { buffer_size = 1 }:starmap(math.max, { { 1, 2 }, 5, { 3, 4 } })
    assert.same({ 1, 2 }, { results:next() })
    local ok, err = pcall(results.next, results)
    assert.is_false(ok)
    assert.matches("item 2: array of arguments expected, got number", err)
    assert.same({ 3, 4 }, { results:next() })
    assert.is_nil(results:next())
    assert.is_false(futures.is(err))
  end)
end)
