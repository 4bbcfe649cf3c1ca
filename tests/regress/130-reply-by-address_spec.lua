-- SPDX-License-Identifier: MIT
-- A reply in a form that only threads use, an address and a length, was believed when it came from a process: the host
-- read and freed memory wherever the worker said.
package.path = "tests/spec/?.lua;" .. package.path
local hostile = require "support.hostile"
local proc_pool = require "proc_pool"

local REPLY_HERE <const> = 5

describe("a worker process that replies with an address", function()
  it("is ended as corrupt, and fails its task alone", function()
    local pool <close> = proc_pool.new { max_workers = 1, grace = 0.1 }
    for _, bytes in ipairs { ("\16"):rep(16), "", "\1" } do
      local ok, err = hostile.outcome(pool:submit(hostile.forge_and_stay, REPLY_HERE, #bytes, bytes))
      assert.same({ false, "worker_died" }, { ok, err.kind })
    end
    assert.equal(1, pool:submit(math.abs, -1):result(20))
  end)
end)
