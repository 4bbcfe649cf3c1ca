-- SPDX-License-Identifier: MIT
-- A thread that was given up, and waits, was taken for a worker that runs what is left in the queue of its pool. It is given
-- nothing there, so it asked again and again; meanwhile no deadlock that it was part of was seen.
package.path = "tests/spec/?.lua;" .. package.path
local assert = require "luassert"
local busted = require "busted"
local futures = require "futures"
local gate = require "support.gate"
require "support.hostile" -- where C modules are
local thread_pool = require "thread_pool"

local nap = require("starter").nap
local describe, it = busted.describe, busted.it
-- That of tasks, instead of the one that busted makes for this file.
local _ENV = package.loaded._G -- luacheck: ignore 211

local function await(test)
  while not test() do nap(0.001) end
end

local function pass(path) return require("support.gate").pass(path) end

describe("a thread that was given up", function()
  it("helps nobody, so that its deadlock is found while tasks wait in its pool", function()
    local pool <close> = thread_pool.new { max_workers = 1, grace = 0.01 }
    local other <close> = thread_pool.new(1)
    local stands, closes, g = gate.new(), gate.new(), gate.new()
    local told = os.tmpname()
    local stubborn = pool:submit(function(theirs, path, close_path, told_path)
      local async, stand = require "async", require "support.gate"
      async.run(function()
        async.shield(function()
          local mine = require("futures").new()
          local circle = theirs:submit(function(p, its_path, to)
            require("support.gate").pass(its_path)
            local _, err = pcall(p.result, p)
            local file <close> = assert(io.open(to, "w"))
            file:write(tostring(err))
          end, mine, close_path, told_path)
          stand.pass(path)
          circle:result()
        end)
      end)
    end, other, stands.path, closes.path, told)
    stands:open()
    stubborn:cancel { force = true }
    assert.is_true(futures.is(select(2, stubborn:outcome(20)), "cancelled"))
    await(function() return pool:stats().abandoned == 1 end)
    local runs = pool:submit(pass, g.path)
    local open = g:reached()
    local waits = pool:submit(math.abs, -1)
    closes:open()
    local text
    await(function()
      local file <close> = assert(io.open(told))
      text = file:read "a"
      return text ~= ""
    end)
    open()
    assert.equal("", runs:result(20))
    assert.equal(1, waits:result(20))
    assert.is_truthy(text:find "deadlock" or text:find "has ended", text) -- or the other one was told, and is gone
    os.remove(told)
  end)
end)
