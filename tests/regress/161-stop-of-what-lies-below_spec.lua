-- SPDX-License-Identifier: MIT
-- In a worker thread one task may run on top of another that waits. Stopping the lower one also hit the one on top: the
-- thread was given up when the time of the lower one was over, although it could not end yet. And a task that slept
-- had others run on top of it, for however long.
package.path = "tests/spec/?.lua;" .. package.path

local futures = require "futures"
local hostile = require "support.hostile"
local tasks = require "support.tasks"
local thread_pool = require "thread_pool"

local function exists(path)
  local file <close> = io.open(path)
  return file ~= nil
end

local function create(path) assert(io.open(path, "w")):close() end

describe("a task on top of one that is stopped", function()
  it("runs to its end", function()
    local begun, told = os.tmpname(), os.tmpname()
    os.remove(begun)
    os.remove(told)
    local pool <close> = thread_pool.new(1)
    local cell = futures.new()
    local below = pool:submit(tasks.await, cell)
    local top = pool:submit(hostile.run_until, begun, told)
    local limit = os.time() + 30
    repeat top:wait(0.01) until exists(begun) or os.time() > limit
    below:cancel { force = true, grace = 0 }
    top:wait(0.05) -- the time of the lower one is over long since
    create(told)
    assert.same({ true, "ended" }, { top:outcome() })
    assert.same("cancelled", select(2, below:outcome()).kind)
    os.remove(begun)
    os.remove(told)
    cell:set_result()
  end)
end)

describe("a task that sleeps", function()
  it("has none on top of it", function()
    local path = os.tmpname()
    do
      local pool <close> = thread_pool.new(1)
      for n = 1, 3 do pool:submit(hostile.sleep_with_notes, path, n) end
    end
    local file <close> = assert(io.open(path))
    assert.same("begins1 ends1 begins2 ends2 begins3 ends3 ", file:read "a")
    os.remove(path)
  end)
end)
