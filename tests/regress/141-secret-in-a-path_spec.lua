-- SPDX-License-Identifier: MIT
-- Messages showed the password of a URL that stood in the path of another, as proxies and archives have them.
local http = require "http"

describe("a URL in the path of another", function()
  it("is shown without its password", function()
    local ok, err = pcall(http.get, "http://127.0.0.1:1/https://me:secret@example.com/?x=1#y", { timeout = 5 })
    assert.is_false(ok)
    assert.matches("http://127.0.0.1:1/https://***@example.com/?x=1", tostring(err), 1, true)
  end)
end)
