-- SPDX-License-Identifier: MIT
-- After the timeout of an item had come as a result, the next step of map_unordered raised "table index is nil".
local thread_pool = require "thread_pool"

describe("map_unordered", function()
  for _, method in ipairs { "map", "map_unordered" } do
    it("is at its end behind a timeout that came as a result: " .. method, function()
      local pool <close> = thread_pool.new(1)
      local view = pool:with { timeout = 0.05 }
      local results = view[method](view, function() while true do end end, { 1, 2 })
      assert.is_true(pool:drain(60))
      local ok, err = pcall(results.next, results)
      assert.same({ false, "timeout" }, { ok, err.kind })
      assert.equal(0, select("#", results:next()))
    end)
  end
end)
