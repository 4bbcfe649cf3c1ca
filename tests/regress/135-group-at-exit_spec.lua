-- SPDX-License-Identifier: MIT
-- os.exit(code, true) inside of a task group warned that the group was collected before it was closed.
package.path = "tests/spec/?.lua;" .. package.path
local world = require "support.world"

describe("os.exit(code, true) in a task group", function()
  it("says nothing", function()
    local result = world.run { text = [[local async = require "async"
      async.run(function()
        local tg <close> = async.task_group()
        tg:create_task(async.sleep, 100)
        tg:create_task(os.exit, 5, true)
      end)]] }
    assert.same({ code = 5, out = "", err = "", left = "" }, result)
  end)
end)
