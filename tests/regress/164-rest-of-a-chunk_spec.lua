-- SPDX-License-Identifier: MIT
-- A map that was left cancelled the chunks that no worker had begun; of one that had been begun, all items still ran.
package.path = "tests/spec/?.lua;" .. package.path

local hostile = require "support.hostile"
local proc_pool = require "proc_pool"
local thread_pool = require "thread_pool"

local ITEMS <const> = 20

for where, module in pairs { process = proc_pool, thread = thread_pool } do
  describe("leaving a map", function()
    it("cancels the items of a chunk that have not begun, in a " .. where, function()
      local begun, told, paths, ends = os.tmpname(), os.tmpname(), {}, {}
      os.remove(told)
      for i = 1, ITEMS do paths[i], ends[i] = i == 2 and begun or begun .. "." .. i, i == 1 and begun or told end
      do
        local pool <close> = module.new(1)
        os.remove(begun)
        io.open(begun, "w"):close() -- the first item ends at once, the second waits until it is told
        local it = pool:with { chunk_size = ITEMS }:map(hostile.run_until, paths, ends)
        assert.same({ 1, "ended" }, { it:next() })
        it:close()
        io.open(told, "w"):close()
      end
      local ran = 0
      for i = 3, ITEMS do
        if os.remove(begun .. "." .. i) then ran = ran + 1 end
      end
      assert.same(0, ran)
      for _, path in ipairs { begun, told, begun .. ".1" } do os.remove(path) end
    end)
  end)
end
