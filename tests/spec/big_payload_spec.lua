-- SPDX-License-Identifier: MIT
-- Payloads above the size of a link's ring: they go out bit by bit, from where they lie, while other things happen.
package.path = "tests/spec/?.lua;" .. package.path
local gate = require "support.gate"
local proc_pool = require "proc_pool"

local MIB <const> = 1 << 20

local function echo(value) return value end
local function size(value, tag) return #value, tag end

local HOLD <const> = "support.gate:pass"

local function big(letter, n) return letter:rep(n * MIB) end

describe("a big payload", function()
  it("comes back as it was, among small ones", function()
    local pool <close> = proc_pool.new(2)
    local futures = {}
    for i = 1, 6 do
      futures[#futures + 1] = pool:submit(echo, string.char(64 + i):rep(3 * MIB + i))
      futures[#futures + 1] = pool:submit(echo, i)
    end
    for i = 1, 6 do
      assert.is_true(futures[2 * i - 1]:result() == string.char(64 + i):rep(3 * MIB + i))
      assert.equal(i, futures[2 * i]:result())
    end
  end)

  it("is cancelled on its way, and what comes behind it is not harmed", function()
    local pool <close> = proc_pool.new(1)
    local g = gate.new()
    local first = pool:submit(HOLD, g.path)
    local open = g:reached()
    local cancelled = pool:submit(size, big("a", 8), 1) -- handed early: its beginning is in the ring
    local behind = pool:submit(size, big("b", 2), 2)
    local small = pool:submit(echo, 3)
    assert.is_true(cancelled:cancel())
    open()
    first:result()
    assert.same({ 2 * MIB, 2 }, { behind:result() })
    assert.equal(3, small:result())
    assert.is_true(cancelled:cancelled())
  end)

  it("goes to another worker when its own dies before it has begun", function()
    local pool <close> = proc_pool.new(1)
    local g = gate.new()
    local first = pool:submit(HOLD, g.path)
    local open = g:reached()
    local waiting = pool:submit(size, big("a", 8), 1)
    assert(os.execute("kill -KILL " .. pool:workers()[1].pid))
    assert.equal("worker_died", first:error().kind)
    assert.same({ 8 * MIB, 1 }, { waiting:result() })
    open()
  end)

  it("is dropped with its pool", function()
    local pool = proc_pool.new(1)
    local g = gate.new()
    pool:submit(HOLD, g.path)
    local open = g:reached()
    local waiting = pool:submit(size, big("a", 8), 1)
    pool:kill()
    assert.is_true(pool:join(20))
    assert.is_true(waiting:cancelled())
    open()
  end)
end)

describe("submitting without ever waiting", function()
  it("takes in what is done in between", function()
    local pool <close> = proc_pool.new { max_workers = 1, max_queue = 100 }
    local seen, n = 0, 2000
    local weak = setmetatable({}, { __mode = "v" })
    for i = 1, n do weak[i] = pool:submit(echo, i) end
    collectgarbage()
    for _ in pairs(weak) do seen = seen + 1 end
    assert.is_true(seen < n // 2, seen .. " futures are still held")
  end)
end)
