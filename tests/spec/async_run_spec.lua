-- SPDX-License-Identifier: MIT
-- Runs: their beginning and end, signals, what can be seen from outside.
local async = require "async"
local futures = require "futures"
local gate = require "tests.spec.support.gate"
local proc_pool = require "proc_pool"
local run = require "tests.spec.support.run"
local virtual = require "tests.spec.support.virtual"

local on_close, raised_by = virtual.on_close, virtual.raised_by

describe("run", function()
  it("RU-01 gives the values of its function, or raises its error", function()
    assert.same({ 1, nil, "x", n = 3 }, table.pack(async.run(function(...) return ... end, 1, nil, "x")))
    assert.equal(0, select("#", async.run({}, function() end)))
    local mine = {}
    assert.equal(mine, raised_by(async.run, error, mine))
    assert.is_nil(raised_by(async.run, error))
    assert.matches("bad argument #1 to 'run' %(function expected, got number", raised_by(async.run, 5))
    assert.matches("option 'clock'", raised_by(async.run, { clock = "x" }, print))
  end)

  it("RU-03 does not nest", function()
    local in_task, in_callback
    async.run(function()
      in_task = raised_by(async.run, print)
      local f = futures.new()
      f:add_done_callback(function() in_callback = raised_by(async.run, print) end)
      f:set_result()
    end)
    for _, err in ipairs { in_task, in_callback } do
      assert.equal("invalid_state", err.kind)
      assert.matches("cannot be called from a running loop %(call the function itself", err.message)
    end
    assert.equal(5, async.run(function() return 5 end))
  end)

  it("cancels and awaits what is left", function()
    local ended, t
    virtual.run(function()
      t = async.create_task(function()
        local _ <close> = on_close(function()
          async.shield(async.sleep, 5)
          ended = true
        end)
        async.sleep(100)
      end)
      async.checkpoint()
    end)
    assert.is_true(ended)
    assert.equal("shutdown", select(2, t:outcome()).source)
    assert.same({}, async.all_tasks())
  end)

  it("RU-05 reports errors of what is left, and keeps its own result", function()
    local reported = {}
    futures.on_unhandled(function(_, err) reported[#reported + 1] = err end)
    local value = virtual.run(function()
      async.create_task(function()
        local _ <close> = on_close(function() error("cleanup", 0) end)
        async.sleep(100)
      end)
      async.checkpoint()
      return "value"
    end)
    collectgarbage()
    collectgarbage()
    futures.on_unhandled(nil)
    assert.equal("value", value)
    assert.same({ "cleanup" }, reported)
  end)

  it("a main task that is cancelled gives an ordinary error", function()
    local err = raised_by(async.run, function()
      async.current_task():cancel { reason = "myself" }
      async.checkpoint()
    end)
    assert.same({ "cancelled", "myself" }, { err.kind, err.reason })
  end)

  it("has a virtual clock, which is exact", function()
    local start = async.time()
    local inside, before = virtual.run(function()
      local t0 = async.time()
      async.sleep(3600)
      return async.time() - t0, t0
    end)
    assert.is_true(math.abs(inside - 3600) < 1e-6)
    assert.is_true(before >= start and async.time() - start < 100)
  end)

  it("with a virtual clock real things are waited for", function()
    local pool <close> = proc_pool.new(1)
    local door = gate.new()
    local value, waited = virtual.run(function()
      local f = pool:submit(gate.pass, door.path)
      local t = async.create_task(function()
        async.sleep(3600)
        return f:done()
      end)
      async.checkpoint()
      door:open("x")
      return f:result(), t:result()
    end)
    assert.same({ "x", true }, { value, waited })
  end)

  it("names its main task", function()
    assert.equal("boss", async.run({ name = "boss" }, function() return async.current_task():name() end))
  end)
end)

describe("a runner", function()
  it("keeps tasks between its runs, until it is closed", function()
    local t
    do
      local r <close> = async.runner { clock = "virtual" }
      assert.equal(1, r:run(function()
        t = async.create_task(async.sleep, 10)
        return 1
      end))
      assert.is_false(t:done())
      assert.is_false(r:run(function()
        async.sleep(5)
        return t:done()
      end))
    end
    assert.is_true(t:cancelled())
  end)

  it("is of no use when it is closed, and cannot be closed from inside", function()
    local r = async.runner()
    local inside
    r:run(function() inside = raised_by(r.close, r) end)
    assert.equal("running", inside.state)
    r:close()
    r:close()
    assert.equal("closed", raised_by(r.run, r, print).state)
    assert.matches("unknown option", raised_by(async.runner, { nam = "x" }))
  end)
end)

describe("a deadlock", function()
  it("is an error in the main task, with the tree of tasks", function()
    local err = raised_by(async.run, { name = "main" }, function()
      local tg <close> = async.task_group()
      tg:with { name = "child" }:create_task(async.sleep_forever)
    end)
    assert.equal("group", err.kind)
    local deadlock = err.errors[1]
    assert.equal("deadlock", deadlock.kind)
    assert.matches("main %(parked%) at [^\n]*async_run_spec.lua:%d+", deadlock.tasks)
    assert.matches("\n    child %(parked%)", deadlock.tasks)
  end)

  it("can be caught", function()
    assert.equal("deadlock", async.run(function()
      return raised_by(futures.new().result, futures.new()).kind
    end))
    assert.equal("deadlock", async.run(function() return raised_by(async.sleep_forever).kind end))
  end)

  it("RU-17 is none while something may come", function()
    local pool <close> = proc_pool.new(1)
    async.run(function()
      local f = futures.new()
      async.create_task(function()
        async.sleep(0.01)
        f:set_result(1)
      end)
      assert.equal(1, f:result())
      local g = futures.new()
      pool:submit(math.abs, -2):add_done_callback(function(h) g:set_result(h:result()) end)
      assert.equal(2, g:result())
    end)
  end)
end)

describe("seen from outside", function()
  it("dump shows the tree", function()
    local name = os.tmpname()
    async.run({ name = "main" }, function()
      local tg <close> = async.task_group()
      local t = tg:with { name = "sleeper" }:create_task(function() async.sleep(100) return 1 end)
      tg:create_task(async.checkpoint)
      local u = async.with { name = "loner" }:create_task(async.sleep, 100)
      async.checkpoint()
      async.create_task(print):cancel()
      local file <close> = assert(io.open(name, "w"))
      async.dump(file)
      t:cancel()
      u:cancel()
      assert.matches("bad argument #1 to 'dump'", raised_by(async.dump, 5))
    end)
    local file <close> = assert(io.open(name))
    local text = file:read("a")
    os.remove(name)
    assert.matches("parhost: 5 tasks\n  main %(running%)\n    sleeper %(parked%) at [^\n]*async_run_spec.lua:%d+", text)
    assert.matches("\n  loner %(parked%)", text)
    assert.matches("\n  task%-%d+ %(new, being cancelled%)", text)
  end)

  it("debug: tasks keep where they were created", function()
    local description, tree
    async.run({ debug = true }, function()
      local t = async.create_task(error, "x")
      local u = async.with { name = "u" }:create_task(async.sleep_forever)
      local _, err = t:outcome()
      description = futures.describe(err)
      local name = os.tmpname()
      local file = assert(io.open(name, "w+"))
      async.dump(file)
      file:seek("set")
      tree = file:read("a")
      file:close()
      os.remove(name)
      u:cancel()
    end)
    assert.matches("submitted at:\n\t[^\n]*async_run_spec.lua:%d+$", description)
    assert.matches("u %(parked%), created at [^\n]*async_run_spec.lua:%d+", tree)
  end)

  it("SIGQUIT prints it, while a run is on", function()
    local result = run.script([[
      local async = require "async"
      local function quit_soon() os.execute "(sleep 0.1; kill -QUIT $PPID) &" end
      local function spin()
        local stop = async.time() + 0.4
        while async.time() < stop do end
      end
      async.run({ name = "main" }, function()
        async.with { name = "waiter" }:create_task(async.sleep, 100)
        async.checkpoint()
        quit_soon()
        async.sleep(0.4)
        quit_soon()
        spin()
        print "alive"
      end)
      io.stdout:flush()
      quit_soon()
      spin()
    ]])
    assert.equal("alive\n", result.out)
    assert.equal(128 + 3, result.code)
    local _, dumps = result.err:gsub("waiter %(parked%)", "")
    assert.equal(2, dumps)
    assert.matches("parhost: 2 tasks\n  main %(", result.err)
  end)

  it("RU-15 a step that holds the loop is reported once, with its traceback", function()
    local result = run.script([[
      local async = require "async"
      async.run({ slow_step = 0.05 }, function()
        local function spin()
          local stop = async.time() + 0.5
          while async.time() < stop do end
        end
        async.with { name = "busy" }:create_task(spin):result()
        async.sleep(0.3)
        os.execute("sleep 0.3")
      end)
    ]])
    assert.equal(0, result.code)
    local _, reports = result.err:gsub("has been holding the loop for more than 0.05 s", "")
    assert.equal(2, reports)
    assert.matches("busy has been holding the loop", result.err)
    assert.matches("in function <script.lua:3>", result.err)
  end)
end)

describe("stop requests", function()
  -- Runs a script that can send itself a signal, later or at once.
  local function interrupted(text)
    return run.script([[
      local async = require "async"
      local senders = {}
      local function send(delay) senders[#senders + 1] = io.popen("sleep " .. delay .. "; kill -INT $PPID") end
      local function say(...) print(...) io.stdout:flush() end
    ]] .. text)
  end

  it("Ctrl-C cancels the main task, and the program dies of SIGINT", function()
    local result = interrupted [[
      async.run(function()
        local _ <close> = setmetatable({}, { __close = function(_, err)
          async.shield(async.sleep, 0.01)
          say("closed", err.source)
        end })
        send(0.1)
        pcall(async.sleep, 100)
        say "not reached"
      end)
      say "not reached"
    ]]
    assert.same({ "closed\tsignal\n", 130 }, { result.out, result.code })
    assert.equal("", (result.err:gsub("parhost: interrupted; waiting for 1 running task %b()\n", "")))
  end)

  it("Ctrl-C reaches a task that never parks", function()
    local result = interrupted [[
      async.run(function()
        local tg <close> = async.task_group()
        tg:create_task(function()
          local _ <close> = setmetatable({}, { __close = function() say "closed" end })
          send(0)
          while true do pcall(math.abs, 1) end
        end)
      end)
    ]]
    assert.same({ "closed\n", 130 }, { result.out, result.code })
  end)

  it("RU-09 after the task was cancelled already: plain cancelled", function()
    local result = interrupted [[
      local ok, err = pcall(async.run, function()
        local _ <close> = setmetatable({}, { __close = function()
          async.shield(function()
            send(0)
            async.sleep(0.3)
          end)
        end })
        async.current_task():cancel()
        async.checkpoint()
      end)
      say(ok, err.kind, err.source)
    ]]
    assert.same({ "false\tcancelled\texplicit\n", 130 }, { result.out, result.code })
  end)

  it("the second Ctrl-C ends at once", function()
    local result = interrupted [[
      async.run(function()
        async.shield(function()
          send(0)
          send(0.3)
          async.sleep(100)
        end)
      end)
    ]]
    assert.same({ "", 130 }, { result.out, result.code })
    assert.matches("interrupted; waiting for 1 running task", result.err)
  end)

  it("os.exit in a task ends the others first", function()
    local result = run.script([[
      local async = require "async"
      async.run(function()
        async.create_task(function()
          local _ <close> = setmetatable({}, { __close = function(_, err) print("closed", err.source) end })
          async.sleep(100)
        end)
        async.checkpoint()
        os.exit(7)
      end)
    ]])
    assert.same({ "closed\tshutdown\n", 7 }, { result.out, result.code })
  end)

  it("tasks of plain code are cancelled at the end of the program", function()
    local result = run.script([[
      local async = require "async"
      async.create_task(function()
        local _ <close> = setmetatable({}, { __close = function(_, err) print("closed", err.source) end })
        async.sleep(100)
      end)
      async.sleep(0)
    ]])
    assert.same({ "closed\tshutdown\n", "", 0 }, { result.out, result.err, result.code })
  end)

  it("a task that nothing can end does not hold the end of the program up", function()
    local result = run.script([[
      local async = require "async"
      async.create_task(async.shield, async.sleep_forever)
      async.sleep(0)
      print "end"
    ]])
    assert.same({ "end\n", "", 0 }, { result.out, result.err, result.code })
  end)

  it("an error of the main task reaches the host, with both tracebacks", function()
    local result = run.script([[
      local async = require "async"
      local function culprit() error "broken" end
      async.run({ name = "main" }, function() async.checkpoint() culprit() end)
    ]])
    assert.equal(1, result.code)
    assert.matches("^parhost: script.lua:2: broken\n  in task 'main'\n", result.err)
    assert.matches("script.lua:2: in upvalue 'culprit'", result.err)
  end)
end)

describe("scripts/async.lua", function()
  it("runs three tasks at the same time", function()
    -- The same, on a virtual clock.
    local init = [[local a = require "async"
      local run = a.run
      a.run = function(...) return run({ clock = "virtual" }, ...) end]]
    local result = run.sh(("exec %s -e %s scripts/async.lua"):format(run.parhost, run.quote(init)))
    assert.same({ code = 0, err = "", out = [[
Starting TaskGroup...
Task A started, will sleep for 2 seconds.
Task B started, will sleep for 1 seconds.
Task C started, will sleep for 3 seconds.
Task B finished.
Task A finished.
Task C finished.
All tasks in TaskGroup have completed.
Result of t1: Result from A
Result of t2: Result from B
Result of t3: Result from C
Total execution time: 3.00 seconds.
]] }, result)
  end)
end)

describe("in workers", function()
  it("RU-11 runs work", function()
    local pool <close> = proc_pool.new(1)
    assert.equal("done", pool:submit("tests.spec.support.tasks:run_async"):result())
  end)

  it("a forced stop cancels the main task there", function()
    local pool <close> = proc_pool.new(1)
    local door = gate.new()
    local f = pool:submit("tests.spec.support.tasks:run_async_for_ever", door.path)
    door:open()
    f:cancel { force = true }
    assert.equal("cancelled", select(2, f:outcome()).kind)
    assert.equal(5, pool:submit(math.abs, -5):result())
  end)

  it("a forked copy of a program with tasks does not run them", function()
    local result = run.script([[
      local async, proc_pool = require "async", require "proc_pool"
      async.run(function()
        async.create_task(function() async.sleep(0.05) print "task" io.stdout:flush() end)
        async.checkpoint()
        local pool <close> = proc_pool.new { max_workers = 1, start_method = "fork" }
        print(pool:submit(function()
          async.sleep(0.1)
          return #async.all_tasks(), async.current_task()
        end):result())
      end)
    ]])
    assert.same({ "task\n0\tnil\n", "", 0 }, { result.out, result.err, result.code })
  end)
end)
