-- SPDX-License-Identifier: MIT
-- A GET that found its kept connection closed by the server failed every sixth time: libcurl sends it again, but counts how
-- often over all requests of a handle, until that is reset.
package.path = "tests/spec/?.lua;" .. package.path
local http = require "http"
local servers = require "support.servers"

describe("requests to a server that closes kept connections", function()
  local server

  setup(function() server = servers.bad() end)
  teardown(function() server:stop() end)

  it("all get their answer", function()
    local url, session = server.url .. "/fickle", http.session()
    for _, get in ipairs { http.get, function(...) return session:get(...) end } do
      for _ = 1, 30 do assert.equal("fickle", get(url).body) end
      for _ = 1, 10 do assert.equal("fickle", get(url, { headers = { A = "b" } }).body) end
    end
    session:close()
  end)
end)
