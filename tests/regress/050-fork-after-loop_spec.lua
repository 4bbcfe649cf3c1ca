-- SPDX-License-Identifier: MIT
-- libuv's fork handler replaces descriptors by number. In the fork server these numbers were something else by then, and
-- workers died at birth when anything had waited before the first process pool.
package.path = "tests/spec/?.lua;" .. package.path
local program = require "support.program"

describe("a process that has a loop", function()
  it("forks workers after requests were made", function()
    local out, err, code = program.run [[
      local http = require "http"
      pcall(http.get, "http://127.0.0.1:1/")
      local pool <close> = require("proc_pool").new(1)
      print(pool:submit(math.abs, -1):result())
    ]]
    assert.same({ "1\n", "", 0 }, { out, err, code })
  end)

  it("says why a process that has waited cannot fork workers", function()
    local out = program.run [[
      require("futures").new():wait(0.001)
      local ok, err = pcall(require("proc_pool").new, 1)
      print(ok, err.kind)
    ]]
    assert.equal("false\tinvalid_state\n", out)
  end)
end)
