-- SPDX-License-Identifier: MIT
-- Two workers wait for each other's tasks. One has as many tasks on top of each other as may be, and waits for one that
-- nobody has begun; the other, which may run anything, ran younger ones that wait for what lies below them, up to the same
-- depth, and it was a deadlock. It runs the oldest now. (It happened in rows of tasks, each waiting for the one before.)
package.path = "tests/spec/?.lua;" .. package.path
local assert = require "luassert"
local busted = require "busted"
local futures = require "futures"
local gate = require "support.gate"
local thread_pool = require "thread_pool"
local describe, it = busted.describe, busted.it
-- That of tasks, instead of the one that busted makes for this file.
local _ENV = package.loaded._G -- luacheck: ignore 211

local DEPTH <const> = 60 -- HELP_DEPTH_MAX of src/vm/worker.c

local function same(...) return ... end
local function result_of(future) return future:result() end

local function down(pool, n, future)
  if n == 0 then return future:result() end
  return pool:submit(down, pool, n - 1, future):result()
end

local function go_down(pool, n, path, promise)
  require("support.gate").pass(path)
  return down(pool, n, promise:result())
end

local function wait_behind(path, promise)
  require("support.gate").pass(path)
  return promise:result():result()
end

describe("a worker that may run anything", function()
  it("runs the oldest task", function()
    local pool <close> = thread_pool.new(2)
    local lower, upper, bottom, deep = gate.new(), gate.new(), futures.new(), futures.new()
    local a = pool:submit(wait_behind, lower.path, deep)
    local open_lower = lower:reached()
    local b = pool:submit(go_down, pool, DEPTH, upper.path, bottom)
    local open_upper = upper:reached()
    local wanted = pool:with { priority = -1 }:submit(same, 5)
    local list = {}
    for i = 1, 2 * DEPTH do list[i] = pool:submit(result_of, a) end
    bottom:set_result(wanted)
    deep:set_result(b)
    open_lower()
    open_upper()
    assert.equal(5, b:result(20))
    assert.equal(5, a:result(20))
    for i = 1, 2 * DEPTH do assert.equal(5, list[i]:result(20)) end
  end)
end)
