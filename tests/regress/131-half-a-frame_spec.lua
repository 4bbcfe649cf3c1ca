-- SPDX-License-Identifier: MIT
-- A worker that died in the middle of writing a small reply left the beginning of it in the ring. The host took that for
-- something to read, and looked at it again and again: it hung, whatever the time-out, and did not see the death.
package.path = "tests/spec/?.lua;" .. package.path
local hostile = require "support.hostile"
local proc_pool = require "proc_pool"

local REPLY <const>, LENGTH <const> = 3, 1000

describe("half a reply", function()
  it("of a worker that died is no reply", function()
    local pool <close> = proc_pool.new(1)
    for _, bytes in ipairs { "", "half" } do
      local ok, err = hostile.outcome(pool:submit(hostile.forge_and_die, REPLY, LENGTH, bytes))
      assert.same({ false, "worker_died", "SIGKILL" }, { ok, err.kind, err.signal })
    end
    assert.equal(1, pool:submit(math.abs, -1):result(20))
  end)

  it("does not keep time-outs from coming", function()
    local pool <close> = proc_pool.new { max_workers = 1, grace = 0.1 }
    local future = pool:submit(hostile.forge_and_stay, REPLY, LENGTH, "half")
    for _ = 1, 10 do assert.is_false(future:wait(0.01)) end
    future:cancel { force = true, grace = 0 }
    assert.is_true(future:wait(20))
  end)
end)
