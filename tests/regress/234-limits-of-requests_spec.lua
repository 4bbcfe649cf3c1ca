-- SPDX-License-Identifier: MIT
-- A connect_timeout or low_speed of math.huge or 1e300 seconds raised "number has no integer representation", with a place
-- inside of parhost; too_many_redirects did not say the limit; and 0 was refused as "number expected, got 0".
package.path = "tests/spec/?.lua;" .. package.path
local http = require "http"
local servers = require "support.servers"

describe("limits of requests", function()
  it("may be as long as numbers go", function()
    local url = "http://127.0.0.1:1/"
    for _, seconds in ipairs { math.huge, 1e300, math.maxinteger } do
      local _, err = pcall(http.get, url, { timeout = seconds, connect_timeout = seconds, low_speed = { 1, 1e300 } })
      assert.equal("connect", err.code)
    end
  end)

  it("are in the error", function()
    local server <close> = servers.bad()
    local _, err = pcall(http.get, server.url .. "/loop", { max_redirects = 2 })
    assert.equal("too_many_redirects", err.code)
    assert.equal(2, err.limit)
  end)

  it("are told when one is out of its range", function()
    local ok, err = pcall(http.get, "http://127.0.0.1:1/", { connect_timeout = 0 })
    assert.is_false(ok)
    assert.matches("option 'connect_timeout': number > 0 expected, got 0", err)
  end)
end)
