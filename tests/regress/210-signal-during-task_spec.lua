-- SPDX-License-Identifier: MIT
-- Ctrl-C while plain code waits, at the very moment when one of the tasks in the background runs: it unwound that task, and
-- the wait went on. It is for the wait; for the task as well when that does not come back.
package.path = "tests/spec/?.lua;" .. package.path
local run = require "support.run"

local PRELUDE <const> = [[
  local async = require "async"
  local pid = io.open("/proc/self/stat"):read("n")
  local function interrupt(signal) io.popen("kill -" .. signal .. " " .. pid):close() end
  local function variable(name)
    return setmetatable({}, { __close = function(_, err) print(name, err.source) end })
  end
]]

-- What a program prints that waits while `task` runs.
local function interrupted(task)
  local result = run.script(PRELUDE .. ([[
    async.create_task(function()
      async.sleep(0.01)
      %s
    end)
    local waiting <close> = variable "plain code"
    async.sleep(60)]]):format(task))
  assert.equal(130, result.code, result.err)
  return result.out
end

describe("a signal that comes while a task runs beside plain code", function()
  it("ends what plain code waits for, and leaves the task alone", function()
    assert.equal("goes on\nplain code\tsignal\n", interrupted [[
      interrupt "INT"
      for _ = 1, 100 do end
      print "goes on"
      async.checkpoint()]])
  end)

  it("reaches a task that does not come back, and then plain code", function()
    assert.equal("task\tsignal\nplain code\tsignal\n", interrupted [[
      local running <close> = variable "task"
      interrupt "INT"
      while true do pcall(function() while true do end end) end]])
  end)
end)
