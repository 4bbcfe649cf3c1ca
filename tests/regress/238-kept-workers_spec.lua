-- SPDX-License-Identifier: MIT
-- Workers that had been told to leave counted as there: when several had been idle for too long at once, all of them left,
-- those of min_workers with them. And those that had never had a task were not seen to be idle.
local parhost = require "parhost"

-- Waits until no more than one is left, and none is about to leave.
local function settled(pool)
  local deadline = parhost.monotonic() + 20
  repeat
    local workers, leaving = pool:workers(), 0
    for _, worker in ipairs(workers) do
      if worker.state == "stopping" then leaving = leaving + 1 end
    end
    if #workers <= 1 and leaving == 0 then return #workers end
    pool:drain(0.001)
  until parhost.monotonic() > deadline
end

describe("min_workers", function()
  for _, kind in ipairs { "proc_pool", "thread_pool" } do
    it("stay when others have been idle for too long: " .. kind, function()
      local pool <close> = require(kind).new { min_workers = 1, max_workers = 4, idle_timeout = 0.02 }
      pool:warm_up()
      assert.equal(4, pool:stats().workers)
      assert.equal(1, settled(pool))
    end)
  end
end)
