-- SPDX-License-Identifier: MIT
-- A random walk over tasks, groups, scopes and cancellations; tests/stress has the long one.
local futures = require "futures"
local random_async = require "tests.spec.support.walk"
local virtual = require "tests.spec.support.virtual"

describe("a random walk", function()
  futures.on_unhandled(function() end) -- until the end of this process: there will be many

  for _, seed in ipairs { 1, 7, 42 } do
    it(("closes everything once, and leaves nobody waiting (seed %d)"):format(seed), function()
      local counted
      virtual.warnings_of(function() counted = random_async.walk(seed, 2000) end) -- of groups in generators
      assert.is_true(counted.opened > 200)
      assert.equal(counted.opened, counted.closed)
      assert.equal(0, counted.twice)
      assert.equal(0, counted.left)
      assert.is_true(counted.finished + counted.cancelled > 10)
    end)
  end
end)
