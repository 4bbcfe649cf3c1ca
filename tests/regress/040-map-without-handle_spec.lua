-- SPDX-License-Identifier: MIT
-- A map whose pool was held by nobody failed with "cannot schedule new futures after shutdown" when the collector was
-- quicker than the reading of its input.
local proc_pool = require "proc_pool"

describe("a map of a pool that nobody holds", function()
  it("reads its input to the end", function()
    local results = proc_pool.new(1):with { buffer_size = 1 }:map(math.abs, { -1, -2, -3, -4 })
    local taken = {}
    for _, value in results do
      collectgarbage()
      collectgarbage()
      taken[#taken + 1] = value
    end
    assert.same({ 1, 2, 3, 4 }, taken)
  end)
end)
