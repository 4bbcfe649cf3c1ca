-- SPDX-License-Identifier: MIT
-- A program that closes descriptors wholesale closes those of its event loop, too: its next wait aborted it (libuv's doing).
-- Now that wait, and each later one, is an error.
package.path = "tests/spec/?.lua;" .. package.path
local hostile = require "support.hostile"
local run = require "support.run"

local LOST <const> = "parhost.os: the event loop cannot wait: something in this process has closed its descriptors"

-- `first` uses the loop; `wait` is what fails then, twice.
local function check(first, wait, at_exit)
  local result = run.script(hostile.prelude .. first .. [[
    require("crash").close_from(3, 1000)
    for _ = 1, 2 do print(select(2, pcall(function() ]] .. wait .. " end))) end print 'end'")
  local err = at_exit and ("Lua warning: parhost: error in the end of a pool: %s\n"):format(LOST) or ""
  assert.same({ out = ("%s\n%s\nend\n"):format(LOST, LOST), err = err, code = 0 }, result)
end

describe("a program that has closed the descriptors of its loop", function()
  for _, kind in ipairs { "proc_pool", "thread_pool" } do
    it("gets an error where it waits for a future: " .. kind, function()
      check(([[
        local pool = require("%s").new(1)
        pool:submit(math.abs, -1):result()
        require("async").sleep(0.05)
        local function compute()
          local limit = os.clock() + 0.05
          while os.clock() < limit do end
        end]]):format(kind), "pool:submit(compute):result(20)", true)
    end)
  end

  it("gets an error where it sleeps", function()
    check("local async = require 'async' async.sleep(0.05)", "async.sleep(1)")
  end)

  it("gets an error in a run", function()
    check("local async = require 'async' async.sleep(0.05)", "async.run(async.sleep, 1)", true)
  end)

  it("gets an error where it waits for a response", function()
    check("local http = require 'http' pcall(http.get, 'http://127.0.0.1:1/')", "http.get('http://127.0.0.1:1/')")
  end)
end)
