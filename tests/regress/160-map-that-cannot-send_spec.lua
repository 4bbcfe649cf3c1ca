-- SPDX-License-Identifier: MIT
-- What a map with a buffer could not send later than in its call counted as sent: the error was raised once, then the map
-- waited for results that could not come.
local async = require "async"
local futures = require "futures"
local thread_pool = require "thread_pool"

-- What comes of each item, in short.
local function take_all(it)
  local list = {}
  while true do
    local got = table.pack(pcall(it.next, it))
    if got[1] and got[2] == nil then return list end
    list[#list + 1] = got[1] and got[3] or futures.is(got[2]) and got[2].kind or tostring(got[2])
  end
end

describe("a map with a buffer", function()
  it("raises for each item that a pool no longer takes", function()
    local pool = thread_pool.new(1)
    local it = pool:with { buffer_size = 2 }:map(math.abs, { -1, -2, -3, -4 })
    assert.same({ 1, 1 }, { it:next() })
    pool:close()
    assert.same({ 2, "shutdown", "shutdown" }, take_all(it))
  end)

  it("raises for an item that cannot be sent, at its position", function()
    local pool <close> = thread_pool.new(1)
    local list = { -1, -2, coroutine.create(print), -4 }
    assert.same({ 1, 2, "not_serializable", 4 }, take_all(pool:with { buffer_size = 1 }:map(math.abs, list)))
    local function unordered() return pool:with { buffer_size = 1 }:map_unordered(math.abs, list) end
    assert.same({ 1, 2, "not_serializable", 4 }, take_all(unordered()))
  end)

  it("fails the items that were not sent when its task was cancelled", function()
    local pool <close> = thread_pool.new { max_workers = 1, max_queue = 1 }
    local gate = futures.new()
    local function wait(f) return f:result() end
    local it = pool:with { buffer_size = 1 }:map(wait, { gate, gate })
    gate:set_result(1)
    assert.same({ 1, 1 }, { it:next() })
    local held = futures.new()
    local blocking = { pool:submit(wait, held), pool:submit(wait, held) } -- one runs, one fills the queue
    async.run(function() assert.False((async.move_on_after(0.01, it.next, it))) end)
    held:set_result(2)
    assert.same({ 2, 2 }, { blocking[1]:result(), blocking[2]:result() })
    assert.same({ "cancelled" }, take_all(it))
  end)
end)
