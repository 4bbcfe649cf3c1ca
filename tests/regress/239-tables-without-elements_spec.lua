-- SPDX-License-Identifier: MIT
-- What takes an array took a table that has nothing but other fields for an empty one: options in the wrong place, or
-- futures as keys, and nothing was done, without a word.
local async = require "async"
local futures = require "futures"
local thread_pool = require "thread_pool"

local function raises(message, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_truthy(tostring(err):find(message, 1, true), err)
end

describe("a table without elements", function()
  local inline = thread_pool.new { inline = true }
  local future = inline:submit(math.abs, 1)
  local of_future = { [future] = "a" }
  local WITH <const> = "array expected, got a table without elements, with "

  it("is no array of futures", function()
    raises("bad argument #1 to 'wait' (" .. WITH .. "key parhost.Future)", futures.wait, of_future)
    raises("bad argument #1 to 'as_completed' (" .. WITH .. "field 'timeout')", futures.as_completed, { timeout = 1 })
    raises("bad argument #1 to 'wait' (" .. WITH .. "key 3)", futures.wait, { [3] = future })
    for _, name in ipairs { "gather", "race", "any" } do
      raises(("bad argument #1 to '%s' (%sfield 'a')"):format(name, WITH), async.run, async[name], { a = print })
    end
  end)

  it("is nothing to map over", function()
    local OPTION <const> = "field 'chunk_size'; options go into pool:with{ ... })"
    raises("bad argument #3 to 'map' (" .. WITH .. OPTION, inline.map, inline, math.abs, { 1 }, { chunk_size = 2 })
    raises("bad argument #2 to 'starmap' (" .. WITH .. OPTION, inline.starmap, inline, math.abs, { chunk_size = 2 })
    raises("bad argument #2 to 'map' (" .. WITH .. "field 'x'; options are argument #3)",
      async.run, async.map, math.abs, { x = 2 })
  end)

  it("may be empty, say so, or have another length", function()
    assert.same({ {}, {} }, { futures.wait {} })
    local of_none = setmetatable({ x = 1 }, { __len = function() return 0 end })
    for _, list in ipairs { {}, { n = 0 }, { n = 0, x = 1 }, of_none } do
      assert.equal(0, inline:map(math.abs, list):collect().n)
    end
    local counted = setmetatable({ x = 1 }, { __len = function() return 2 end, __index = function(_, i) return -i end })
    assert.same({ 1, 2, n = 2 }, inline:map(math.abs, counted):collect())
    assert.equal(2, inline:map(math.abs, { -1, -2, x = 1 }):collect().n)
  end)
end)
