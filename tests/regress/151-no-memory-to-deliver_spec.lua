-- SPDX-License-Identifier: MIT
-- Without memory for the upcall that delivers an outcome the future never settled, and callbacks, watchers and waits for
-- several futures were forgotten. Now the outcome, or the news that it was lost, comes with the next delivery.
local has_faults, fault = pcall(require, "parhost.core.fault")
local async = require "async"
local futures = require "futures"
local thread_pool = require "thread_pool"

local error = error -- busted has an environment of its own
local function fail() error { reason = "this" } end
local function double(n) return n * 2, "and more" end

local function is_expected(err)
  return type(err) == "table" and err.reason == "this" or tostring(err):find("not enough memory", 1, true) ~= nil
end

-- Settles with a result, its own error, or want of memory.
local function check(f)
  local waited, ok, value = pcall(f.outcome, f, 30)
  if not waited then -- the wait itself found no memory; the next one does
    assert.is_true(is_expected(ok), tostring(ok))
    ok, value = f:outcome(30)
  end
  if ok then assert.equal(8, value) else assert.is_true(is_expected(value), tostring(value)) end
end

;(has_faults and describe or pending)("without memory to deliver", function()
  local pool

  before_each(function() pool = thread_pool.new(1) end)
  after_each(function() pool:close() end)

  it("a future settles, and its callbacks are called", function()
    for n = 1, 60 do
      local called = 0
      local list = { pool:submit(double, 4), pool:submit(fail) }
      for _, f in ipairs(list) do
        f:add_done_callback(function() called = called + 1 end)
        f:add_done_callback(function() called = called + 1 end)
      end
      fault.arm(("host.lua_alloc:%d*2"):format(n))
      pcall(futures.wait, list)
      fault.arm ""
      for _, f in ipairs(list) do check(f) end
      require("parhost.block").poll()
      assert.equal(4, called)
    end
  end)

  it("as_completed gives each future once", function()
    for n = 1, 60 do
      local list, seen = { pool:submit(double, 4), pool:submit(double, 4), pool:submit(fail) }, 0
      local made, completed = pcall(futures.as_completed, list)
      assert.is_true(made)
      fault.arm(("host.lua_alloc:%d*2"):format(n))
      for _ = 1, 20 do
        local ok, f = pcall(completed)
        if ok and not f then break end
        if ok then seen = seen + 1 end
      end
      fault.arm ""
      for f in completed do
        check(f)
        seen = seen + 1
      end
      assert.equal(3, seen)
      for _, f in ipairs(list) do f:outcome() end
    end
  end)

  it("tasks that have not begun begin later", function()
    warn "@off" -- of groups that could not be closed
    for n = 1, 60 do
      local began = 0
      local ok, err = pcall(async.run, function()
        local group <close> = async.task_group()
        for _ = 1, 5 do
          group:create_task(function()
            began = began + 1
            async.sleep(0)
          end)
        end
        fault.arm(("host.lua_alloc:%d*2"):format(n))
      end)
      fault.arm ""
      if ok then assert.equal(5, began) else assert.matches("not enough memory", tostring(err)) end
    end
    warn "@on"
  end)
end)
