-- SPDX-License-Identifier: MIT
-- What ends while it is searched for who can end a wait, and is moved from where it is looked for first to where it is
-- looked for next: each place is held open here while something goes through it. See 185 for tasks and their records.
package.path = "tests/spec/?.lua;" .. package.path
local assert = require "luassert"
local busted = require "busted"
local futures = require "futures"
local gate = require "support.gate"
require "support.hostile" -- where C modules are
local thread_pool = require "thread_pool"

local has_faults, fault = pcall(require, "parhost.core.fault")
local nap = require("starter").nap
local describe, it, pending, after_each = busted.describe, busted.it, busted.pending, busted.after_each
-- That of tasks, instead of the one that busted makes for this file.
local _ENV = package.loaded._G -- luacheck: ignore 211

local function await(test)
  while not test() do nap(0.001) end
end

-- A task: once the program sleeps, opens a gate, and ends when the search of who stands there is held.
local function end_in_search(path, cpath, point, value)
  package.cpath = cpath
  local points, short = require "parhost.core.fault", require("starter").nap
  local asleep = 0
  while asleep < 4 do
    short(0.001)
    local stat <close> = io.open "/proc/self/stat"
    asleep = stat:read("a"):match "^%d+ %(.*%) S" and asleep + 1 or 0
  end
  io.open(path, "w"):close()
  while points.tripped(point) == 0 do short(0.001) end
  return value
end

-- A task that stands at a gate, then waits for the program.
local function pass_and_wait(promise, path)
  require("support.gate").pass(path)
  return promise:result()
end

;(has_faults and describe or pending)("no deadlock is seen when, during the search,", function()
  after_each(function() fault.arm "" end)

  it("a pool comes to its end that is waited for", function()
    local pool <close> = thread_pool.new(1)
    local ends <close> = thread_pool.new(1)
    local promise, g = futures.new(), gate.new()
    fault.arm "thread.search_pool:2*300" -- the first search does not decide
    local f = pool:submit(pass_and_wait, promise, g.path)
    ends:submit(function(hold, ...)
      local arguments = table.pack(...)
      guard = setmetatable({}, { __gc = function() hold(table.unpack(arguments)) end }) -- luacheck: ignore
    end, end_in_search, g.path, package.cpath, "search_pool")
    ends:close() -- what it waits for at last is the end of the thread alone
    promise:set_result(5)
    assert.equal(5, f:result(20))
  end)

  it("a queue gets room that is waited for", function()
    local pool <close> = thread_pool.new(1)
    local other <close> = thread_pool.new(1)
    local full <close> = thread_pool.new { max_workers = 1, max_queue = 1 }
    local promise, g = futures.new(), gate.new()
    fault.arm "thread.search_pool:2*300" -- the first search does not decide
    other:submit(function(theirs, hold, ...) -- whose records are not the program's
      theirs:submit(hold, ...)
      theirs:submit(math.abs, -1)
    end, full, end_in_search, g.path, package.cpath, "search_pool"):result()
    local f = pool:submit(pass_and_wait, promise, g.path)
    full:submit(math.abs, -2) -- waits
    promise:set_result(6)
    assert.equal(6, f:result(20))
  end)

  it("the program gets a result, and what has come is not taken before it is off the list", function()
    local pool <close> = thread_pool.new(1)
    local other <close> = thread_pool.new(1)
    local promise, g = futures.new(), gate.new()
    fault.arm "thread.search:1*300"
    local f = pool:submit(pass_and_wait, promise, g.path)
    promise:set_result(other:submit(end_in_search, g.path, package.cpath, "search", 7):result())
    assert.equal(7, f:result(20))
  end)

  it("a pool is taken down", function()
    local pool <close> = thread_pool.new(1)
    local taken = thread_pool.new(1)
    local g = gate.new()
    fault.arm "thread.search_records:2+"
    local f = pool:submit(function(p, path)
      local child = p:submit(function(at) return require("support.gate").pass(at) end, path)
      while not child:running() do end
      local _, err = child:outcome()
      return tostring(err)
    end, taken, g.path)
    local open = g:reached()
    await(function() return fault.tripped "search_records" > 0 end)
    taken:kill()
    fault.arm ""
    assert.matches("cancelled", f:result(20))
    open()
    taken:join()
  end)

  it("a thread is given up", function()
    local pool <close> = thread_pool.new(1)
    local abandons <close> = thread_pool.new { max_workers = 1, grace = 0.01 }
    local g, cancels = gate.new(), gate.new()
    fault.arm "thread.search_records:2+"
    local f = pool:submit(function(p, path, cancel_path, cpath)
      local child = p:submit(function(at, cpath_too)
        package.cpath = cpath_too
        require("crash").block(0, at)
      end, path, cpath)
      require("support.gate").pass(cancel_path)
      child:cancel { force = true }
      local _, err = child:outcome()
      return tostring(err)
    end, abandons, g.path, cancels.path, package.cpath)
    local open = g:reached()
    cancels:open()
    await(function() return fault.tripped "search_records" > 0 end)
    await(function() return abandons:stats().abandoned == 1 end)
    fault.arm ""
    assert.matches("cancelled", f:result(20))
    open()
  end)
end)
