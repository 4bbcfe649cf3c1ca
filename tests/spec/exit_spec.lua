-- SPDX-License-Identifier: MIT
-- How the program ends: the exit sequence, os.exit, uncaught errors, signals.
local run = require "tests.spec.support.run"

local PRELUDE = [[
  local parhost, exit = require "parhost", require "parhost.exit"
  local function send(name) io.popen("kill -" .. name .. " $PPID"):close() end
  local function pool(name, count, at_exit)
    local object = { _count = function() return count or 0 end }
    function object:_at_exit(mode) print(name, mode, exit.closing()) if at_exit then at_exit(mode) end end
    exit.add(object)
    return object
  end
]]

local function script(text, args, environment)
  return run.script(PRELUDE .. text, args, environment)
end

local function check(expected, result)
  expected.err, expected.code = expected.err or "", expected.code or 0
  assert.same(expected, result)
end

describe("the exit sequence", function()
  it("runs hooks, last first, then ends pools, oldest first, then closes the state", function()
    check({ out = "end\nsecond\nfirst\nA\tnormal\ttrue\nB\tnormal\ttrue\ncollected\n" }, script [[
      keep = setmetatable({}, { __gc = function() print "collected" end })
      parhost.on_exit(function() print "first" end)
      pool "A"
      parhost.on_exit(function() print "second" end)
      pool "B"
      exit.remove(pool "C")
      print "end"]])
  end)

  it("runs hooks that hooks add, and ends pools that the ends of others make", function()
    check({ out = "outer\ninner\nA\tnormal\ttrue\nB\tnormal\ttrue\n" }, script [[
      parhost.on_exit(function() print "outer" parhost.on_exit(function() print "inner" end) end)
      pool("A", 0, function() pool "B" end)]])
  end)

  it("goes on after an error in a hook or a pool, with a warning", function()
    local result = script [[
      parhost.on_exit(function() print "first" end)
      parhost.on_exit(function() error "broken hook" end)
      pool("A", 0, function() error({}) end)
      pool "B"]]
    assert.equal("first\nA\tnormal\ttrue\nB\tnormal\ttrue\n", result.out)
    assert.match("^Lua warning: parhost: error in on_exit hook: script%.lua:%d+: broken hook\n", result.err)
    assert.match("\nLua warning: parhost: error in the end of a pool: table: 0x%x+\n$", result.err)
    assert.equal(0, result.code)
  end)

  it("follows an uncaught error, which is printed first", function()
    local result = script [[
      pool("A", 3, function() io.stderr:write "at exit\n" end)
      error("uncaught", 0)]]
    assert.equal("A\terror\ttrue\n", result.out)
    assert.match("^parhost: uncaught\nstack traceback:\n.*\nat exit\n$", result.err)
    assert.equal(1, result.code)
  end)

  it("follows os.exit, also from a coroutine", function()
    check({ out = "hook\nA\tnormal\ttrue\n", code = 7 }, script [[
      parhost.on_exit(function() print "hook" end)
      pool "A"
      coroutine.wrap(function() pcall(os.exit, 7) end)()
      print "not reached"]])
  end)

  it("SD-39 follows os.exit(code, false), which leaves the state as it is", function()
    local text = [[
      keep = setmetatable({}, { __gc = function() print "collected" end })
      local x <close> = setmetatable({}, { __close = function() print "closed" end })
      pool "A" ]]
    check({ out = "A\tnormal\ttrue\n", code = 3 }, script(text .. "os.exit(3, false)"))
    check({ out = "A\tnormal\ttrue\n", code = 3 }, script(text .. "os.exit(3)"))
    check({ out = "A\tnormal\ttrue\nclosed\ncollected\n", code = 3 }, script(text .. "os.exit(3, true)"))
  end)

  it("goes on when a hook or the end of a pool calls os.exit", function()
    check({ out = "hook\nfirst\nA\tnormal\ttrue\nB\tnormal\ttrue\n", code = 6 }, script [[
      parhost.on_exit(function() print "first" end)
      parhost.on_exit(function() print "hook" os.exit(5) end)
      pool("A", 0, function() os.exit(6) end)
      pool "B"]])
  end)

  it("does not follow parhost.abort", function()
    if not os.getenv "TSAN_OPTIONS" then -- which writes out what streams hold even so
      check({ out = "", code = 1 }, script [[pool "A" parhost.on_exit(print) io.write "lost" parhost.abort()]])
    end
    check({ out = "", code = 9 }, script [[pool "A" parhost.on_exit(print) parhost.abort(9)]])
  end)

  it("takes functions only", function()
    local parhost = require "parhost"
    assert.error_matches(function() parhost.on_exit(42) end,
      "bad argument #1 to 'on_exit' %(function expected, got number%)")
    assert.error_matches(function() parhost.on_exit() end,
      "bad argument #1 to 'on_exit' %(function expected, got no value%)")
  end)
end)

describe("a signal", function()
  local numbers = { INT = 2, TERM = 15, HUP = 1 }

  for name, number in pairs(numbers) do
    it("SIG" .. name .. " unwinds the script, runs the exit sequence, and is what the process dies of", function()
      check({ out = "closed\tsignal\nhook\nA\tsignal\ttrue\ncollected\n", code = 128 + number }, script([[
        keep = setmetatable({}, { __gc = function() print "collected" end })
        local x <close> = setmetatable({}, { __close = function(_, e) print("closed", e.source) end })
        parhost.on_exit(function() print "hook" end)
        pool "A"
        pcall(send, arg[1])
        print "not reached"]], name))
    end)
  end

  it("says how many tasks it waits for", function()
    local message = "parhost: interrupted; waiting for %s (Ctrl-C again to end at once)\n"
    check({ out = "A\tsignal\ttrue\nB\tsignal\ttrue\n", err = message:format "5 running tasks", code = 130 },
      script [[pool("A", 2) pool("B", 3) send "INT"]])
    check({ out = "A\tsignal\ttrue\n", err = message:format "1 running task", code = 130 },
      script [[pool("A", 1) send "INT"]])
  end)

  it("at the end of the program turns waiting into giving up", function()
    local message = "parhost: interrupted; waiting for 1 running task (Ctrl-C again to end at once)\n"
    check({ out = "A\tnormal\ttrue\nA\tsignal\ttrue\nB\tsignal\ttrue\n", err = message, code = 130 }, script [[
      pool("A", 1, function(mode) if mode == "normal" then send "INT" while true do end end end)
      pool "B"]])
  end)

  it("in a hook leaves that hook alone", function()
    check({ out = "first\nA\tsignal\ttrue\n", code = 130 }, script [[
      parhost.on_exit(function() print "first" end)
      parhost.on_exit(function() send "INT" print "not reached" end)
      pool "A"]])
  end)

  it("SD-41 ends the process at once when it comes a second time", function()
    for _, second in ipairs { "INT", "TERM" } do
      check({ out = "A\tsignal\ttrue\n", code = 128 + numbers[second] }, script([[
        pool("A", 0, function() io.stdout:flush() send(arg[1]) while true do end end)
        send "INT"]], second))
    end
  end)

  it("interrupts a read", function()
    local pipe = os.tmpname()
    os.remove(pipe)
    local name = run.write [[
      local signal = io.popen "sleep 0.1; kill -INT $PPID"
      print(io.read(), signal)
      print "not reached"]]
    local result = run.sh(("mkfifo %s; exec timeout --foreground 60 %s %s <> %s"):format(pipe, run.parhost, name, pipe))
    os.remove(pipe)
    os.remove(name)
    check({ out = "", code = 130 }, result)
  end)

  it("that the starter ignores stays ignored", function()
    local name = run.write(PRELUDE .. [[pcall(send, "INT") pcall(send, "HUP") print "reached"]])
    local result = run.sh(("trap '' INT HUP; %s %s"):format(run.parhost, name))
    os.remove(name)
    check({ out = "reached\n" }, result)
  end)

  it("at the prompt goes back to the prompt", function()
    local name = run.write(([[
      local function send() io.popen("kill -INT $PPID"):close() end
      while true do pcall(send) end
      print "still here"
      io.popen("kill -TERM $PPID"):close()
      print "not reached"]]):gsub("local function send", "function send"))
    local result = run.sh(("exec timeout 60 %s -i < %s"):format(run.parhost, name))
    os.remove(name)
    assert.equal("interrupted!\n", result.err)
    assert.match("still here\n", result.out)
    assert.is_nil(result.out:find("not reached", 1, true))
    assert.equal(143, result.code)
  end)
end)

describe("an uncaught error", function()
  it("TR-03 shows what futures knows about it, between the message and the local traceback", function()
    local result = script [[
      package.loaded.futures = { describe = function(e) return e == "boom" and "  in task 'f'\nworker stack" end }
      error("boom", 0)]]
    assert.match("^parhost: boom\n  in task 'f'\nworker stack\nstack traceback:\n\t%[C%]: in function 'error'\n", result.err)
    assert.equal(1, result.code)
  end)

  it("of parhost's own shows its text and a traceback", function()
    local result = script [[
      local host = require "parhost.core.host"
      local metatable = host.error_metatable()
      metatable.__tostring = function(e) return "parhost." .. e.kind .. ": " .. e.message end
      error(setmetatable({ kind = "timeout", message = "after 2 s" }, metatable))]]
    assert.match("^parhost: parhost%.timeout: after 2 s\nstack traceback:\n\t%[C%]: in function 'error'\n", result.err)
  end)

  it("survives a describe that fails", function()
    local result = script [[
      package.loaded.futures = { describe = function() error "in describe" end }
      error("boom", 0)]]
    assert.match("^parhost: boom\nstack traceback:\n", result.err)
  end)
end)

describe("with a real pool", function()
  it("SD-37 an error ends the program within the grace, its message printed once", function()
    local result = run.script [[
      local pool = require("proc_pool").new { max_workers = 1, grace = 0.2 }
      pool:submit(function() while true do end end)
      local pending = pool:submit(print, "not run")
      error("gave up", 0)]]
    assert.match("^parhost: gave up\nstack traceback:\n.-in %?\n$", result.err)
    assert.equal("", result.out)
    assert.equal(1, result.code)
  end)

  it("CR-03 os.exit in a task ends its worker alone", function()
    local result = run.script [[
      local pool <close> = require("proc_pool").new(1)
      local ok, err = pool:submit(os.exit, 42):outcome()
      print(ok, err.kind, err.exit_code)
      print(pool:submit(math.abs, -1):result())]]
    check({ out = "false\tworker_died\t42\n1\n" }, result)
  end)

  it("os.exit in an inline task fails that task", function()
    local result = run.script [[
      local pool <close> = require("proc_pool").new { inline = true }
      local ok, err = pool:submit(os.exit, 42):outcome()
      print(ok, err.kind, err.exit_code)]]
    check({ out = "false\tworker_exit\t42\n" }, result)
  end)

  it("SD-15 tasks that run at the end of the script finish", function()
    check({ out = "done\n" }, run.script [[
      local pool = require("proc_pool").new(1)
      pool:submit(function() print "done" end)
      pool:shutdown { wait = false }]])
  end)

  it("Ctrl-C leaves no process behind", function()
    local result = run.script [[
      local pool = require("proc_pool").new { max_workers = 2, grace = 0.2 }
      local parhost = require "parhost"
      local pids = {}
      for i = 1, 2 do
        pids[i] = pool:submit(function()
          return require("parhost").worker().pid
        end)
      end
      for i = 1, 2 do print((pids[i]:result())) end
      for _ = 1, 2 do pool:submit(function() while true do end end) end
      while pool:stats().running < 2 do require("parhost.core.loop").step(parhost.monotonic() + 0.01) end
      io.stdout:flush()
      io.popen("kill -INT $PPID"):close()]]
    assert.equal("parhost: interrupted; waiting for 2 running tasks (Ctrl-C again to end at once)\n", result.err)
    assert.equal(130, result.code)
    assert.match("^%d+\n%d+\n$", result.out)
    for pid in result.out:gmatch("%d+") do
      assert.equal(1, run.sh("kill -0 " .. pid).code)
    end
  end)

  it("parhost.worker() tells a task where it runs", function()
    local result = run.script [[
      local parhost = require "parhost"
      print(parhost.worker())
      local pool <close> = require("proc_pool").new { max_workers = 1, name = "here" }
      local w = pool:submit(function()
        local worker = require("parhost").worker()
        return { worker.index, worker.pool, math.type(worker.pid) }
      end):result()
      print(table.unpack(w))]]
    check({ out = "nil\n1\there\tinteger\n" }, result)
  end)
end)
