-- SPDX-License-Identifier: MIT
-- Runs after an error, by retry_if, were not counted in `retried`, and each attempt counted as a task that has failed.
local error, io = error, io -- busted has an environment of its own

local function third_time(path)
  local file = io.open(path, "a+")
  file:write("x")
  file:seek("set")
  local tries = #file:read("a")
  file:close()
  if tries < 3 then error("not yet") end
  return tries
end

describe("what a pool counts", function()
  for _, kind in ipairs { "proc_pool", "thread_pool" } do
    it("are runs that retry_if has asked for, in a " .. kind, function()
      local path = os.tmpname()
      local pool <close> = require(kind).new(1)
      local view = pool:with { retries = 2, retry_if = function() return true end }
      assert.equal(3, view:submit(third_time, path):result())
      os.remove(path)
      local stats = pool:stats()
      assert.same({ 1, 0, 2 }, { stats.completed, stats.failed, stats.retried })
      assert.is_false(view:submit(load "error 'always'"):outcome())
      stats = pool:stats()
      assert.same({ 1, 1, 4 }, { stats.completed, stats.failed, stats.retried })
    end)
  end
end)
