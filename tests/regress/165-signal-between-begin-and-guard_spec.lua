-- SPDX-License-Identifier: MIT
-- A signal that came after a task had been submitted, and before what ends it was in place, left it to run for ever. Here
-- it comes at the end of the functions that are called on the way, one after the other.
package.path = "tests/spec/?.lua;" .. package.path
local run = require "support.run"

local name = run.write [[
  local what, nth = arg[1], tonumber(arg[2])
  local async = require "async"
  local pid <const> = io.open("/proc/self/stat"):read("n")
  local function interrupt() io.popen("kill -INT " .. pid):close() end
  local function spin() while true do end end
  local calls = {
    thread = function() async.to_thread(spin) end,
    process = function() async.to_process(spin) end,
    program = function() async.run_process { "sleep", "1000" } end,
  }
  async.run(function()
    async.to_thread(math.abs, 1)
    async.to_process(math.abs, 1)
    local parked, seen = false, 0
    local tg <close> = async.task_group()
    tg:create_task(function()
      debug.sethook(function()
        if parked then return end
        seen = seen + 1
        if seen == nth then interrupt() end
      end, "r")
      calls[what]()
    end)
    async.checkpoint()
    async.checkpoint()
    parked = true
    print "parked"
    io.flush()
    interrupt()
  end)
]]

teardown(function() os.remove(name) end)

local function interrupted(what, nth)
  return run.sh(("exec timeout -s KILL 20 %s %s %s %d"):format(run.parhost, name, what, nth))
end

describe("SD-41 Ctrl-C while", function()
  for what, step in pairs { thread = 1, process = 1, program = 4 } do
    it("a " .. what .. " is started ends it", function()
      local nth = 1
      repeat
        local result = interrupted(what, nth)
        local rest = result.err:gsub("^parhost: interrupted; [^\n]*\n$", "")
        assert.same({ 130, "" }, { result.code, rest }, what .. " " .. nth)
        nth = nth + step
      until result.out:match "parked"
      assert.is_true(nth > 10)
    end)
  end
end)
