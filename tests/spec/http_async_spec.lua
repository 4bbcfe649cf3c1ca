-- SPDX-License-Identifier: MIT
-- http in coroutine tasks: many at once, given up, and beside other tasks.
package.path = "tests/spec/?.lua;" .. package.path
local http = require "http"
local servers = require "support.servers"

local has_async, async = pcall(require, "async")
local LONG <const> = 30 -- seconds: a limit that nothing here reaches
local it_with_async = has_async and it or pending

describe("http in tasks", function()
  local server

  setup(function() server = servers.bad() end)
  teardown(function() server:stop() end)

  local function url(path) return server.url .. path end

  it_with_async("has many requests under way at once", function()
    local bodies = {}
    async.run(function()
      local group <close> = async.task_group()
      for i = 1, 20 do
        group:create_task(function() bodies[i] = http.get(url "/gated?id=many", { timeout = LONG }).body end)
      end
      group:create_task(function() http.get(url "/release?id=many", { timeout = LONG }) end)
    end)
    for i = 1, 20 do assert.equal("firstsecond", bodies[i]) end
  end)

  it_with_async("has no more connections than a session allows", function()
    async.run(function()
      local function accepted() return http.get(url "/counts", { timeout = LONG }):json().accepted end
      for _, limit in ipairs { "max_connections", "max_per_host" } do
        local session <close> = http.session { [limit] = 2, timeout = LONG }
        local before = accepted()
        do
          local group <close> = async.task_group()
          for _ = 1, 20 do group:create_task(session.get, session, url "/echo") end
        end
        assert.is_true(accepted() - before <= 2)
      end
    end)
  end)

  it_with_async("IO-23 closes the connection of a cancelled request, and the session goes on", function()
    async.run(function()
      local session <close> = http.session()
      for _, path in ipairs { "/silent?id=task", "/drip?id=task2", "/slow-body?id=task3" } do
        local id = path:match("id=(.*)")
        local task = async.create_task(session.post, session, url(path), { body = ("x"):rep(20000000) })
        session:get(url("/reached/" .. id), { timeout = LONG })
        task:cancel()
        local ok, err = task:outcome(LONG)
        assert.is_false(ok)
        assert.equal("cancelled", err.kind)
        assert.equal(200, session:get(url "/echo", { timeout = LONG }).status)
      end
      assert.equal("gone", session:get(url "/gone/task", { timeout = LONG }).body)
      local done = async.move_on_after(0.1, session.get, session, url "/silent?id=late")
      assert.is_false(done)
      assert.equal("gone", session:get(url "/gone/late", { timeout = LONG }).body)
    end)
  end)

  it_with_async("IO-23 gives a stream up where it stands", function()
    async.run(function()
      local response = http.get(url "/endless", { stream = true })
      local task = async.create_task(function()
        for _ in response:chunks() do async.checkpoint() end
      end)
      async.sleep(0.05)
      task:cancel()
      assert.is_false((task:outcome(LONG)))
      assert.is_nil(response:chunks()())
    end)
  end)

  it_with_async("IO-25 does not hold up other tasks", function()
    local ticks = 0
    async.run(function()
      local upload = async.create_task(http.post, url "/slow-body?id=ticker", { body = ("x"):rep(20000000) })
      http.get(url "/reached/ticker", { timeout = LONG })
      for _ = 1, 20 do
        async.sleep(0.01)
        ticks = ticks + 1
      end
      assert.is_false(upload:done())
      upload:cancel()
    end)
    assert.equal(20, ticks)
  end)
end)
