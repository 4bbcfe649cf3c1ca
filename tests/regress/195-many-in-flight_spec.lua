-- SPDX-License-Identifier: MIT
-- With more than 256 requests in flight each one that ended closed a connection, and the next one opened another: a request
-- cost several times as much.
package.path = "tests/spec/?.lua;" .. package.path
local async = require "async"
local http = require "http"
local servers = require "support.servers"

local IN_FLIGHT <const> = 400

describe("connections", function()
  it("are kept while there are as many requests", function()
    local server <close> = servers.bad()
    local function counts() return http.get(server.url .. "/counts", { timeout = 60 }):json() end
    local before = counts().accepted
    async.run(function()
      local session <close> = http.session()
      for _ = 1, 5 do
        local group <close> = async.task_group()
        for _ = 1, IN_FLIGHT do group:create_task(session.get, session, server.url .. "/echo", { timeout = 60 }) end
      end
      assert.is_true(counts().accepted - before <= IN_FLIGHT + 1)
      for _ = 1, IN_FLIGHT do session:get(server.url .. "/echo", { timeout = 60 }) end -- one by one: the others may go
      assert.is_true(counts().open <= 256 + 10)
    end)
  end)
end)
