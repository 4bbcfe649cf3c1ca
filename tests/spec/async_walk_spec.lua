-- SPDX-License-Identifier: MIT
-- A random walk over tasks, groups, scopes and cancellations; tests/stress has the long one.
local futures = require "futures"
local walk = require "tests.spec.support.walk"

describe("a random walk", function()
  futures.on_unhandled(function() end) -- until the end of this process: there will be many
  warn "@off" -- groups in generators that were dropped say so

  for _, seed in ipairs { 1, 7, 42 } do
    it(("closes everything once, and leaves nobody waiting (seed %d)"):format(seed), function()
      local counted = walk.run(seed, 2000)
      assert.is_true(counted.opened > 200)
      assert.equal(counted.opened, counted.closed)
      assert.equal(0, counted.twice)
      assert.equal(0, counted.left)
      assert.is_true(counted.finished + counted.cancelled > 10)
    end)
  end
end)
