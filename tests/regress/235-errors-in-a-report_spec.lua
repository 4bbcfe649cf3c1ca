-- SPDX-License-Identifier: MIT
-- The report of a task group's error showed the message of its first error and nothing else: neither the others, nor where
-- any of them was raised.
local async = require "async"
local futures = require "futures"
local virtual = require "tests.spec.support.virtual"

local error, require = error, require -- busted has an environment of its own

local function fail(value)
  error(value, 0)
end

local function group_of(values, name)
  return async.group({ on_error = "collect", name = name }, function(tg)
    for i = 1, values.n or #values do tg:create_task(fail, values[i]) end
  end)
end

local function report_of(fn, ...)
  local err = virtual.raised_by(fn, ...)
  return futures.describe(err), err
end

describe("what is told of a group", function()
  it("are all its errors, with the places where they were raised", virtual.it(function()
    local text = report_of(group_of, { n = 3, "one", nil, { "three" } })
    for i, shown in ipairs { "one", "nil", "table: 0x%x+" } do
      assert.matches(("error %d of 3: %s\n    in task 'task%%-%%d+'\n  task stack traceback:\n"):format(i, shown), text)
    end
    local _, places = text:gsub("235%-errors%-in%-a%-report_spec%.lua:11: in function", "")
    assert.equal(3, places)
  end))

  it("are those of groups in it as well, further in", virtual.it(function()
    local text = report_of(async.group, function(tg) tg:create_task(group_of, { "deep" }, "inner") end)
    assert.matches("error 1 of 1: parhost.group: 1 error in task group 'inner': deep\n  error 1 of 1: deep\n", text)
  end))

  it("are the first ten", virtual.it(function()
    local values = {}
    for i = 1, 12 do values[i] = "e" .. i end
    local text = report_of(group_of, values)
    assert.matches("error 10 of 12: e10\n", text)
    assert.is_nil(text:find("error 11 of 12", 1, true))
    assert.matches("%.%.%. and 2 more errors", text)
  end))

  it("is what is there when it came from a worker", function()
    local pool <close> = require "thread_pool".new(1)
    local text, err = report_of(function()
      pool:submit(function()
        require "async".run(function()
          local tg <close> = require "async".task_group()
          tg:create_task(function() error("inside", 0) end)
        end)
      end):result()
    end)
    assert.equal("group", err.kind)
    assert.matches("^error 1 of 1: inside\n", text)
    assert.matches("worker stack traceback:", text)
  end)
end)
