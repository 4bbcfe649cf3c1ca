-- SPDX-License-Identifier: MIT
-- A pool that ended took its tasks back from the oldest on: a worker that went through them at the same time found those
-- gone, and began a later one.
local proc_pool = require "proc_pool"
local thread_pool = require "thread_pool"

local POOLS <const> = { process = proc_pool, thread = thread_pool }
local ROUNDS <const> = { process = 50, thread = 500 }
local TASKS <const> = 60

local function busy(n)
  for _ = 1, n do end
end

-- "b" for each that has begun, "c" for each that was taken back, in the order of submitting.
local function at_the_end(pool, round)
  for _ = 1, 30 do pool:submit(math.abs, 1) end
  pool:submit(math.abs, 1):result() -- short ones: so many are handed out at once
  pool:submit(busy, 1000 + round % 60 * 200)
  local futures, letters = {}, {}
  for i = 1, TASKS do futures[i] = pool:submit(math.abs, -i) end
  pool:terminate()
  for i, future in ipairs(futures) do letters[i] = future:cancelled() and "c" or "b" end
  return table.concat(letters)
end

describe("what has begun when a pool ends", function()
  for name, module in pairs(POOLS) do
    it("is older than what has not, in a " .. name, function()
      for round = 1, ROUNDS[name] do assert.not_match("cb", at_the_end(module.new(1), round)) end
    end)
  end
end)
