-- SPDX-License-Identifier: MIT
-- io.stdout:seek() in a worker failed with the error of something that had happened before.
local proc_pool = require "proc_pool"
local thread_pool = require "thread_pool"

describe("stdout of a worker", function()
  it("cannot be moved in, as a pipe", function()
    for _, kind in ipairs { proc_pool, thread_pool } do
      local pool <close> = kind.new(1)
      local function seek()
        io.open "/nowhere"
        return io.stdout:seek("cur", 0)
      end
      local position, message, code = pool:submit(seek):result()
      assert.same({ "Illegal seek", 29 }, { message, code })
      assert.is_nil(position)
    end
  end)
end)
