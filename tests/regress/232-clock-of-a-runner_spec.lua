-- SPDX-License-Identifier: MIT
-- Each run of a runner began its virtual clock anew, so that tasks which it had kept slept longer, and time went back.
local async = require "async"

it("the virtual clock of a runner goes on from run to run", function()
  local runner <close> = async.runner { clock = "virtual" }
  local ticks = 0
  local function tick()
    while true do
      async.sleep(1)
      ticks = ticks + 1
    end
  end
  local first = runner:run(function()
    async.create_task(tick)
    async.sleep(2.5)
    return async.time()
  end)
  assert.equal(2, ticks)
  local second = runner:run(function()
    local begun = async.time()
    async.sleep(2)
    return begun
  end)
  assert.equal(4, ticks)
  assert.is_true(second >= first)
end)
