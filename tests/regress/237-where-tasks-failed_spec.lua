-- SPDX-License-Identifier: MIT
-- What is told of an error in a task: a time limit that nobody caught showed no line of the program but that of async.run,
-- and where an error was raised was lost when a task, or a worker, had it from another task.
local async = require "async"
local futures = require "futures"
local virtual = require "tests.spec.support.virtual"

local error, require = error, require -- busted has an environment of its own
local HERE <const> = "237%-where%-tasks%-failed_spec%.lua:"

local function wait_in_vain(how)
  local _ <close> = how.timeout(1)
  how.sleep(5)
end

local function raise_table()
  error { code = 5 }
end

describe("an error of a task", function()
  it("says where it was waited in vain", function()
    local err = virtual.raised_by(virtual.run, wait_in_vain, async)
    assert.equal("timeout", err.kind)
    assert.matches("task stack traceback:\n\t[^\n]*" .. HERE .. "13: in a task\n", futures.describe(err) .. "\n")
    assert.equal(err.traceback, futures.traceback_of(err))
  end)

  it("says so to the task that asks for it", virtual.it(function()
    local t = async.create_task(wait_in_vain, async)
    t:wait()
    assert.matches(HERE .. "13: in a task", t:traceback())
  end))

  it("keeps where it was raised through tasks that wait for one another", virtual.it(function()
    local t = async.create_task(raise_table)
    for _ = 1, 3 do
      local inner = t
      t = async.create_task(function() inner:result() end)
    end
    local _, err, traceback = t:outcome()
    assert.equal(5, err.code)
    assert.matches("^  in task 'task%-%d+'\ntask stack traceback:\n.-" .. HERE .. "17: in function", traceback)
    assert.equal(2, select(2, traceback:gsub("stack traceback:", "")))
    assert.matches("\nstack traceback:\n.-in method 'result'", traceback)
  end))

  for _, kind in ipairs { "proc_pool", "thread_pool" } do
    it("keeps it on the way out of a worker of " .. kind, function()
      local pool <close> = require(kind).new(1)
      local f = pool:submit(function() require("async").run(raise_table) end)
      assert.is_false(f:outcome())
      assert.matches("^  in task 'task%-1'\ntask stack traceback:\n.-" .. HERE .. "17: in function", f:traceback())
    end)
  end
end)
