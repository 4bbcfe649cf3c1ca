-- SPDX-License-Identifier: MIT
-- The modules in stock Lua, from an installed tree. (ctest runs the executor's contract there, too: tests/CMakeLists.txt.)
package.path = "tests/spec/?.lua;" .. package.path
local run = require "support.run"
local stage = require "support.stage"

describe("stock Lua", function()
  local prefix, lua

  setup(function()
    prefix = stage.install()
    lua = ("env -u PARHOST_WORKERS LUA_PATH='%s/share/lua/5.4/?.lua;;' LUA_CPATH='%s/lib/lua/5.4/?.so;;' "
      .. "timeout 60 lua5.4"):format(prefix, prefix)
  end)

  teardown(function() stage.remove(prefix) end)

  local function run_script(text, options)
    local script = run.write(text)
    local result = run.sh(("%s %s %s"):format(lua, options or "", script))
    os.remove(script)
    result.err = result.err:gsub(script:gsub("%p", "%%%0"), "SCRIPT")
    return result
  end

  local function assert_prints(expected, text, options)
    assert.same({ out = expected, err = "", code = 0 }, run_script(text, options))
  end

  it("has every module, each on its own", function()
    for _, name in ipairs { "proc_pool", "thread_pool", "async", "http", "futures", "parhost", "plot" } do
      assert_prints("table\n", ("print(type(require %q))"):format(name))
    end
    assert_prints(require "parhost".version .. "\n", "print(require 'parhost'.version)")
  end)

  it("has the same modules from the rock", function()
    local rock = {}
    assert(loadfile("parhost-0.1.0-1.rockspec", "t", rock))()
    assert.equal(require "parhost".version, rock.version:match "^(.*)%-")
    local names = {}
    for name, path in pairs(rock.build.install.lua) do
      assert.equal("lua/stock/module.lua", path)
      names[#names + 1] = name .. ".lua\n"
    end
    table.sort(names)
    assert.equal(stage.sh(("LC_ALL=C ls %s/share/lua/5.4"):format(prefix)), table.concat(names))
  end)

  it("runs tasks in processes, threads and coroutines", function()
    assert_prints("25\t36\n16\n", [[
      arg[1] = "5"
      assert(loadfile "tests/embed/minimal.lua")(5)]])
  end)

  it("is the only Lua in the process, workers included", function()
    local maps = [[
      local function maps()
        for line in io.lines "/proc/self/maps" do
          if line:find("liblua", 1, true) and line:find(".so", 1, true) then return line end
        end
        return "only one"
      end
      require "http"
      local p <close> = require "proc_pool".new(1)
      local t <close> = require "thread_pool".new(1)
      print(maps(), p:submit(maps):result(), t:submit(maps):result())]]
    assert_prints("only one\tonly one\tonly one\n", maps)
  end)

  it("ends pools and runs hooks when the state is closed", function()
    assert_prints("1\n2\n3\nb\na\nfinalized\n", [[
      old = setmetatable({}, { __gc = function() print "finalized" end })
      local parhost = require "parhost"
      parhost.on_exit(function() print "a" end)
      local pool = require "thread_pool".new(1)
      for i = 1, 3 do pool:submit(math.abs, -i):add_done_callback(function(f) print(f:result()) end) end
      parhost.on_exit(function() pool:drain() print "b" end)]])
  end)

  it("does so before os.exit, which keeps its code", function()
    local text = [[
      require "parhost".on_exit(function() print "hook" end)
      local pool = require "proc_pool".new(1)
      pool:submit(print, "task")
      os.exit(%s)]]
    for arguments, code in pairs { ["3"] = 3, ["false, true"] = 1, [""] = 0 } do
      local result = run_script(text:format(arguments))
      assert.same({ "", code }, { result.err, result.code })
      assert.is_truthy(result.out == "hook\ntask\n" or result.out == "task\nhook\n", result.out)
    end
  end)

  it("leaves no process behind", function()
    local result = run_script [[
      local pool = require "proc_pool".new { max_workers = 1, at_exit = "kill" }
      local function pid() return require "parhost".worker().pid end
      print(pool:submit(pid):result())
      pool:submit(function() while true do end end)]]
    assert.same({ "", 0 }, { result.err, result.code })
    assert.equal(0, run.sh(("! kill -0 %d 2>/dev/null"):format(result.out)).code)
  end)

  it("heeds PARHOST_WORKERS", function()
    local text = "print(require 'thread_pool'.new())"
    lua = lua:gsub("env %-u PARHOST_WORKERS", "env PARHOST_WORKERS=3")
    assert.matches("%(3 workers at most%)", run_script(text).out)
    lua = lua:gsub("PARHOST_WORKERS=3", "PARHOST_WORKERS=many")
    local result = run_script(text)
    assert.equal(1, result.code)
    local message = "PARHOST_WORKERS: number of workers expected (an integer from 1 to 10000), got 'many'"
    assert.is_truthy(result.err:find(message, 1, true), result.err)
    lua = lua:gsub("PARHOST_WORKERS=many", "-u PARHOST_WORKERS")
  end)

  it("is quiet, unless warnings are on", function()
    local text = "local p <close> = require 'thread_pool'.new(1) f = p:submit(error, 'lost', 0) f:wait()"
    assert_prints("", text)
    assert.matches("^Lua warning: parhost: nobody looked at the error of a task: lost\n", run_script(text, "-W").err)
  end)

  it("can be interrupted where it waits", function()
    local result = run_script [[
      local parhost = require "parhost"
      local pool <close> = require "thread_pool".new(1)
      local function wait() while true do parhost.check_cancelled() end end
      local f = pool:submit(wait)
      local _ <close> = io.popen("sleep 0.1; kill -INT " .. io.open "/proc/self/stat":read "n")
      print(pcall(f.result, f))
      f:cancel { force = true }]]
    assert.same({ "", 0 }, { result.err, result.code })
    assert.matches("^false\t[^\n]*interrupted!\n$", result.out)
  end)

  it("makes states of its own in workers", function()
    assert_prints("6\t6\t6\n", [[
      local function nested(n)
        local pool <close> = require "thread_pool".new(1)
        return pool:submit(function(k) return k * 2 end, n):result()
      end
      local p <close> = require "proc_pool".new(1)
      local t <close> = require "thread_pool".new(1)
      print(p:submit(nested, 3):result(), t:submit(nested, 3):result(), require "async".run(nested, 3))]])
  end)

  it("gives a start method that copies the state", function()
    assert_prints("2000\n", [[
      local big = {}
      for i = 1, 2000 do big[i] = i end
      local pool <close> = require "proc_pool".new { max_workers = 1, start_method = "fork" }
      print(pool:submit(function() return big[#big] end):result())]])
  end)
end)
