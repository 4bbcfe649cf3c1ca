-- SPDX-License-Identifier: MIT
-- parhost ps and parhost dump: what running programs say of themselves.
package.path = "tests/spec/?.lua;" .. package.path
local asked = require "support.asked"
local inspect = require "parhost.core.inspect"

local function lines_of(stack)
  return table.concat(stack, "\n")
end

-- The main thread --------------------------------------------------------------------------------------------

describe("the main thread", function()
  it("is found in a loop of Lua", function()
    local text = [[
      local pool = require "thread_pool".new { max_workers = 1, name = "p" }
      local function busy()
        ready()
        while true do local x = 1 end -- HERE
      end
      busy()]]
    asked.run(text, function(program)
      local state = asked.dump(program)
      assert.equal(asked.here(program, text), state.at)
      assert.is_nil(state.waits)
      assert.matches("in upvalue 'busy'\n.*in main chunk\n", lines_of(state.stack):gsub("local 'busy'", "upvalue 'busy'"))
      assert.equal(program.script, state.script)
      assert.equal(0, asked.pool(state, "p").n_workers)
    end)
  end)

  it("is found where it waits", function()
    local text = [[
      local pool = require "thread_pool".new { max_workers = 1, name = "p" }
      local f = require "futures".new()
      ready()
      f:wait(1000) -- HERE]]
    asked.run(text, function(program)
      program:await_asleep()
      local state = asked.dump(program)
      assert.equal(asked.here(program, text), state.at)
      assert.is_true(state.waits)
    end)
  end)

  it("is found in coroutines and tasks", function()
    local text = [[
      require "async".run(function()
        local function inner() ready() while true do local x = 1 end end -- HERE
        coroutine.wrap(inner)()
      end)]]
    asked.run(text, function(program)
      local state = asked.dump(program)
      assert.equal(asked.here(program, text), state.at)
      assert.equal(1, state.task)
      assert.matches("'drive'", lines_of(state.main))
      assert.equal("running", state.tasks[1].state)
    end)
  end)

  it("is found in a task that runs inline", function()
    local text = [[
      local pool = require "proc_pool".new { inline = true, name = "p" }
      local function task(path) io.open(path, "w"):write("x"):close() while true do local x = 1 end end -- HERE
      pool:submit(task, os.getenv "READY")]]
    asked.run(text, function(program)
      local state = asked.dump(program)
      assert.equal(asked.here(program, text), state.at)
      assert.equal("inline", asked.pool(state, "p").kind)
    end)
  end)

  it("is not disturbed in a C call, and what the system knows is shown", function()
    local result = asked.run([[
      local pool = require "thread_pool".new { max_workers = 1, name = "p" }
      pool:warm_up()
      ready()
      print(require "starter".nap(1.5))]], function(program)
      program:await_asleep()
      local answer = asked.command("ps --timeout 0.2 " .. program.pid)
      assert.equal(1, answer.code)
      assert.equal(("parhost: ps: process %d did not answer within 0.2 s (its main thread sleeps: in a C call)\n"):format(
        program.pid), answer.err)
      assert.matches("^parhost " .. program.pid .. ": [^\n]*script%.lua, for ", answer.out)
      assert.matches("\n  thread " .. program.pid .. " %(.-%): sleeps, CPU ", answer.out)
      assert.matches("\n  thread %d+ %(p_1%): sleeps, CPU ", answer.out)
      return true
    end)
    assert.same({ code = 0, out = "true\n", err = "", left = "" }, result)
  end)

  it("is not disturbed by anybody who asks while it sleeps now and then", function()
    local result = asked.run([[
      local pool = require "thread_pool".new { max_workers = 1, name = "p" }
      local nap, lost = require "starter".nap, 0
      ready()
      local go = os.getenv "TMPDIR" .. "/go"
      repeat
        for j = 1, 20000 do local x = j end
        if not nap(0.001) then lost = lost + 1 end
        local f = io.open(go)
        if f then f:close() end
      until f
      os.remove(go)
      print(lost)]], function(program)
      local name, answers = asked.sockets(program)[1], 0
      for _ = 1, 100 do
        if inspect.ask(name, "tree", 0.05) then answers = answers + 1 end
      end
      assert.is_true(answers > 0)
      io.open(program.folder .. "/tmp/go", "w"):close()
      return true
    end)
    assert.same({ code = 0, out = "0\n", err = "", left = "" }, result)
  end)
end)

-- Workers ----------------------------------------------------------------------------------------------------

for _, kind in ipairs { "proc_pool", "thread_pool" } do
  describe("a worker of " .. kind, function()
    local number = kind == "proc_pool" and "pid" or "tid"

    it("is found in a loop of Lua", function()
      local text = ([[
        local pool = require "%s".new { max_workers = 1, name = "p" }
        local function busy(pass) pass() while true do local x = 1 end end -- HERE
        pool:submit(busy, pass) pool:submit(busy, pass)
        started(1)
        ready()
        require "async".sleep(1000)]]):format(kind)
      asked.run(text, function(program)
        local pool = asked.pool(asked.dump(program), "p")
        assert.same({ kind, "open", 1, 1, 1, 1, 0 },
          { pool.kind, pool.state, pool.n_workers, pool.busy, pool.running, pool.queued, pool.completed })
        local worker = pool.workers[1]
        assert.equal("busy", worker.state)
        assert.is_true(worker[number] > 0)
        local task = worker.tasks[1]
        assert.equal(1, task.id)
        assert.matches("^busy %(.*script%.lua:%d+%)$", task.name)
        assert.matches("script%.lua:%d+: in main chunk$", task.submitted)
        assert.is_true(task.age > 0 and task.age < 100)
        assert.equal(asked.here(program, text), worker.says.at)
        assert.matches("script%.lua:%d+: in function <", lines_of(worker.says.stack))
      end)
    end)

    it("is told of in C code, and sleeps on", function()
      local result = asked.run(([[
        local pool = require "%s".new { max_workers = 1, name = "p" }
        local function sleeper(pass) pass() return require "starter".nap(2) end
        local f = pool:submit(sleeper, pass)
        started(1)
        ready()
        print(f:result())]]):format(kind), function(program)
        program:await_asleep()
        local worker = asked.pool(asked.ps(program), "p").workers[1]
        assert.equal("S", worker.silent)
        assert.matches("^sleeper ", worker.tasks[1].name)
        local answer = asked.command("ps " .. program.pid)
        assert.matches("sleeper %(.-script%.lua:%d+%) #1, for [^\n]*, in C code, sleeps\n", answer.out)
        return true
      end)
      assert.same({ code = 0, out = "true\n", err = "", left = "" }, result)
    end)

    it("sleeps as long as it would, whoever asks", function()
      local result = asked.run(([[
        local pool = require "%s".new { max_workers = 1, name = "p" }
        local function sleeper(pass, go)
          local nap, lost = require "starter".nap, 0
          pass()
          repeat
            for j = 1, 20000 do local x = j end
            if not nap(0.001) then lost = lost + 1 end
            local f = io.open(go)
            if f then f:close() end
          until f
          os.remove(go)
          return lost
        end
        local f = pool:submit(sleeper, pass, os.getenv "TMPDIR" .. "/go")
        started(1)
        ready()
        print(f:result())]]):format(kind), function(program)
        local name, said = asked.sockets(program)[1], 0
        for _ = 1, 300 do
          local text = inspect.ask(name, "tree", 20)
          if text and text:find('"answer"', 1, true) then said = said + 1 end
        end
        assert.is_true(said > 0)
        io.open(program.folder .. "/tmp/go", "w"):close()
        return true
      end)
      assert.same({ code = 0, out = "0\n", err = "", left = "" }, result)
    end)

    it("is found where its task waits, with tasks and pools of its own", function()
      asked.run(([[
        local pool = require "%s".new { max_workers = 1, name = "outer" }
        local function task(pass)
          local inner <close> = require "%s".new { max_workers = 1, name = "inner" }
          local async = require "async"
          async.run(function()
            local t = async.create_task(async.sleep, 1000)
            t:set_name "sleeper"
            inner:submit(function() pass() while true do end end):result()
          end)
        end
        pool:submit(task, pass)
        started(1)
        ready()
        require "async".sleep(1000)]]):format(kind, kind), function(program)
        local worker = asked.pool(asked.dump(program), "outer").workers[1]
        local says = worker.says
        assert.equal(2, says.n_tasks)
        local states = {}
        for _, task in ipairs(says.tasks) do states[task.name or task.id] = task.state end
        assert.same({ "parked", sleeper = "parked" }, states)
        local inner = asked.pool(says, "inner")
        assert.equal(1, inner.busy)
        assert.matches("script%.lua:%d+$", inner.workers[1].says.at)
      end)
    end)

    it("keeps its memory limit, its hooks and its results", function()
      local result = asked.run(([[
        local pool = require "%s".new { max_workers = 1, name = "p", memory_limit = 4 << 20 }
        local function task(pass, path)
          local text = ("x"):rep(1 << 20)
          local lines = 0
          pass()
          repeat
            local f = io.open(path)
            if f then f:close() end
            for i = 1, 10000 do lines = lines + 1 end
          until f
          debug.sethook(function() lines = -1 end, "", 1000)
          for i = 1, 10000 do local x = i end
          debug.sethook()
          return #text, lines
        end
        local go = os.getenv "TMPDIR" .. "/go"
        local f = pool:submit(task, pass, go)
        started(1)
        ready()
        print(f:result())
        os.remove(go)]]):format(kind), function(program)
        for _ = 1, 5 do assert.is_truthy(asked.pool(asked.dump(program), "p").workers[1].says) end
        io.open(program.folder .. "/tmp/go", "w"):close()
        return true
      end)
      assert.same({ code = 0, out = ("%d\t-1\n"):format(1 << 20), err = "", left = "" }, result)
    end)
  end)
end

describe("workers", function()
  it("that are idle are idle, and chunks say how far they are", function()
    asked.run([[
      local pool = require "proc_pool".new { max_workers = 2, name = "p" }
      pool:submit(print):result()
      pool:with { chunk_size = 3 }:map(function(i) if i == 2 then pass() while true do end end end, { 1, 2, 3 })
      started(1)
      ready()
      require "async".sleep(1000)]], function(program)
      local pool = asked.pool(asked.ps(program), "p")
      local busy = {}
      for _, worker in ipairs(pool.workers) do
        if worker.state == "busy" then busy[#busy + 1] = worker else assert.equal("idle", worker.state) end
      end
      assert.equal(1, #busy)
      assert.same({ 2, 3 }, { busy[1].tasks[1].item, busy[1].tasks[1].items })
    end)
  end)

  it("of a copy of the program answer, too", function()
    local text = [[
      local pool = require "proc_pool".new { max_workers = 1, name = "p", start_method = "fork" }
      pool:submit(function() pass() while true do local x = 1 end end) -- HERE
      started(1)
      ready()
      require "async".sleep(1000)]]
    asked.run(text, function(program)
      assert.equal(asked.here(program, text), asked.pool(asked.ps(program), "p").workers[1].says.at)
    end)
  end)
end)

-- Tasks on coroutines ----------------------------------------------------------------------------------------

describe("tasks on coroutines", function()
  it("are a tree", function()
    asked.run([[
      local async = require "async"
      async.run({ debug = true }, function()
        local tg <close> = async.task_group()
        tg:create_task(function()
          local below <close> = async.task_group()
          below:create_task(async.sleep, 1000)
        end)
        async.create_task(function() async.checkpoint() ready() async.sleep(1000) end)
      end)]], function(program)
      program:await_asleep()
      local state, by_id = asked.ps(program), {}
      assert.equal(4, state.n_tasks)
      for _, task in ipairs(state.tasks) do by_id[task.id] = task end
      assert.equal(1, by_id[2].parent)
      local sleeper = by_id[4]
      assert.equal(2, sleeper.parent)
      assert.is_true(sleeper.wakes > 900 and sleeper.age >= 0 and sleeper.age < 100)
      assert.equal("parked", sleeper.state)
      assert.matches("script%.lua:%d+$", sleeper.created)
      local text = asked.command("ps " .. program.pid).out
      assert.matches("\n4 tasks on coroutines\n  task%-1 %(parked%) at [^\n]+\n    task%-2 [^\n]+\n      task%-4 ", text)
    end)
  end)
end)

-- People -----------------------------------------------------------------------------------------------------

describe("the list", function()
  it("has the programs with pools or tasks, and nothing else", function()
    asked.run([[
      local pool = require "thread_pool".new { max_workers = 2, name = "p" }
      for i = 1, 5 do pool:submit(function() pass() while true do end end) end
      started(2)
      ready()
      require "async".run(function() require "async".sleep(1000) end)]], function(program)
      local found
      for _, one in ipairs(asked.list()) do
        if one.pid == program.pid then found = one end
      end
      assert.equal(program.script, found.script)
      assert.is_true(found.rss > 1 << 20 and found.age < 100)
      assert.same({ 2, 2, 3 }, { found.pools[1].n_workers, found.pools[1].running, found.pools[1].queued })
      local text = asked.command "ps".out
      assert.matches("^ +PID +AGE +WORKERS +RUNNING +QUEUED +ASYNC +RSS +SCRIPT\n", text)
      assert.matches(("\n +%d +[%%d.]+ m?s +2/2 +2 +3 +%%d +[%%d.]+ MB +[^\n]*script%%.lua\n"):format(program.pid), text)
    end)
    asked.run("require 'futures' ready() while true do end", function(program)
      assert.same({}, asked.sockets(program))
      local answer = asked.command("ps " .. program.pid)
      assert.equal(1, answer.code)
      assert.matches("is no program of parhost, or has made neither a pool nor a task so far\n$", answer.err)
    end)
  end)
end)

describe("durations", function()
  it("are told in two numbers at the most", function()
    local duration = require "parhost.core.host".load_built_in "cli.tell"().duration
    local told = {}
    for i, seconds in ipairs { 0, 0.0004, 0.9994, 0.9995, 59.94, 59.96, 61.5, 3599.4, 3599.6, 90000.25 } do
      told[i] = duration(seconds)
    end
    assert.same({ "0 ms", "0 ms", "999 ms", "1.0 s", "59.9 s", "1 min 00 s", "1 min 02 s", "59 min 59 s", "1 h 00 min",
      "25 h 00 min" }, told)
  end)
end)

describe("names that others have chosen", function()
  it("do not move the cursor", function()
    asked.run([[
      local async = require "async"
      local pool = require "thread_pool".new { max_workers = 1, name = "p\27[2J\7\u{202e}" }
      local task = load("local pass = ... pass() while true do end", "=a\27]0;title\7\nb\155m")
      pool:submit(task, pass)
      started(1)
      async.run(function()
        async.create_task(function() ready() async.sleep(1000) end):set_name "t\r\27[1A\194\155"
        async.sleep(1000)
      end)]], function(program)
      for _, command in ipairs { "ps ", "dump ", "dump --json " } do
        local text = asked.command(command .. program.pid).out
        assert.is_nil(text:find("[%c\127]", 1) and text:gsub("\n", ""):find("[%c\127]"), command)
        assert.is_nil(text:find "\155m", command)
        if not command:find "json" then
          assert.is_nil(text:find "\u{202e}")
          assert.matches('"p\\e[2J\\x07\\u{202e}"', text, 1, true)
          assert.matches("t\\r\\e[1A\\u{9b} (parked)", text, 1, true)
        end
      end
    end)
  end)
end)
