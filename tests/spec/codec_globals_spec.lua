-- SPDX-License-Identifier: MIT
-- Globals that go along with a task. Programs of their own: busted gives the spec files an environment of its own.
package.path = "tests/spec/?.lua;" .. package.path
local run = require "support.run"

-- Runs the program with a pool of one worker, gives what it printed.
local function output(text, options)
  local result = run.script(([[
    local proc_pool = require "proc_pool"
    local pool <close> = proc_pool.new { max_workers = 1%s }
    local function call(f, ...) return pool:submit(f, ...):result() end
    local function failure(f, ...) return tostring((pool:submit(f, ...):error())) end
    %s]]):format(options and ", " .. options or "", text))
  assert.equal("", result.err)
  assert.equal(0, result.code)
  return result.out
end

describe("globals", function()
  it("SE-15 go along when the task reads them", function()
    assert.equal("42\n", output [[
      function helper(n) return n + 2 end
      print(call(function() return helper(40) end))]])
  end)

  it("SE-15 stay with capture = none", function()
    assert.matches("attempt to call a nil value %(global 'helper'%)", output([[
      function helper(n) return n + 2 end
      print(failure(function() return helper(40) end))]], 'capture = "none"'))
  end)

  it("go along with what they read themselves", function()
    assert.equal("7\t7\n", output [[
      limit = 3
      settings = { add = 4 }
      local function sum() return limit + settings.add end
      function total() return sum() end
      function outer() return (function() return total() end)() end
      print(call(function() return outer() end), call(outer))]])
  end)

  it("share what they share, also with arguments", function()
    assert.equal("true\ttrue\n", output [[
      state = { n = 1 }
      function get() return state end
      print(call(function(s) return get() == state, s == state end, state))]])
  end)

  it("come as they are at each submit", function()
    assert.equal("1\n2\nnil\n4\n", output [[
      value = 1
      function read() return value end
      print(call(read))
      value = 2
      print(call(read))
      value = nil
      print(call(read))
      value = 4
      print(call(function() return read() end))]])
  end)

  it("may be functions that change, whose globals change", function()
    assert.equal("one 1\ntwo 2\n", output [[
      number = 1
      function name() return "one " .. number end
      local function task() return name() end
      print(call(task))
      number = 2
      function name() return "two " .. number end
      print(call(task))]])
  end)

  it("may hide names of the libraries", function()
    assert.equal("<5>\tmine\n", output [[
      local old = tostring
      function tostring(v) return "<" .. old(v) .. ">" end
      string = { upper = function() return "mine" end }
      io.write(call(function() return tostring(5) end), "\t", call(function() return string.upper("x") end), "\n")]])
  end)

  it("that an initializer set stay", function()
    assert.equal("there\n", output([[
      print(call(function() return SETTING end))]], "initializer = function() SETTING = 'there' end"))
  end)

  it("are found behind a local _ENV, too", function()
    assert.equal("5\n", output [[
      five = 5
      print(call(function() local env = _ENV return env.five end))]])
  end)

  it("are left out when they cannot travel or are big", function()
    assert.equal("nil\tnil\tnumber\t1\n", output [[
      file, list, small, edge = io.stdout, {}, { 1 }, {}
      thread = { coroutine.create(print) }
      for i = 1, 20000 do list[i] = "number " .. i end
      for i = 1, 5000 do edge[i] = i * 1000 end
      print(call(function() return type(file) == "userdata" or nil, list, type(edge[5000]), thread and 2 or small[1] end))]])
  end)

  it("that were left out are named by the report of an error about them", function()
    assert.equal([[
list did not travel: it takes more than 64 KiB
tool did not travel: tool.log[1]: a userdata (FILE*) cannot travel
co did not travel: a coroutine cannot travel
use did not travel: upvalue 'file' of function script.lua:9: a userdata (FILE*) cannot travel
object did not travel: its metatable is not a registered class (see parhost.register)
nil
nil
]], output [[
      local futures = require "futures"
      list, tool, co, object = {}, { log = { io.stdout } }, coroutine.create(print), setmetatable({}, {})
      for i = 1, 20000 do list[i] = "number " .. i end
      local file = io.stdout
      function use() return file end
      local function report(task)
        local text = futures.describe(pool:submit(task):error())
        local name, why = text:match "^  global '(%w+)' (.-)\n"
        print(name and name .. " " .. why)
      end
      report(function() return list[1] end)
      report(function() return #tool.log end)
      report(function() return co .. "" end)
      report(function() return use() end)
      report(function() return object.x end)
      report(function() return nowhere.x end)
      list = nil
      report(function() return list[1] end)]])
  end)

  it("of a big table cost no more than what is looked at", function()
    assert.equal("ok\n", output [[
      list = {}
      for i = 1, 50000 do list[i] = "number " .. i end
      local function task() return list == nil end
      local clock = os.clock()
      for _ = 1, 20 do assert(call(task)) end
      print(os.clock() - clock < 5 and "ok" or "slow: " .. os.clock() - clock)]])
  end)

  it("are not written back", function()
    assert.equal("1\t2\t1\n", output [[
      count = 1
      function bump() count = count + 1 return count end
      local before, there = count, call(bump)
      print(before, there, count)]])
  end)
end)
