-- SPDX-License-Identifier: MIT
-- A request that waited for others of its session, until its time was up, was said to be resolving the name.
package.path = "tests/spec/?.lua;" .. package.path
local async = require "async"
local http = require "http"
local servers = require "support.servers"

describe("a request that waits for its turn", function()
  local server

  setup(function() server = servers.bad() end)
  teardown(function() server:stop() end)

  it("says so at its time limit", function()
    for _, limit in ipairs { "max_connections", "max_per_host" } do
      async.run(function()
        local session <close> = http.session { [limit] = 1 }
        local first = async.create_task(session.get, session, server.url .. "/silent")
        async.checkpoint()
        local ok, err = pcall(session.get, session, server.url .. "/echo", { timeout = 0.05 })
        assert.is_false(ok)
        assert.matches("timed out after 0.05 s while waiting for a connection$", err.message)
        first:cancel()
      end)
    end
  end)
end)
