-- SPDX-License-Identifier: MIT
-- --trace: what stands in the file when somebody is killed; and traces in memory.
package.path = "tests/spec/?.lua;" .. package.path
local run = require "support.run"
local traces = require "support.traces"

-- Each task says that it has ended, and the program that it has seen it.
local WORK <const> = [[
local kind = ...
local module = kind == "thread_pool" and kind or "proc_pool"
local pool = require(module).new { max_workers = 2, name = "p", start_method = kind == "fork" and kind or nil }
local function work(i)
  local s = 0
  for k = 1, 2000 do s = s + k end
  return i
end
local seen = 0
for _ = 1, 20 do
  for _, i in pool:map_unordered(work, function() seen = seen + 1 return seen % 100 ~= 0 and seen or nil end) do
    io.stdout:write(i, "\n")
    io.stdout:flush()
    if i > 1234 then os.execute "kill -KILL $PPID" end
  end
end
]]

describe("SIGKILL of the program", function()
  for _, kind in ipairs { "proc_pool", "thread_pool", "fork" } do
    it("leaves all in the file that it has seen: " .. kind, function()
      local trace, result = traces.of(WORK, { arguments = kind, torn = true })
      assert.equal(137, result.code)
      local told, n = {}, 0
      for _, e in ipairs(trace:tasks "work") do
        assert.equal("done", e.args.state)
        assert.is_nil(told[e.args.id])
        told[e.args.id] = true
      end
      for _ in result.out:gmatch "%d+" do n = n + 1 end
      assert.is_true(n > 1000)
      local count = 0
      for _ in pairs(told) do count = count + 1 end
      assert.is_true(count >= n, ("%d tasks in the trace, %d seen"):format(count, n))
      assert.is_nil(trace:all { name = "parhost_end" }[1])
    end)
  end

  it("leaves the trace of a page", function()
    local path = os.tmpname()
    os.remove(path)
    run.sh(("%s --trace %s.html -e 'os.execute \"kill -KILL $PPID\"'"):format(run.parhost, path))
    local trace = traces.parse(assert(traces.slurp(path .. ".html.json")), true)
    os.remove(path .. ".html.json")
    assert.equal("parhost", trace[1].name)
    assert.is_nil(traces.slurp(path .. ".html"))
  end)
end)

describe("SIGKILL of workers", function()
  it("loses nothing that they had finished", function()
    local trace, result = traces.of [[
      local pool <close> = require "proc_pool".new { max_workers = 2, name = "p" }
      local function work(i)
        if i % 50 == 0 then os.execute("kill -KILL $PPID") while true do end end
        return i
      end
      local list = {}
      for i = 1, 500 do list[i] = pool:submit(work, i) end
      local failed = 0
      for _, f in ipairs(list) do if not f:outcome() then failed = failed + 1 end end
      print(failed)]]
    assert.same({ "10\n", "" }, { result.out, result.err })
    traces.check_arrows(trace)
    local states = {}
    for _, e in ipairs(trace:tasks "work") do
      assert.is_nil(states[e.args.id])
      states[e.args.id] = e.args.state
    end
    for i = 1, 500 do assert.equal(i % 50 == 0 and "died" or "done", states[i]) end
  end)
end)

describe("a trace in memory", function()
  it("can be read while the program runs", function()
    local result = run.script [[
      local core = require "parhost.core.trace"
      assert(core.fd() == nil)
      local fd = assert(core.open())
      core.start("script", { "a" })
      local pool <close> = require "proc_pool".new(1)
      pool:submit(math.abs, -1):result()
      local file <close> = io.open("/proc/self/fd/" .. core.fd())
      local text = file:read("a")
      print(fd == core.fd(), text:sub(1, 2) == "[\n", text:find('"name":"math.abs"', 1, true) ~= nil)
      pool:submit(math.max, 1, 2):result()
      print(file:read("a"):find('"name":"math.max"', 1, true) ~= nil, (select(2, core.open())))]]
    assert.same({ "true\ttrue\ttrue\ntrue\ta trace is being written already\n", "", 0 },
      { result.out, result.err, result.code })
  end)
end)
