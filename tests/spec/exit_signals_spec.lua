-- SPDX-License-Identifier: MIT
-- How programs end by signals, and with standard streams that are not as usual. Of each: how it ended, what it said; and
-- nothing is left, no process, no file. Programs with pools in every phase: crash_signal_spec.lua, together_exit_spec.lua.
package.path = "tests/spec/?.lua;" .. package.path
local run = require "support.run"
local world = require "support.world"

local NUMBERS <const> = { HUP = 1, INT = 2, QUIT = 3, KILL = 9, TERM = 15 }
local WAITING <const> = "parhost: interrupted; waiting for 1 running task (Ctrl-C again to end at once)\n"

-- A pool whose only task never ends by itself.
local function busy(kind, grace)
  return ([[
    local pool = require("%s").new { max_workers = 1, grace = %s }
    local f = pool:submit(function() while true do end end)
    while not f:running() do end
  ]]):format(kind, grace)
end

local PROCESS <const>, THREAD <const> = busy("proc_pool", 0.2), busy("thread_pool", 0.2)
local PATIENT_PROCESS <const>, PATIENT_THREAD <const> = busy("proc_pool", 600), busy("thread_pool", 600)

local CLOSING <const> = [[
  local closing <close> = setmetatable({}, { __close = function() print "closed" end })
]]

local function check(expected, o, act)
  local result = world.run(o, act)
  assert.same({ left = "", code = expected.code or 0, out = expected.out or "", err = expected.err or "" }, result)
end

local function send(...)
  local names = { ... }
  return function(program)
    for _, name in ipairs(names) do program:kill(name) end
  end
end

local function interrupt_asleep(program)
  program:await_asleep()
  program:kill "INT"
end

local function interrupt_twice(program)
  program:kill "INT"
  program:await_words "Ctrl-C again"
  program:kill "INT"
end

-- Ctrl-C ----------------------------------------------------------------------------------------------------

-- What runs when it comes, and what is printed then.
local QUIET <const> = {
  ["computing"] = { "ready() while true do end" },
  ["computing under pcall"] = { "ready() while true do pcall(function() while true do end end) end" },
  ["computing in coroutines"] = { [[ready()
    while true do coroutine.wrap(function() pcall(function() while true do end end) end)() end]] },
  ["in a run"] = { [[require("async").run(function() ready() require("async").sleep(1000) end) print "not reached"]] },
  ["computing in a run"] = { [[require("async").run(function() ready() while true do end end) print "not reached"]] },
  ["asleep"] = { [[local async = require "async" ready() async.sleep(1000)]] },
  ["waiting for a future"] = { [[require "async" local f = require("futures").new() ready() f:wait(1000)]] },
  ["waiting for another program"] = { [[local async = require "async" ready() async.run_process { "sleep", "1000" }]] },
  ["in a request"] = { [[local http, async = require "http", require "async"
    local silent = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1])"
      .. "; time.sleep(1000)"
    local server <close> = async.process { "python3", "-u", "-c", silent, stdout = "pipe" }
    local url = "http://127.0.0.1:" .. server:read("l")
    ready() http.get(url)]] },
}

local BUSY <const> = {
  ["waiting for a result"] = "ready() f:result()",
  ["waiting under pcall"] = "ready() while true do pcall(f.result, f) end",
  ["closing a pool"] = "ready() pool:close()",
  ["leaving a pool's block"] = "do local scoped <close> = pool ready() end",
  ["at the end"] = "ready()",
  ["in a hook"] = [[require("parhost").on_exit(function() ready() f:result() end)]],
  ["waiting in a task"] = [[require("async").run(function() ready() f:result() end)]],
}

describe("Ctrl-C", function()
  for phase, row in pairs(QUIET) do
    it("while " .. phase .. " unwinds the program", function()
      check({ code = -2, out = "closed\n" }, { text = CLOSING .. row[1] }, send "INT")
    end)
  end

  for phase, text in pairs(BUSY) do
    it("SD-41 " .. phase .. ", once and twice", function()
      for _, pool in ipairs { PROCESS, THREAD } do
        check({ code = -2, err = WAITING }, { text = pool .. text }, send "INT")
      end
      for _, pool in ipairs { PATIENT_PROCESS, PATIENT_THREAD } do
        check({ code = -2, err = WAITING }, { text = pool .. text }, interrupt_twice)
      end
    end)
  end

  it("while starting up, at any moment", function()
    for i = 1, 20 do
      local program = world.start { text = [[require "proc_pool".new(1):submit(print):result() while true do end]] }
      local stop = os.clock() + i * 0.001
      repeat until os.clock() > stop
      program:kill "INT"
      local result = program:finish()
      local err = result.err == WAITING and "" or result.err -- the task may just run
      assert.same({ -2, "", "" }, { result.code, result.left, err })
    end
  end)

  it("in a blocking read ends it", function()
    check({ code = -2, out = "closed\n" }, { text = CLOSING .. "ready() io.read()", stdin = "/dev/ptmx" },
      interrupt_asleep)
  end)

  it("in C code that nothing stops waits for its second press", function()
    check({ code = -2 }, { text = [[ready(); (("a"):rep(40000)):find(("a*"):rep(6) .. "b")]] }, function(program)
      repeat program:kill "INT" until program:is_over()
    end)
  end)

  it("in os.execute is for the other program, as in stock lua", function()
    check({ out = "nil\tsignal\t2\n" }, { text = [[print(os.execute "printf x >$READY; exec sleep 1000")]] },
      function(program) program:kill_group "INT" end)
  end)

  it("is observed by catch_cancelled, and the program ends as it would; but by the signal", function()
    check({ code = -2, out = "false\tsignal\nafter\n" }, { text = [[
      local async = require "async"
      async.run(function()
        ready()
        local ok, info = async.catch_cancelled(async.sleep, 1000)
        print(ok, info.source)
      end)
      print "after"]] }, send "INT")
  end)
end)

-- Other signals ---------------------------------------------------------------------------------------------

local function kill_others(pattern)
  return function(program)
    for pid, name in pairs(program:others()) do
      if name:find(pattern) then program:kill("KILL", pid) end
    end
  end
end

describe("a signal", function()
  for _, name in ipairs { "TERM", "HUP" } do
    it("SIG" .. name .. " ends the program as Ctrl-C does", function()
      check({ code = -NUMBERS[name], out = "closed\n" }, { text = CLOSING .. "ready() while true do end" }, send(name))
      for _, pool in ipairs { PROCESS, THREAD } do
        check({ code = -NUMBERS[name], err = WAITING }, { text = pool .. "ready() f:result()" }, send(name))
      end
    end)
  end

  local it_now = run.has_tsan and pending or it -- that keeps signals back while C code runs
  it_now("SIGTERM and SIGHUP end it also when C code does not return, with what its pools run", function()
    local stuck = PROCESS .. "ready() local s = ('a'):rep(60) s:find(('a*'):rep(60) .. 'b')"
    for _, name in ipairs { "TERM", "HUP" } do
      check({ code = -NUMBERS[name] }, { text = CLOSING .. stuck }, send(name))
    end
  end)

  it("SIGQUIT ends the program at once, but in a run, where it shows the tasks", function()
    for _, pool in ipairs { "", PROCESS, THREAD } do
      check({ code = -3 }, { text = pool .. "ready() while true do end" }, send "QUIT")
    end
    local result = world.run({ text = [[require("async").run(function()
      local async = require "async"
      ready()
      while not io.open(os.getenv "TMPDIR" .. "/on") do async.sleep(0.001) end
      os.remove(os.getenv "TMPDIR" .. "/on")
      print "on" end)]] }, function(program)
        program:kill "QUIT"
        program:await_words "task"
        io.open(program.folder .. "/tmp/on", "w"):close()
      end)
    assert.same({ 0, "on\n", "" }, { result.code, result.out, result.left })
    assert.matches("^parhost: 1 task\n  task%-1 %(%a+%) at ", result.err)
  end)

  it("SD-43 SIGKILL leaves nothing, whatever the program does", function()
    for _, pool in ipairs { PROCESS, THREAD } do
      check({ code = -9 }, { text = pool .. "ready() f:result()" }, send "KILL")
      check({ code = -9 }, { text = pool .. "ready() f:result()" }, send("STOP", "KILL"))
    end
    check({ code = -9 }, { text = [[local async = require "async"
      async.run(function() async.process { "sleep", "1000" } ready() async.sleep(1000) end)]] }, send "KILL")
  end)

  it("SIGKILL of the zygote breaks its pools, and the program goes on", function()
    check({ out = "worker_died\nbroken_pool\nbroken_pool\n" }, { text = PROCESS .. [[
      ready()
      print(select(2, f:outcome()).kind)
      print(select(2, pcall(pool.submit, pool, math.abs, -1)).kind)
      print(select(2, pcall(function() return require("proc_pool").new(1):submit(math.abs, -1):result() end)).kind)]] },
      kill_others "zygote")
  end)

  it("SIGKILL of a worker fails its task alone", function()
    check({ out = "worker_died\n1\n" }, { text = PROCESS .. [[
      ready()
      print(select(2, f:outcome()).kind)
      print(pool:submit(math.abs, -1):result())]] }, kill_others "^proc_pool")
  end)

  it("SIGPIPE ends the program, as it ends stock lua", function()
    for _, text in ipairs { [[for i = 1, 1e6 do print "line" end]], [[
      local pool <close> = require("proc_pool").new(2)
      for _ = 1, 100 do pool:submit(print, "line") end
      while true do print "line" end]] } do
      check({ out = "line\n", err = "141\n" }, { script = text, shell = "{ $P $S; echo $? >&2; } | head -n 1" })
    end
  end)
end)

-- Standard streams ------------------------------------------------------------------------------------------

local POOLS <const> = { "proc_pool", "thread_pool" }

describe("a program", function()
  for _, what in ipairs { "closed", "/dev/full" } do
    it("whose stdout is " .. what .. " runs to its end, as in stock lua", function()
      check({ err = "end" }, { text = [[print "x" io.stderr:write "end"]], stdout = what })
      for _, kind in ipairs(POOLS) do
        check({ err = "7" }, { stdout = what, text = ([[
          local pool <close> = require("%s").new(1)
          io.stderr:write(pool:submit(function() print "x" return 7 end):result())]]):format(kind) })
      end
    end)

    it("whose stderr is " .. what .. " keeps its exit code", function()
      check({ code = 1, out = "x\n" }, { text = [[print "x" error "oops"]], stderr = what })
      for _, kind in ipairs(POOLS) do
        check({ code = 1, out = "7\n" }, { stderr = what, text = ([[
          local pool <close> = require("%s").new(1)
          print(pool:submit(function() io.stderr:write "x" return 7 end):result())
          error "oops"]]):format(kind) })
      end
    end)
  end

  it("without standard input reads nothing", function()
    for _, kind in ipairs(POOLS) do
      check({ out = "nil\nnil\n" }, { stdin = "closed", text = ([[
        print(io.read())
        local pool <close> = require("%s").new(1)
        print(pool:submit(io.read):result())]]):format(kind) })
    end
  end)

  it("without any of the three works", function()
    check({ code = 7 }, { stdin = "closed", stdout = "closed", stderr = "closed", text = [[
      local pool <close> = require("proc_pool").new(1)
      os.exit(pool:submit(function() print "x" return 7 end):result())]] })
  end)

  it("comes from standard input", function()
    check({ code = 3, out = "x\n" }, { input = "print 'x' os.exit(3)" })
    check({ code = 3, out = "x\n" }, { input = "print 'x' os.exit(3)", options = { "-" } })
  end)
end)

describe("in a terminal", function()
  local function press(...)
    local keys = { ... }
    return function(program)
      for _, key in ipairs(keys) do program:type(key) end
    end
  end

  it("Ctrl-C reaches the program, and is what it dies of", function()
    check({ code = -2, out = "^Cclosed\r\n" }, { text = CLOSING .. "ready() while true do end", terminal = true },
      press "\3")
    check({ code = -2, out = "^Cclosed\r\n" }, { text = CLOSING .. "ready() io.read()", terminal = true }, function(program)
      program:await_asleep()
      program:type "\3"
    end)
  end)

  it("Ctrl-C leaves the workers to the program", function()
    for _, pool in ipairs { PROCESS, THREAD } do
      local said = "^C" .. WAITING:gsub("\n", "\r\n")
      check({ code = -2, out = said }, { text = pool .. "ready() f:result()", terminal = true }, press "\3")
    end
  end)

  it("Ctrl-\\ ends it", function()
    check({ code = -3, out = "^\\" }, { text = "ready() while true do end", terminal = true }, press "\28")
  end)
end)
