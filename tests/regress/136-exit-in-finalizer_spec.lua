-- SPDX-License-Identifier: MIT
-- os.exit in a finalizer that runs while the state is closed crashed the program.
package.path = "tests/spec/?.lua;" .. package.path
local world = require "support.world"

describe("os.exit in a finalizer at the end", function()
  it("gives the exit code", function()
    for _, arguments in ipairs { "5", "5, true" } do
      local text = ("kept = setmetatable({}, { __gc = function() os.exit(%s) end })"):format(arguments)
      assert.same({ code = 5, out = "", err = "", left = "" }, world.run { text = text })
    end
  end)
end)
