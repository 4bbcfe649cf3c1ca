-- SPDX-License-Identifier: MIT
-- A Host header of one's own went along with a redirect to another host, which then answered for the wrong one.
package.path = "tests/spec/?.lua;" .. package.path
local http = require "http"
local servers = require "support.servers"

describe("a Host header", function()
  it("stays with the host that it was meant for", function()
    local server <close> = servers.bad()
    local function host_after(to)
      local url = ("%s/redirect?to=%s/echo"):format(server.url, to)
      for _, pair in ipairs(http.get(url, { headers = { Host = "my.example" }, timeout = 30 }):json().headers) do
        if pair[1]:lower() == "host" then return pair[2] end
      end
    end
    assert.equal("my.example", host_after "")
    assert.equal(server.other_host, host_after(server.other_url))
  end)
end)
