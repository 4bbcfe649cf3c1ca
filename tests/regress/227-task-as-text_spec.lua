-- SPDX-License-Identifier: MIT
-- A task that had not begun could not be printed: the text of a future asks what settles it, where tasks have a number.
local async = require "async"

describe("the text of a task", function()
  it("is there before it begins, while it runs, and at its end", function()
    local seen = {}
    local function look(t) seen[#seen + 1] = tostring(t):match "^parhost%.Task: %S+ state=(.*)$" end
    local outside = async.create_task(function() return 1, 2 end)
    look(outside)
    async.run(function()
      local t = async.create_task(async.sleep, 0)
      look(t)
      async.checkpoint()
      look(t)
      t:result()
      look(t)
    end)
    outside:result()
    look(outside)
    assert.same({ "pending", "pending", "running", "done returned nothing", "done returned 2 values" }, seen)
  end)
end)
