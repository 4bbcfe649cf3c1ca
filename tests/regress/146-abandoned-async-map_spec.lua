-- SPDX-License-Identifier: MIT
-- At the end of a run, an iterator of async.map that nobody had closed was reported as "tasks are left that nothing can
-- wake: 0 tasks"; when it was collected, as "a task group, opened at , was collected before it was closed".
package.path = "tests/spec/?.lua;" .. package.path
local async = require "async"
local virtual = require "support.virtual"

local function collect()
  collectgarbage()
  collectgarbage()
end

describe("an iterator of async.map that is never closed", function()
  after_each(function() virtual.warnings_of(collect) end)

  for name, make in pairs {
    ["without items"] = function() return async.map(print, {}) end,
    ["with items that have not begun"] = function() return async.map(async.sleep, { 1, 2 }) end,
    ["with items that run"] = function()
      local map = async.map(async.sleep, { 1, 2 })
      async.sleep(0.5)
      return map
    end,
  } do
    it(name .. " is no matter at the end of the run", function()
      local ended
      assert.same({}, virtual.warnings_of(function()
        virtual.run(make)
        ended = true
      end))
      assert.is_true(ended)
    end)
  end

  it("is named when it is collected", function()
    local warned = virtual.warnings_of(function()
      virtual.run(function() async.map(print, {}) end)
      collect()
    end)
    local place = ".*146%-abandoned%-async%-map_spec.lua:%d+"
    assert.equal(1, #warned)
    assert.matches("^parhost: an iterator of async.map, opened at " .. place .. ", was collected before", warned[1])
  end)
end)
