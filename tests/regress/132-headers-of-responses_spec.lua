-- SPDX-License-Identifier: MIT
-- A CR alone in the value of a response's header began another header, which the server had not sent.
local Headers = require "http.headers"

describe("a CR alone in the head of a response", function()
  it("makes no header", function()
    local headers = Headers.parse("HTTP/1.1 200 OK\r\nX-Echo: a\rSet-Cookie: b=c\r\nLast: \r d\r\n\r\n")
    assert.is_nil(headers["Set-Cookie"])
    assert.equal("a Set-Cookie: b=c", headers["X-Echo"])
    assert.equal("d", headers.Last)
  end)
end)
