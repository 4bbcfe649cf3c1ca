-- SPDX-License-Identifier: MIT
-- Who ends whom: blocks, collection, the end of the program, of workers and of tasks.
package.path = "tests/spec/?.lua;" .. package.path
local parhost = require "parhost"
local proc_pool = require "proc_pool"
local process = require "async.process"
local gate = require "support.gate"
local is_alive = require "support.alive"
local run = require "support.run"
local tasks = require "support.process_tasks"

local start, run_process = process.process, process.run_process

-- How much longer the children of our tests would live than anybody waits.
local LIFE <const>, LIMIT <const> = 100, 60

local function quick(fn, ...)
  local since = parhost.monotonic()
  fn(...)
  assert.is_true(parhost.monotonic() - since < LIMIT)
end

local PRELUDE = ([[
  local process = require "async.process"
  local function start(text) return process.process { text, shell = true, stdout = "pipe", grace = 0.2 } end
  local sleeper = "exec sleep %d"
]]):format(LIFE)

-- Its output ends when all who hold it have gone: the program, and what it started.
local function program(text)
  local file = run.write(PRELUDE .. text)
  local pipe = assert(io.popen(("exec 2>&1; %s timeout %d %s %s; echo code $?"):format(
    run.fresh, LIFE, run.parhost, file)))
  local output = pipe:read("a")
  pipe:close()
  os.remove(file)
  return output
end

describe("leaving a block", function()
  it("terminates the process and waits for its end", function()
    local p, pid
    do
      local q <close> = start { "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done",
        shell = true, stdout = "pipe", stderr = "null" }
      p, pid = q, q:pid()
      assert.equal("ready", q:read("l"))
    end
    assert.same({ 3 }, { p:wait() })
    assert.is_false(is_alive(pid))
    p:close()
  end)

  it("kills it when it does not listen", function()
    local p
    assert.is_false(pcall(function()
      local q <close> = start { "trap '' TERM; echo ready; sleep " .. LIFE, shell = true, stdout = "pipe", grace = 0 }
      assert.equal("ready", q:read("l"))
      p = q
      error("x")
    end))
    assert.same({ nil, "SIGKILL" }, { p:wait() })
  end)
end)

describe("a process that nobody holds", function()
  it("is killed and reaped, with a warning", function()
    local output = program [[
      local pid = start(sleeper):pid()
      collectgarbage()
      collectgarbage()
      repeat until process.run_process({ "ps", "-o", "stat=", "-p", tostring(pid) }).stdout == ""
      print(true)
    ]]
    assert.matches("parhost: a running process %(pid %d+%) that nobody held any more was killed\n", output)
    assert.matches("true\ncode 0\n$", output)
  end)

  it("is left alone when it has ended", function()
    assert.equal("code 0\n", program [[
      start("exit 1"):wait()
      collectgarbage()
    ]])
  end)
end)

describe("the end of the program", function()
  local WARNING <const> = "parhost: 'exec sleep %d+' %(pid %d+%) still runs at the end of the program and is terminated\n"

  it("terminates what still runs", function()
    for ending, code in pairs { [""] = 0, ["os.exit(5)"] = 5, ["os.exit(6, true)"] = 6, ["error('x', 0)"] = 1 } do
      quick(function()
        local output = program("p = start(sleeper)\n" .. ending)
        assert.matches(WARNING, output)
        assert.matches("code " .. code .. "\n$", output)
      end)
    end
  end)

  it("kills what does not listen", function()
    quick(function()
      local output = program(("p = start [[trap '' TERM; echo x; sleep %d]] p:read()"):format(LIFE))
      assert.matches("still runs at the end", output)
    end)
  end)

  it("takes running children along on Ctrl-C", function()
    quick(function()
      local output = program(([[
        process.run_process { "kill -INT $PPID; exec sleep %d", shell = true, stdout = "inherit" }
        print("not reached")
      ]]):format(LIFE))
      assert.equal("code 130\n", output)
    end)
  end)

  it("is no escape for them when it is a kill -9", function()
    quick(function()
      local output = program(([[process.process({ "kill -9 $PPID; exec sleep %d", shell = true }):wait()]]):format(LIFE))
      assert.matches("code 137\n$", output)
    end)
  end)
end)

describe("a worker", function()
  local pool
  setup(function() pool = proc_pool.new { max_workers = 1, grace = LIMIT } end)
  teardown(function() pool:close() end)

  it("IO-11 terminates its child when the task is cancelled, and is kept", function()
    local entry = gate.new()
    local worker = pool:submit(tasks.pid):result()
    local f = pool:submit(tasks.run_until_told, entry.path)
    local pid = tonumber(entry.pass(entry.path))
    assert.is_true(is_alive(pid))
    assert.is_true(f:cancel { force = true })
    assert.is_true(f:wait(LIMIT))
    assert.equal("cancelled", f:state())
    assert.equal(worker, pool:submit(tasks.pid):result())
    assert.is_false(is_alive(pid))
  end)

  it("IO-11 kills a child that does not listen", function()
    local entry = gate.new()
    local f = pool:submit(tasks.run_until_told, entry.path, true)
    local pid = tonumber(entry.pass(entry.path))
    f:cancel { force = true }
    assert.is_true(f:wait(LIMIT))
    assert.equal("done", pool:submit(tasks.echo, "done"):result())
    assert.is_false(is_alive(pid))
  end)

  it("takes its children along when it is killed", function()
    local entry = gate.new()
    local f = pool:submit(tasks.wait_long, entry.path)
    local worker = tonumber(entry.pass(entry.path))
    local child = tonumber(run_process({ "ps", "-o", "pid=", "--ppid", tostring(worker) }).stdout)
    assert.is_true(is_alive(child))
    run_process { "kill", "-9", tostring(worker) }
    assert.is_false((f:outcome(LIMIT)))
    local since = parhost.monotonic()
    while is_alive(child) do assert.is_true(parhost.monotonic() - since < LIMIT) end
  end)

  it("that was forked from us leaves our children alone, and has its own", function()
    local output = program [[
      local proc_pool = require "proc_pool"
      held = start "read x; exit 4"
      local p = process.process { "cat", stdin = "pipe", stdout = "pipe" }
      do
        local pool <close> = proc_pool.new { max_workers = 1, start_method = "fork" }
        print(pool:submit(function()
          local process = require "async.process"
          local ours = _G["he" .. "ld"]
          local ok, err = pcall(ours.wait, ours)
          local result = process.run_process { "cat", input = "abc" }
          _G["he" .. "ld"] = nil
          ours = nil
          collectgarbage()
          collectgarbage()
          return ok, err.kind, result.stdout
        end):result())
      end
      p:write("still here\n")
      print(p:read("l"), p:running())
      p:close()
      held:close()
    ]]
    assert.equal("false\tnested\tabc\nstill here\ttrue\ncode 0\n", output)
  end)

  it("of one process has its own children, whoever else has some", function()
    local p <close> = start { "cat", stdin = "pipe", stdout = "pipe" }
    do
      local inline <close> = proc_pool.new { inline = true }
      assert.equal("abc", inline:submit(tasks.echo, "abc"):result())
    end
    assert.equal("x", (p:communicate("x")))
    assert.equal(0, (p:wait()))
  end)
end)
