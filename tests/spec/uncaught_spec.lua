-- SPDX-License-Identifier: MIT
-- The traceback of an uncaught error begins with what the program called.
local run = require "tests.spec.support.run"

local function traceback_of(script)
  local err = run.script(script).err
  return err:match "\nstack traceback:\n(.-)\n\t%[C%]: in %?\n$" or err
end

describe("the traceback of an uncaught error", function()
  it("begins with the function of parhost that the program called", function()
    assert.matches("^\tlua/parhost/executor%.lua:%d+: in function 'proc_pool%.new'\n\tscript%.lua:2: in main chunk$",
      traceback_of "\nrequire 'proc_pool'.new { max_worker = 2 }")
    assert.matches("^\tlua/futures/future%.lua:%d+: in method 'result'\n\tscript%.lua:2: in main chunk$",
      traceback_of "local f = require 'proc_pool'.new(1):submit(error, 'x')\nf:result()")
  end)

  it("does so where that was a tail call", function()
    local err = run.script([[
local pool <close> = require "thread_pool".new(1)
require "async".run(function() return pool:submit(error, "x"):result() end)]]).err
    assert.matches("\ntask stack traceback:\n\tlua/futures/future%.lua:%d+: in [^\n]*\n"
      .. "\t%(%.%.%.tail calls%.%.%.%)\n\t%[C%]: in %?\n", err)
  end)

  it("names functions as programs do", function()
    for _ = 1, 5 do -- Lua meets the names in another order each time
      assert.matches("^\tlua/futures/waiting%.lua:%d+: in function 'futures%.as_completed'\n",
        traceback_of "require 'proc_pool'.as_completed(5)")
      local err = run.script("require 'async'.run(function() require 'async'.sleep 'x' print() end)").err
      assert.matches("\ntask stack traceback:\n\t%[C%]: in function 'async%.sleep'\n", err)
    end
  end)

  it("is that of stock Lua where the program's own code fails", function()
    assert.equal("\t[C]: in function 'error'\n\tscript.lua:1: in local 'f'\n\tscript.lua:2: in main chunk",
      traceback_of "local function f() error 'x' end\nf()")
    assert.equal("\t[C]: in function 'string.rep'\n\tscript.lua:1: in main chunk", traceback_of "string.rep()")
  end)

  it("is whole where a callback of the program fails, and where parhost itself does", function()
    local callback = traceback_of [[
local pool = require "thread_pool".new { inline = true }
local function pull() error "no more" end
for _ in pool:map(math.abs, pull) do end]]
    assert.matches("^\t%[C%]: in function 'error'\n\tscript%.lua:2: in [^\n]*\n\tlua/parhost/map%.lua:", callback)
    local inside = traceback_of [[
local broken = load("local function f(t) return t.x.y end f {}", "@lua/parhost/executor.lua")
broken()]]
    assert.matches("^" .. ("\tlua/parhost/executor%.lua:1: in [^\n]*\n"):rep(2) .. "\tscript%.lua:2:", inside)
  end)
end)
