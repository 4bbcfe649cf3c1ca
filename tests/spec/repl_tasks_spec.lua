-- SPDX-License-Identifier: MIT
-- The prompt on a terminal, and what goes on meanwhile: tasks, pools, requests; what they print; waiting, and giving up.
package.path = "tests/spec/?.lua;" .. package.path
local gate = require "support.gate"
local terminal = require "tests.spec.support.terminal"

local test = terminal.test

-- A file that a task in the program waits for, asking again and again.
local function flag()
  local name = os.tmpname()
  os.remove(name)
  return {
    wait = ("while not io.open(%q) do async.sleep(0.01) end "):format(name),
    raise = function() assert(io.open(name, "w")):close() end,
    remove = function() os.remove(name) end,
  }
end

describe("while a line is typed", function()
  test("tasks and timers go on, and print above it", function(t)
    local up = flag()
    t:ask('async = require "async"')
    t:ask("function tell() print 'from a task' warn 'from a warning' io.write 'part' end")
    t:ask(("t = async.create_task(function() %s tell() end)"):format(up.wait))
    t:type("1 + 1")
    t:expect_end("> 1 + 1")
    up.raise()
    local screen = t:expect_end("\nfrom a task\nLua warning: from a warning\n> 1 + 1")
    assert.is_nil(screen:find("> 1 + 1\nfrom", 1, true)) -- it is the only one
    t:type("00")
    t:key("Enter")
    t:expect_end("> 1 + 100\npart101\n>")
    t:ask("t", "future: done (task-1), returned nothing")
    up.remove()
  end)

  test("workers print above it, also when it takes several rows and the cursor is in its middle", { width = 30 }, function(t)
    for _, kind in ipairs { "proc_pool", "thread_pool" } do
      local held = gate.new()
      t:enter(("pool = require '%s'.new(1)"):format(kind))
      t:enter(("path = %q"):format(held.path))
      t:enter("function tell() io.open(path):read 'a' for i = 1, 3 do print('line', i) end end")
      t:enter("f = pool:submit(tell)")
      local open = held:reached()
      local text = "print('中文中文中文中文中文中文中文中文" .. kind .. "')"
      t:type(text)
      for _ = 1, #kind + 4 do t:key("Left") end
      t:expect_end("文中文中文" .. kind .. "')")
      open()
      t:await(function(screen)
        return screen:find("line    1\nline    2\nline    3\n> print('中文中文中文中文中文\n中文中文中文" .. kind .. "')", 1, true)
      end, "lines of " .. kind)
      t:type("x")
      t:key("Enter")
      t:await(function(screen)
        return screen:find("> print('中文中文中文中文中文\n中文中文x中文" .. kind .. "')\n中文中文中文中文中文中文中文x\n中文" .. kind, 1, true)
      end, "the entered line of " .. kind)
    end
  end)

  test("requests and processes go on", function(t)
    local held = gate.new()
    t:ask('async = require "async"')
    t:ask(("p = async.create_task(async.run_process, { 'cat', %q })"):format(held.path))
    t:type("p:result().stdout")
    held:open("from a process")
    t:key("Enter")
    t:expect_end("\nfrom a process\n>")
  end)

  test("done callbacks run", function(t)
    local held = gate.new()
    t:ask('pool = require "proc_pool".new(1)')
    t:ask(("function pass() local file = io.open(%q) file:read 'a' file:close() return 5 end"):format(held.path))
    t:ask("pool:submit(pass):add_done_callback(function(f) print('callback', f:result()) end)")
    t:type("abc")
    t:expect_end("> abc")
    held:open()
    t:expect_end("\ncallback        5\n> abc")
  end)

  test("the line is drawn anew when the terminal changes its size", function(t)
    local text = "x = '" .. ("abcdefghij"):rep(8) .. "'"
    t:type(text)
    t:expect_end("> " .. text)
    t:tmux("resize-window -x 50 -y 20")
    t:expect_end("> " .. text:sub(1, 48) .. "\n" .. text:sub(49))
    t:tmux("resize-window -x 140 -y 20")
    t:type(" ..'z'")
    local screen = t:expect_end("> " .. text .. " ..'z'")
    assert.equal(1, select(2, screen:gsub("x = '", "")))
    t:key("Enter")
    t:enter("#x")
    t:expect_end("\n81\n>")
  end)
end)

describe("waiting at the prompt", function()
  test("a wait runs tasks, and gives its values", function(t)
    t:ask('async = require "async"')
    t:ask("async.sleep(0.01, 'x')")
    t:ask("t = async.create_task(function() async.sleep(0.01) return 'value' end)")
    t:ask("t:result()", "value")
    t:ask("async.run(function() async.sleep(0) return 1, 2 end)", "1       2")
    t:enter("require 'futures'.new():result()")
    t:expect("parhost.deadlock: waiting for parhost.Future")
  end)

  test("Ctrl-C gives up the wait alone", function(t)
    local up = flag()
    t:ask('async = require "async"')
    t:enter(("t = async.create_task(function() print 'begun' %s return 'x' end)"):format(up.wait))
    t:expect_end("\nbegun\n>")
    t:ask("function spin() while true do end end")
    for _, line in ipairs { "async.sleep(100)", "t:result()", "while true do pcall(spin) end" } do
      t:enter("print 'waits' " .. line)
      t:expect_end("> print 'waits' " .. line .. "\nwaits")
      t:key("C-c")
      t:expect_end("\nwaits\n^C\ninterrupted!\n>")
    end
    t:ask("t", "future: running (task-1)")
    up.raise()
    t:ask("t:result()", "x")
    up.remove()
  end)

  test("Ctrl-C while typing gives up the line, or all lines of a statement", function(t)
    t:type("some thing")
    t:expect_end("> some thing")
    t:key("Home", "C-c")
    t:expect_end("> some thing^C\n>")
    t:enter("for i = 1, 2 do")
    t:expect_end("\n>>")
    t:key("C-c")
    t:expect_end(">> ^C\n>")
    t:ask("'goes on'", "goes on")
  end)

  -- Of two signals that come before the program has had its turn only one is left.
  local function has_taken_signals(pid)
    local status <close> = assert(io.open(("/proc/%s/status"):format(pid)))
    return status:read("a"):find "ShdPnd:%s*0+\n" ~= nil
  end

  local test_now = terminal.signals_late and pending or test
  test_now("the second Ctrl-C ends the program", function(t)
    t:enter("io.open('/proc/self/stat'):read('n')")
    local pid = t:await(function(screen) return screen:match("\n(%d+)\n>$") end, "a pid")
    t:ask("text, pattern = ('a'):rep(60), ('a*'):rep(60) .. 'b'")
    t:enter("print 'begun' text:find(pattern)") -- C code that does not look around
    t:expect_end("\nbegun")
    t:key("C-c")
    t:expect_end("\n^C")
    t:await(function() return has_taken_signals(pid) end, "the first one taken")
    t:key("C-c")
    local code, restored = t:ended()
    assert.same({ 130, true }, { code, restored })
  end)

  test("a task that holds the loop is not what Ctrl-C at the prompt gives up", function(t)
    t:ask('async = require "async"')
    t:enter("t = async.create_task(function() print 'spins' for i = 1, 3e7 do end return 'all of it' end)")
    t:expect("\nspins\n")
    t:key("C-c")
    t:expect_end("> ^C\n>")
    t:ask("t:result()", "all of it")
  end)
end)
