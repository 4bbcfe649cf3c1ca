-- SPDX-License-Identifier: MIT
-- A map that is called for what its tasks do, without a loop over the results: their errors were lost without a word.
local async = require "async"
local futures = require "futures"
local thread_pool = require "thread_pool"

local function fails_from(n)
  return function(i)
    if i >= n then error("item " .. i, 0) end
    return i
  end
end

-- The errors that are reported once everything that `fn` has left is collected.
local function reports(fn)
  local list = {}
  futures.on_unhandled(function(_, err) list[#list + 1] = err end)
  fn()
  collectgarbage()
  collectgarbage()
  futures.on_unhandled(nil)
  return list
end

describe("the errors of a map", function()
  local pool = thread_pool.new(1)
  local ITEMS <const> = { 1, 2, 3, 4 }
  local views = { pool, pool:with { chunk_size = 3 }, pool:with { buffer_size = 3 } }

  local function each(fn)
    for _, view in ipairs(views) do
      for _, name in ipairs { "map", "map_unordered" } do
        fn(function(first) return (view[name](view, fails_from(first), ITEMS)) end)
      end
    end
  end

  it("are reported once when it is dropped", function()
    each(function(start)
      assert.same({ "item 3" }, reports(function()
        start(3)
        pool:drain()
      end))
    end)
    local original, warned = warn, nil
    _G.warn = function(message) warned = message end -- that the iterator was not closed
    local reported = reports(function()
      async.run(function()
        async.map(fails_from(2), ITEMS)
        async.sleep(0.001)
      end)
    end)
    _G.warn = original
    assert.same({ "item 2" }, reported)
    assert.matches("^parhost: an iterator of async%.map, opened at .* was collected before it was closed$", warned)
  end)

  it("are not when one was raised, or it was closed", function()
    local function of_all(start)
      assert.same({}, reports(function()
        local raising, closed, left = start(3), start(1), start(5)
        pool:drain()
        repeat
          local ok, err = pcall(raising.next, raising)
        until not ok and assert.equal("item 3", err)
        if raising.group then raising:close() end -- async.map's would be reported for its tasks
        closed:close()
        for i in left, nil, nil, left do
          if i == 2 then break end
        end
      end))
    end
    each(of_all)
    async.run(function()
      of_all(function(first) return (async.map(fails_from(first), ITEMS)) end)
    end)
  end)

  teardown(function() pool:close() end)
end)
