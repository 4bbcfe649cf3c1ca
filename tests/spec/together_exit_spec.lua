-- SPDX-License-Identifier: MIT
-- Ends of programs in which tasks, threads, processes and requests are all busy.
package.path = "tests/spec/?.lua;" .. package.path
local alive = require "support.alive"
local run = require "support.run"
local servers = require "support.servers"
local world = require "support.world"

-- All at work; prints the pids of two processes when they are.
local BUSY <const> = [[
  local async, http = require "async", require "http"
  local proc_pool, thread_pool, futures = require "proc_pool", require "thread_pool", require "futures"
  local processes = proc_pool.new { max_workers = 1, grace = GRACE }
  local threads = thread_pool.new { max_workers = 2, grace = GRACE }
  local url = "URL"
  local function spin() while true do end end
  local function ask(where) require("http").get(where .. "/silent") end
  local function start()
    local list = { processes:submit(spin), threads:submit(spin), threads:submit(ask, url) }
    for _, f in ipairs(list) do
      while not f:running() do async.checkpoint() end
    end
    return list
  end
  local function say(...)
    io.write(processes:workers()[1].pid, " ", ...)
    io.write "\n"
    io.flush()
  end
]]

local WAITS <const> = {
  result = [[start()[1]:result()]],
  map = [[start() for _, line in threads:map(ask, { url, url, url }) do print(line) end]],
  scope = [[do
      local a <close>, list = threads, start()
      local b <close> = processes
    end]],
  mixed = [[async.run(function()
      start()
      local _ <close> = async.timeout(1000)
      local tg <close> = async.task_group()
      tg:create_task(async.to_process, spin)
      tg:create_task(async.to_thread, spin)
      tg:create_task(http.get, url .. "/silent")
      tg:create_task(async.sleep, 1000)
      tg:create_task(function() async.run_process { "sleep", "1000" } end)
    end)]],
  shielded = [[async.run(function() async.shield(function() start()[2]:result() end) end)]],
}

local server
setup(function() server = servers.bad() end)
teardown(function() server:stop() end)

local function text_of(body, grace)
  return (BUSY:gsub("GRACE", grace):gsub("URL", server.url)) .. body
end

-- Sends SIGINT as often as `signals` says, when the program waits: the second one when it has said that it took the first.
-- (Two that come before the program has had its turn are one.)
local function interrupt(body, grace, signals)
  local text = text_of(body:gsub("start%(%)", "(function() local l = start() ready() return l end)()", 1), grace)
  return world.run({ text = text }, function(program)
    program:await_asleep()
    program:kill "INT"
    if signals == 1 then return end
    program:await_words "Ctrl-C again"
    program:kill "INT"
  end)
end

describe("Ctrl-C", function()
  for name, body in pairs(WAITS) do
    if name ~= "shielded" then -- that one asks for a second press
      it("SD-41 once ends " .. name .. " within the grace", function()
        local result = interrupt(body, 0.2, 1)
        assert.same({ -2, "" }, { result.code, result.left }, result.err)
        assert.matches("^parhost: interrupted; waiting for %d+ running tasks? %(Ctrl%-C again", result.err)
      end)
    end

    it("SD-41 twice ends " .. name .. " at once", function()
      local result = interrupt(body, 600, 2)
      assert.same({ -2, "" }, { result.code, result.left }, result.err)
    end)
  end
end)

local function gone(pid)
  local limit = os.time() + 20
  while alive(math.tointeger(pid)) do
    if os.time() > limit then return false end
  end
  return true
end

-- The exit code; the worker process has to be gone.
local function ends(body, grace)
  local name = run.write(text_of(body, grace or 0.2))
  local result = run.sh(("exec timeout 30 %s %s"):format(run.parhost, name))
  os.remove(name)
  assert.is_true(gone(result.out:match("%d+")))
  return result
end

describe("while tasks and pools are busy", function()
  it("SD-37 an error of the main script ends all, and is printed once", function()
    local result = ends [[start() async.create_task(async.sleep, 1000) say() error("oops", 0)]]
    assert.equal(1, result.code)
    assert.equal(1, select(2, result.err:gsub("oops", "")))
  end)

  it("an error of the main task does so, too", function()
    local result = ends [[async.run(function()
      start()
      async.create_task(http.get, url .. "/silent")
      say()
      error("oops", 0)
    end)]]
    assert.equal(1, result.code)
    assert.equal(1, select(2, result.err:gsub("oops", "")))
  end)

  it("SD-39 os.exit ends them: in a task, in a callback, in the script", function()
    local text = [[
      say()
      for _, life in ipairs { processes, threads } do life:terminate() end
      os.exit(%d, %s)]]
    for code, where in pairs {
      [3] = "async.run(function() start() async.create_task(http.get, url .. '/silent') async.sleep(0) %s end)",
      [4] = "start() %s",
      [5] = "start() local f = futures.new() f:add_done_callback(function() %s end) f:set_result()",
    } do
      for _, close in ipairs { "true", "false" } do
        local result = ends(where:format(text:format(code, close)))
        assert.same({ code, "" }, { result.code, result.err })
      end
    end
  end)
end)
