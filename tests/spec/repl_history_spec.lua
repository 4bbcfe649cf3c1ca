-- SPDX-License-Identifier: MIT
-- The prompt on a terminal: its history, over sessions; its commands; and where lines cannot be edited.
local run = require "tests.spec.support.run"
local terminal = require "tests.spec.support.terminal"

local test = terminal.test

local function temporary(fn)
  local name = os.tmpname()
  os.remove(name)
  assert(os.execute("mkdir " .. name))
  local _ <close> = setmetatable({}, { __close = function() os.execute("chmod -R u+w " .. name .. "; rm -rf " .. name) end })
  fn(name)
end

local function session(state, fn)
  local t <close> = terminal.start { state = state }
  t:expect_end("\n>")
  fn(t)
end

local function content(state)
  local file <close> = assert(io.open(state .. "/parhost/history", "rb"))
  return file:read("a")
end

describe("the history", function()
  test("arrows go through it, Ctrl-R searches in it; an entry of several lines is one", function(t)
    t:ask("first = 'one'")
    t:enter("for i = 1, 2 do")
    t:enter("print(i)")
    t:enter("end")
    t:expect_end("\n1\n2\n>")
    t:ask("'last'", "last")
    t:key("Up", "Up")
    t:expect_end("> for i = 1, 2 do\nprint(i)\nend")
    t:key("Enter")
    t:expect_end("\nend\n1\n2\n>")
    t:key("C-r")
    t:type("fir")
    t:expect("first = 'one'\nbck:fir")
    t:key("Enter")
    t:expect_end("> first = 'one'\n>")
    t:key("Up", "Up", "Down")
    t:expect_end("> first = 'one'")
  end)

  it("is found by the next session, in a file for its owner alone", function()
    if not terminal.available then return pending("tmux is not installed") end
    temporary(function(state)
      local private = state .. "/a/state"
      session(private, function(t)
        t:ask("x = '中\\\\n'")
        t:enter("  ")
        t:expect_end("\n>\n>")
        t:ask("x = '中\\\\n'")
      end)
      assert.equal("x = '中\\\\\\\\n'\n", content(private):sub(1, 16))
      local modes = run.sh("stat -c %a " .. private .. "/parhost " .. private .. "/parhost/history").out
      assert.equal("700\n600\n", modes)
      session(private, function(t)
        t:key("Up")
        t:expect_end("> x = '中\\\\n'")
      end)
    end)
  end)

  it("of sessions at the same time is kept of all", function()
    if not terminal.available then return pending("tmux is not installed") end
    temporary(function(state)
      session(state, function(a)
        session(state, function(b)
          for i = 1, 5 do
            a:ask("a" .. i, "nil")
            b:ask("b" .. i, "nil")
          end
        end)
      end)
      assert.equal("a1\nb1\na2\nb2\na3\nb3\na4\nb4\na5\nb5\n", content(state))
    end)
  end)

  it("is none where no file can be made", function()
    if not terminal.available then return pending("tmux is not installed") end
    for _, environment in ipairs {
      "XDG_STATE_HOME=/proc/none HOME=/proc/none", "env -u XDG_STATE_HOME -u HOME", "XDG_STATE_HOME=/dev/null",
    } do
      local t <close> = terminal.start { environment = environment }
      t:expect_end("\n>")
      t:ask("'works'", "works")
      t:key("Up")
      t:expect_end("> 'works'")
      t:key("C-u", "C-d")
      assert.same({ 0, true }, { t:ended() })
    end
  end)
end)

describe("the prompt's commands", function()
  test(".help lists them, an unknown one is told the nearest", function(t)
    t:enter(".help")
    local screen = t:expect_end("clear the screen\n>")
    for _, name in ipairs { ".help", ".load FILE", ".quit", ".tasks", ".time EXPR" } do
      assert.is_truthy(screen:find("\n" .. name, 1, true), name)
    end
    t:ask(".tiem 1", "unknown command '.tiem' (did you mean '.time'?); .help lists them")
    t:ask(".frobnicate", "unknown command '.frobnicate'; .help lists them")
    t:ask(".5 + 1", "1.5")
  end)

  test(".time runs a line and says how long it took", function(t)
    t:enter(".time 'a', 2")
    t:await(function(screen) return screen:match("> %.time 'a', 2\na       2\n[%d.]+ us\n>$") end, "values and a time")
    t:enter(".time require 'async'.sleep(0.05)")
    t:await(function(screen) return screen:match("sleep%(0%.05%)\n[%d.]+ m?s\n>$") end, "a time")
    t:ask(".time", ".time: an expression or statement is expected")
    t:ask(".time x x", "stdin:1: syntax error near 'x'")
    t:enter(".time error 'inside'")
    t:expect("\nstdin:1: inside\n")
  end)

  test(".load runs a file", function(t)
    local name = run.write("print('loaded', ...) loaded = 5 return 1, 2")
    t:ask(".load " .. name, "loaded\n1       2")
    t:ask("loaded", "5")
    t:ask(".load", ".load: a file's name is expected")
    t:ask(".load /none/such.lua", select(2, loadfile("/none/such.lua")))
    os.remove(name)
  end)

  test(".tasks shows what goes on", function(t)
    t:ask(".tasks", "0 tasks")
    t:ask("async, pool = require 'async', require 'proc_pool'.new { max_workers = 1, name = 'p' }")
    t:ask("function nap() require('async').sleep(100) end")
    t:ask("a, f, g = async.create_task(nap), pool:submit(nap), pool:submit(nap)")
    t:ask("while not f:running() do async.sleep(0.01) end")
    t:enter(".tasks")
    t:await(function(screen)
      return screen:match("> %.tasks\n1 task\n  task%-1 %(parked%) at stdin:1: [^\n]*\n" ..
        "proc_pool \"p\": 1 worker, 1 running, 1 queued, 0 completed, 0 failed\n" ..
        "  worker 1 %(pid %d+%): nap, submitted stdin:1, for [%d.]+ s\n>$")
    end, "the tasks")
    t:ask("g:cancel(), f:cancel { force = true }, a:cancel()", "true    true    true")
  end)
end)

describe("docs/repl.md", function()
  test("shows a session as it is", function(t)
    local file <close> = assert(io.open("docs/repl.md"))
    local block = file:read("a"):match("\n```\n(> .-)```\n")
    for line, answer in block:gmatch("> ([^\n]*)\n([^>]*)") do
      t:enter(line)
      if answer == "" then
        t:expect_end(("> %s\n>"):format(line))
      elseif answer:find("^future:") then -- how far it is depends
        t:await(function(screen) return screen:match("\nfuture: %a+ %([^\n]*\n>$") end, answer)
      else
        t:expect_end(("\n%s>"):format(answer))
      end
    end
  end)
end)

describe("where lines cannot be edited", function()
  test("a dumb terminal has a plain prompt, with the commands", { environment = "TERM=dumb" }, function(t)
    t:ask("1 + 1", "2")
    t:ask(".tiem", "unknown command '.tiem' (did you mean '.time'?); .help lists them")
    t:type("abc")
    t:key("C-c")
    t:expect_end("> abc^C\ninterrupted!\n>")
    t:key("C-d")
    assert.same({ 0, true }, { t:ended() })
  end)

  it("a machine without libedit has a plain prompt", function()
    if not terminal.available then return pending("tmux is not installed") end
    temporary(function(directory)
      for _, name in ipairs { "libedit.so.2", "libedit.so.0", "libedit.so" } do
        local file <close> = assert(io.open(directory .. "/" .. name, "w"))
        file:write(("no library at all "):rep(100))
      end
      local t <close> = terminal.start { environment = "LD_LIBRARY_PATH=" .. directory }
      t:expect_end("\n>")
      t:ask("1 + 1", "2")
      t:ask("io.open('/proc/self/maps'):read('a'):find('libedit')", "nil")
    end)
  end)

  test("on a terminal libedit is loaded", function(t)
    t:ask("io.open('/proc/self/maps'):read('a'):find('libedit') ~= nil", "true")
  end)

  it("programs, and prompts that read no terminal, do not load it", function()
    local ask = [[print(io.open('/proc/self/maps'):read('a'):find('libedit'))]]
    assert.equal("nil\n", run.script(ask).out)
    assert.match("> nil\n", run.sh(run.parhost .. " -i", ask .. "\n").out)
  end)

  test("a script's pools and the prompt behind it are of one program", {
    arguments = [[-e 'pool = require "thread_pool".new(1) f = pool:submit(math.abs, -2)' -i]],
  }, function(t)
    t:ask("f:result()", "2")
  end)
end)
