-- SPDX-License-Identifier: MIT
-- Waits that somebody could still end were taken for deadlocks: when a task ended between two looks at it, when a worker had
-- the place of one that was given up, when the pool was over for whose end a state waited, and when that waited for room.
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

local function count_threads()
  local pipe <close> = assert(io.popen "ls /proc/$PPID/task | wc -l")
  return pipe:read "n"
end

local function pass(path) return require("support.gate").pass(path) end
local function result_of(future) return future:result() end

;(has_faults and describe or pending)("who can end a wait is found while", function()
  after_each(function() fault.arm "" end)

  it("a task ends between the look at it and the look at its record", function()
    local pool <close> = thread_pool.new(2)
    local g = gate.new()
    fault.arm "thread.search_records:2+" -- the first search does not decide
    local f = pool:submit(function(p, path)
      local child = p:submit(pass, path)
      while not child:running() do end
      return child:result()
    end, pool, g.path)
    await(function() return fault.tripped "search_records" > 0 end)
    g:open "text"
    await(function() return pool:stats().completed == 1 end)
    fault.arm ""
    assert.equal("text", f:result(20))
  end)

  it("the pool whose end is waited for comes to it", function()
    local ends <close> = thread_pool.new(1)
    local pool <close> = thread_pool.new(1)
    local promise, g = futures.new(), gate.new()
    fault.arm "thread.search:1*100"
    local f = pool:submit(function(p, path)
      require("support.gate").pass(path)
      return p:result()
    end, promise, g.path)
    ends:submit(function(path, cpath)
      package.cpath = cpath
      local points, short = require "parhost.core.fault", require("starter").nap
      local function is_program_asleep()
        local stat <close> = io.open "/proc/self/stat"
        return stat:read("a"):match "^%d+ %(.*%) S"
      end
      guard = setmetatable({}, { __gc = function() -- luacheck: ignore
        local asleep = 0
        while asleep < 4 do -- the program, which waits for the end of this thread and nothing else
          short(0.001)
          asleep = is_program_asleep() and asleep + 1 or 0
        end
        io.open(path, "w"):close()
        while points.tripped "search" == 0 do short(0.001) end
      end })
    end, g.path, package.cpath)
    ends:close()
    promise:set_result(5)
    assert.equal(5, f:result(20))
    os.remove(g.path)
  end)
end)

describe("no deadlock is", function()
  it("a task that runs in the place of a thread that was given up and still waits", function()
    local threads = count_threads()
    local pool <close> = thread_pool.new { max_workers = 2, grace = 0.01 }
    local promise, shielded, g = futures.new(), gate.new(), gate.new()
    local stubborn = pool:submit(function(p, path)
      local async, stands = require "async", require "support.gate"
      async.run(function()
        async.shield(function()
          stands.pass(path)
          p:result()
        end)
      end)
    end, promise, shielded.path)
    shielded:open()
    stubborn:cancel { force = true }
    assert.is_true(futures.is(select(2, stubborn:outcome(20)), "cancelled"))
    await(function() return pool:stats().abandoned == 1 end)
    local runs = pool:submit(pass, g.path)
    local open = g:reached()
    local waits = pool:submit(result_of, runs)
    waits:wait(0.05) -- a deadlock would be found here
    open()
    assert.equal("", waits:result(20))
    promise:set_result()
    pool:close()
    await(function() return count_threads() <= threads end)
  end)

  it("a wait for room in the queue of a pool in which tasks of others run", function()
    local full <close> = thread_pool.new { max_workers = 1, max_queue = 1 }
    local pool <close> = thread_pool.new(1)
    for _ = 1, 2 do full:submit(function() require("async").sleep(0.02) end) end
    local f = pool:submit(function(p) return p:submit(math.abs, -1):result() end, full)
    assert.equal(1, f:result())
    -- of another state
    local theirs = pool:submit(function()
      local made = require("thread_pool").new { max_workers = 1, max_queue = 1 }
      for _ = 1, 2 do made:submit(function() require("async").sleep(0.02) end) end
      keep = made -- luacheck: ignore
      return made
    end):result()
    local other <close> = thread_pool.new(1)
    assert.equal(2, other:submit(function(p) return p:submit(math.abs, -2):result() end, theirs):result())
  end)
end)
