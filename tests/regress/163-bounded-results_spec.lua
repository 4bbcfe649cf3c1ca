-- SPDX-License-Identifier: MIT
-- A program that submits to a pool with a bounded queue, and does nothing else, got no results as long as the workers kept
-- up: they piled up without bound, where only so many tasks were to be about.
local proc_pool = require "proc_pool"
local thread_pool = require "thread_pool"

local MAX_QUEUE <const>, WORKERS <const> = 10, 1

-- How many futures were unsettled at most.
local function submit_many(pool, n)
  local open, most = 0, 0
  local function count() open = open - 1 end
  for i = 1, n do
    open = open + 1
    pool:submit(math.abs, -i):add_done_callback(count)
    most = math.max(most, open)
  end
  pool:drain()
  assert.same(0, open)
  return most
end

for _, module in ipairs { proc_pool, thread_pool } do
  describe("a bounded " .. (module == proc_pool and "proc_pool" or "thread_pool"), function()
    it("delivers while it takes tasks", function()
      local pool <close> = module.new { max_workers = WORKERS, max_queue = MAX_QUEUE }
      assert.is_true(submit_many(pool, 5000) <= 2 * MAX_QUEUE + WORKERS + 1)
    end)
  end)
end
