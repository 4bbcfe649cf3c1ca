-- SPDX-License-Identifier: MIT
-- The programs in scripts/ do what they show, here with servers of our own.
package.path = "tests/spec/?.lua;" .. package.path
local http = require "http"
local run = require "support.run"
local servers = require "support.servers"

-- What the script prints, as lines; it must succeed and complain of nothing.
local function lines_of(command)
  local result = run.sh(("exec timeout 60 %s scripts/%s"):format(run.parhost, command))
  assert.same({ "", 0 }, { result.err, result.code })
  local lines = {}
  for line in result.out:gmatch("[^\n]+") do lines[#lines + 1] = line end
  return lines
end

describe("scripts/", function()
  it("cpu.lua gives the sums of its tasks", function()
    local lines = lines_of("cpu.lua 100000 3")
    assert.equal(4, #lines)
    assert.matches("^启动 %d+ 个进程处理 3 个任务...$", lines[1])
    for i = 2, 4 do assert.equal("一个任务完成，结果大致为: 333.33 万亿", lines[i]) end
  end)

  it("cpu.lua refuses what is no number", function()
    local result = run.sh(run.parhost .. " scripts/cpu.lua many")
    assert.same({ out = "", err = "cpu.lua: n: a whole number >= 1 expected, got 'many'\n", code = 1 }, result)
  end)

  it("speedup.lua draws what it has measured", function()
    local path = os.tmpname()
    local lines = lines_of(("speedup.lua %s 2 0.01 3"):format(path))
    assert.equal("Speed-up of cpu.lua", lines[1])
    assert.matches("^%d+ processors; median of 2, error bars from least to greatest$", lines[2])
    assert.matches("%f[%d]1 .*2 .*3$", lines[#lines - 2])
    local file <close> = assert(io.open(path))
    local text = file:read "a"
    os.remove(path)
    assert.matches("<desc>Line chart: .* measured: 3 points, first 1 at 1, last %d%S* at 3,", text)
    assert.matches("ideal: 2 points, first 1 at 1, last 3 at 3,", text)
  end)

  it("speedup.lua refuses what is no number", function()
    local result = run.sh(run.parhost .. " scripts/speedup.lua /dev/null 0")
    assert.same({ "", 1 }, { result.out, result.code })
    assert.equal("speedup.lua: repetitions: a number >= 1 expected, got '0'\n", result.err)
  end)

  for script, head in pairs { ["io.lua"] = "启动线程池处理 3 个URL...", ["io_processes.lua"] = "启动进程池处理 3 个URL..." } do
    it(script .. " gives a line for each URL, in their order", function()
      local server <close> = servers.bad()
      local missing, present = server.url .. "/missing", server.url .. "/gone/away"
      pcall(http.get, server.url .. "/silent?id=away", { timeout = 0.2 }) -- so that /gone/away answers
      local lines = lines_of(("%s %s %s http://127.0.0.1:1/"):format(script, present, missing))
      assert.equal(head, lines[1])
      assert.equal(("URL: %s, Status: 200, Length: 4"):format(present), lines[2])
      assert.matches("^URL: " .. missing:gsub("%p", "%%%0") .. ", Status: 404, Length: %d+$", lines[3])
      assert.matches("^URL: http://127.0.0.1:1/, 错误: parhost.http: GET http://127.0.0.1:1/: failed to connect", lines[4])
      assert.equal(4, #lines)
    end)
  end

  it("async.lua runs three tasks at the same time", function()
    local lines = lines_of "async.lua"
    assert.same({
      "Starting TaskGroup...",
      "Task A started, will sleep for 2 seconds.",
      "Task B started, will sleep for 1 seconds.",
      "Task C started, will sleep for 3 seconds.",
      "Task B finished.", "Task A finished.", "Task C finished.",
      "All tasks in TaskGroup have completed.",
      "Result of t1: Result from A", "Result of t2: Result from B", "Result of t3: Result from C",
    }, table.move(lines, 1, #lines - 1, 1, {}))
    local seconds = tonumber(lines[#lines]:match("^Total execution time: (%d+%.%d+) seconds.$"))
    assert.is_true(seconds >= 3 and seconds < 5.5)
  end)

  it("mixed.lua mixes them all", function()
    local sum = 0
    for i = 0, 999999 do sum = sum + i * i end
    assert.same({ "process:   " .. sum, "thread:    " .. sum, "request:   200", "coroutine: slept" }, lines_of "mixed.lua")
  end)
end)
