-- SPDX-License-Identifier: MIT
-- The prompt on a terminal: the ways out of it. The terminal is as it was after each.
package.path = "tests/spec/?.lua;" .. package.path
local alive = require "support.alive"
local terminal = require "tests.spec.support.terminal"

local test = terminal.test

describe("the end of a session", function()
  test("Ctrl-D ends it, as .quit does; tasks are cancelled, pools wait", function(t)
    t:ask("async = require 'async'")
    t:ask("closing = setmetatable({}, { __close = function() print 'closed' end })")
    t:ask("function f() local x <close> = closing async.sleep(100) end")
    t:ask("async.create_task(f)", "future: pending (task-1)")
    t:type("abc")
    t:key("C-d") -- not at the beginning of a line: no end
    t:key("C-u", "C-d")
    t:expect("\nclosed\n")
    assert.same({ 0, true }, { t:ended() })
  end)

  for name, line in pairs {
    [".quit"] = ".quit", ["os.exit"] = "os.exit(0)",
    ["os.exit in a task"] = "require 'async'.create_task(os.exit, 0)",
  } do
    test("the terminal is as it was after " .. name, function(t)
      t:enter(line)
      assert.same({ 0, true }, { t:ended() })
    end)
  end

  -- A sanitizer leaves the signals alone.
  local SANITIZER <const> = 'ASAN_OPTIONS=handle_segv=0 TSAN_OPTIONS="$TSAN_OPTIONS handle_segv=0"'
  for signal, code in pairs { TERM = 143, HUP = 129, SEGV = 139, ABRT = 134, QUIT = 131 } do
    test("the terminal is as it was after SIG" .. signal, { environment = SANITIZER }, function(t)
      t:enter("io.open('/proc/self/stat'):read('n')")
      local pid = t:await(function(screen) return screen:match("\n(%d+)\n>$") end, "a pid")
      t:type("abc")
      t:expect_end("> abc")
      os.execute(("kill -%s %s"):format(signal, pid))
      local ended, restored = t:ended()
      assert.equal(code, ended)
      assert.is_true(restored)
      assert.is_false(alive(tonumber(pid)))
    end)
  end

  it("a session that is stopped and goes on has its line again", function()
    if not terminal.available then return pending("tmux is not installed") end
    if terminal.signals_late then return pending("signals come late") end
    local t <close> = terminal.start { command = "env PS1='$ ' sh -i" }
    t:expect_end("$")
    t:enter(terminal.program)
    t:expect_end("\n>")
    t:type("1 + ")
    t:expect_end("> 1 +")
    t:key("C-z")
    t:expect_end("\n$")
    t:enter("stty -a | grep -o ' icanon'")
    t:expect_end("\n icanon\n$")
    t:enter("fg")
    t:expect_end("\n> 1 +")
    t:enter("41")
    t:expect_end("> 1 + 41\n42\n>")
  end)
end)
