-- SPDX-License-Identifier: MIT
-- Many processes: what they leave behind.
package.path = "tests/spec/?.lua;" .. package.path
local lfs = require "lfs"
local process = require "async.process"
local tasks = require "support.process_tasks"

local start, run_process = process.process, process.run_process

local function children()
  local text = run_process { "ps", "-o", "comm=", "--ppid", tostring(tasks.pid()) }.stdout
  return (text:gsub("parhost%-zygote\n", ""):gsub("ps\n", ""))
end

describe("a thousand processes", function()
  local function open_files()
    collectgarbage() -- what others have left
    collectgarbage()
    local n = 0
    for _ in lfs.dir("/proc/self/fd") do n = n + 1 end
    return n
  end

  it("leave no descriptor and no zombie behind", function()
    run_process { "true" }
    local before = open_files()
    for i = 1, 1000 do
      if i % 10 == 0 then
        run_process { "/bin/true", input = "" }
      else
        local p <close> = start { "/bin/true", stdin = "pipe" }
        if i % 2 == 0 then p:wait() end
      end
    end
    for _ = 1, 20 do pcall(start, { "/no/such/program", stdin = "pipe", stdout = "pipe" }) end
    assert.equal(before, open_files())
    assert.equal("", children())
  end)

  it("may run at once", function()
    local list = {}
    for i = 1, 100 do list[i] = start { "cat", stdin = "pipe", stdout = "pipe" } end
    for i, p in ipairs(list) do p:write(i, "\n") end
    for i, p in ipairs(list) do assert.equal(tostring(i), p:read("l")) end
    for _, p in ipairs(list) do p.stdin:close() end
    for _, p in ipairs(list) do assert.equal(0, (p:wait())) end
    for _, p in ipairs(list) do p:close() end
    assert.equal("", children())
  end)
end)
