-- SPDX-License-Identifier: MIT
-- parhost ps and parhost dump: what they say when nobody answers, and who is not answered.
package.path = "tests/spec/?.lua;" .. package.path
local asked = require "support.asked"
local run = require "support.run"
local starter = require "starter"

local BUSY <const> = [[
  local pool = require "thread_pool".new { max_workers = 1, name = "p" }
  ready()
  while true do end]]

local function refused(words)
  local result = asked.command(words)
  assert.equal(1, result.code, words)
  return result.err
end

describe("words that make no sense", function()
  it("are named", function()
    assert.equal("parhost: ps: pid expected, got 'abc'\n", refused "ps abc")
    assert.equal("parhost: ps: pid expected, got '0'\n", refused "ps 0")
    assert.equal("parhost: ps: one pid expected, got '1' and '2'\n", refused "ps 1 2")
    assert.equal("parhost: dump: pid expected (parhost ps lists them)\n", refused "dump")
    assert.equal("parhost: dump: unrecognized option '--jsno' (see parhost dump --help)\n", refused "dump --jsno 1")
    for _, words in ipairs { "--timeout", "--timeout=", "--timeout x", "--timeout 0", "--timeout nan", "--timeout=-1" } do
      assert.matches("^parhost: ps: %-%-timeout: number of seconds expected %(up to 3600%), got '", refused("ps " .. words))
    end
    for _, name in ipairs { "ps", "dump" } do
      assert.matches("^usage: parhost " .. name .. " %[options%]", asked.command(name .. " --help").out)
    end
  end)
end)

describe("a process", function()
  it("that does not exist is none", function()
    assert.equal("parhost: ps: no such process: 1073741824\n", refused("ps " .. (1 << 30)))
    assert.equal("parhost: dump: no such process: 1073741824\n", refused("dump " .. (1 << 30)))
  end)

  it("that is no program of parhost says so", function()
    asked.run("", function(program)
      local why = "is no program of parhost, or has made neither a pool nor a task so far"
      assert.equal(("parhost: ps: process %d (sleep) %s\n"):format(program.pid, why), refused("ps " .. program.pid))
    end, { shell = "printf x >$READY; exec sleep 1000" })
  end)

  it("that is a worker, or the fork server, leads to its program", function()
    asked.run([[
      local pool = require "proc_pool".new { max_workers = 1, name = "p" }
      pool:submit(print):result()
      ready()
      require "async".sleep(1000)]], function(program)
      local n = 0
      for pid, name in pairs(program:others()) do
        assert.equal(("parhost: dump: process %d (%s) belongs to the program %d: parhost dump %d\n"):format(
          pid, name, program.pid, program.pid), refused("dump " .. pid))
        n = n + 1
      end
      assert.equal(2, n)
    end)
  end)

  it("that exits while it is asked has exited", function()
    asked.run(BUSY, function(program)
      program:kill "STOP"
      local asking = io.popen(("timeout 50 %s ps --timeout 40 %d 2>&1"):format(run.parhost, program.pid))
      starter.nap(0.2)
      program:kill "KILL"
      program.code = nil
      while not program:is_over() do starter.nap(0.01) end
      assert.equal(("parhost: ps: process %d exited while it was asked\n"):format(program.pid), asking:read("a"))
      asking:close()
      return true
    end)
  end)

  it("that is stopped is stopped", function()
    asked.run(BUSY, function(program)
      program:kill "STOP"
      assert.equal(("parhost: ps: process %d did not answer within 0.1 s (its main thread is stopped)\n"):format(
        program.pid), refused("ps --timeout 0.1 " .. program.pid))
      program:kill "CONT"
      assert.equal("p", asked.ps(program).pools[1].name)
    end)
  end)

  it("of another user is not asked, nor does it answer", function()
    local uid = run.sh("id -u").out:match("%d+")
    if uid ~= "0" or run.sh("command -v setpriv").code ~= 0 then return pending("needs root and setpriv") end
    local nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups "
    local copy = os.tmpname()
    run.sh(("cp %s %s; chmod 755 %s"):format(run.parhost, copy, copy))
    asked.run(BUSY, function(program)
      local answer = run.sh(("exec %s %s ps %d"):format(nobody, copy, program.pid))
      assert.equal(("parhost: ps: process %d belongs to another user (0): only that one may ask\n"):format(program.pid),
        answer.err)
      assert.equal(1, answer.code)
      local name = asked.sockets(program)[1]
      local script = run.write(("print(require 'parhost.core.inspect'.ask(%q, 'tree', 5))"):format(name))
      run.sh("chmod 644 " .. script)
      answer = run.sh(("exec %s %s %s"):format(nobody, copy, script))
      os.remove(script)
      assert.equal("nil\tother\t\n", answer.out)
    end)
    os.remove(copy)
  end)

  it("leaves no name behind when it is killed", function()
    asked.run(BUSY, function(program)
      assert.equal(1, #asked.sockets(program))
      program:kill "KILL"
      while not program:is_over() do starter.nap(0.01) end
      assert.same({}, asked.sockets(program))
      return true
    end)
  end)
end)

describe("who connects and says nothing", function()
  it("keeps nobody from being answered, nor the program from working", function()
    local result = asked.run([[
      local async = require "async"
      local pool = require "thread_pool".new { max_workers = 1, name = "p" }
      local go = os.getenv "TMPDIR" .. "/go"
      ready()
      local turns = 0
      repeat
        async.sleep(0.001)
        turns = turns + 1
        local f = io.open(go)
        if f then f:close() end
      until f
      os.remove(go)
      print(turns > 10, pool:submit(math.max, 1, 2):result())]], function(program)
      local name, held = asked.sockets(program)[1], {}
      for i = 1, 200 do
        held[#held + 1] = starter.dial(name)
        if i % 20 == 0 then assert.equal("p", asked.ps(program).pools[1].name) end
      end
      assert.is_true(#held > 20)
      for _, fd in ipairs(held) do starter.close(fd) end
      assert.equal("p", asked.ps(program).pools[1].name)
      io.open(program.folder .. "/tmp/go", "w"):close()
      return true
    end)
    assert.same({ code = 0, out = "true\t2\n", err = "", left = "" }, result)
  end)

  it("is no trouble while a program computes, either", function()
    asked.run(BUSY, function(program)
      local name, held = asked.sockets(program)[1], {}
      for _ = 1, 200 do held[#held + 1] = starter.dial(name) end
      assert.equal(200, #held)
      assert.equal("p", asked.ps(program).pools[1].name)
      for _, fd in ipairs(held) do starter.close(fd) end
    end)
  end)

  it("does not make a program spin that has no descriptors left", function()
    local result = asked.run([[
      local async = require "async"
      local crash = require "crash"
      local pool = require "thread_pool".new { max_workers = 1, name = "p" }
      pool:submit(print):result()
      local open, told = {}, io.open(os.getenv "READY", "w")
      crash.limit("nofile", 64)
      repeat
        local f = io.open "/dev/null"
        open[#open + 1] = f
      until not f
      told:write "x"
      told:flush()
      repeat async.sleep(0.05) until os.remove(os.getenv "TMPDIR" .. "/go") -- which takes no descriptor
      local before = os.clock()
      async.sleep(0.5)
      print(os.clock() - before < 0.3)
      for _, f in ipairs(open) do f:close() end]], function(program)
      program:await_asleep()
      local socket
      local limit = os.time() + 20
      repeat socket = asked.sockets(program)[1] until socket or os.time() > limit
      assert.is_truthy(starter.dial(socket))
      io.open(program.folder .. "/tmp/go", "w"):close()
      return true
    end)
    assert.same({ code = 0, out = "\ntrue\n", err = "", left = "" }, result)
  end)
end)
