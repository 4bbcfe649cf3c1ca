-- SPDX-License-Identifier: MIT
-- The same plain function runs unchanged in plain code, a process, a thread and a task, and in those inside of each other.
package.path = "tests/spec/?.lua;" .. package.path
local async = require "async"
local proc_pool = require "proc_pool"
local servers = require "support.servers"
local thread_pool = require "thread_pool"
local together = require "support.together"

local here = "support.together:"

-- Ways of calling the function `name` of support.together: each gives what pcall would.
local PLACES <const> = {}

function PLACES.plain(name, ...) return pcall(together[name], ...) end
function PLACES.task(name, ...) return pcall(async.run, together[name], ...) end

PLACES["generator in a task"] = function(name, ...)
  local args = table.pack(...)
  return pcall(async.run, function()
    return coroutine.wrap(function() return together[name](table.unpack(args)) end)()
  end)
end

PLACES["one of many tasks"] = function(name, ...)
  local args = table.pack(...)
  return async.run(function()
    local list = {}
    for i = 1, 20 do list[i] = async.create_task(together[name], table.unpack(args)) end
    for i = 2, 20 do list[i]:outcome() end
    return list[1]:outcome()
  end)
end

for kind, module in pairs { process = proc_pool, thread = thread_pool } do
  PLACES[kind] = function(name, ...)
    local pool <close> = module.new(1)
    return pool:submit(here .. name, ...):outcome(20)
  end
  PLACES["task in a " .. kind] = function(name, ...)
    local pool <close> = module.new(1)
    return pool:submit(here .. "in_run", name, ...):outcome(20)
  end
  PLACES[kind .. " awaited by a task"] = function(name, ...)
    return pcall(async.run, async["to_" .. kind], here .. name, ...)
  end
  PLACES[kind .. " of a thread"] = function(name, ...)
    local pool <close> = thread_pool.new(1)
    return pool:submit(here .. "in_pool", kind, name, ...):outcome(20)
  end
  PLACES[kind .. " of a process"] = function(name, ...)
    local pool <close> = proc_pool.new(1)
    return pool:submit(here .. "in_pool", kind, name, ...):outcome(20)
  end
end

describe("the same function", function()
  local server
  setup(function() server = servers.bad() end)
  teardown(function() server:stop() end)

  for place, call in pairs(PLACES) do
    it("gives the same values and errors: " .. place, function()
      local ok, status, body, nothing, slept = call("everything", server.url)
      assert.same({ true, 200, "POST", nil, true }, { ok, status, body, nothing, slept })
      local err
      ok, err = call("everything", "http://127.0.0.1:1")
      assert.same({ false, "http", "connect" }, { ok, err.kind, err.code })
      ok, err = call("everything", server.url, "raise")
      if place:find("generator") then err = err:gsub("^.-:%d+: ", "") end -- put there by coroutine.wrap
      assert.same({ false, "my own error" }, { ok, err })
      ok, err = call("everything", server.url, "time out")
      assert.same({ false, "timeout" }, { ok, err.kind })
    end)
  end
end)
