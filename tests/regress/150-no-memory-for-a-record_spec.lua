-- SPDX-License-Identifier: MIT
-- Without memory for a done record, for a place in the queue of priorities or in the heap of deadlines, the program was
-- aborted. Now the task fails, or its record waits; nothing is lost.
local has_faults, fault = pcall(require, "parhost.core.fault")
local proc_pool = require "proc_pool"
local thread_pool = require "thread_pool"

local function triple(n) return n, n, n end

-- Everything that ends, with the n-th allocation of C code here failing `how` often.
local function try(pool, n, how)
  local urgent = pool:with { priority = 1, deadline = require("parhost").monotonic() + 100 }
  fault.arm(("host.alloc:%d%s"):format(n, how))
  local list = {}
  for i = 1, 3 do
    for _, view in ipairs { pool, urgent } do
      local ok, f = pcall(view.submit, view, triple, i)
      if ok then list[#list + 1] = { f = f, i = i } else assert.matches("not enough memory", tostring(f)) end
    end
  end
  for _, one in ipairs(list) do
    local settled, ok, value = pcall(one.f.outcome, one.f, 30)
    while not settled do -- the wait itself found no memory
      assert.matches("memory", tostring(ok))
      fault.arm ""
      settled, ok, value = pcall(one.f.outcome, one.f, 30)
    end
    if ok then assert.equal(one.i, value) else assert.matches("not enough memory", tostring(value)) end
  end
  fault.arm ""
end

;(has_faults and describe or pending)("without memory for what has ended", function()
  for name, module in pairs { proc_pool = proc_pool, thread_pool = thread_pool } do
    it("nothing aborts, and nothing is lost: " .. name, function()
      local pool <close> = module.new(1)
      assert.equal(0, pool:submit(triple, 0):result(30))
      for n = 1, 24 do
        try(pool, n, "")
        try(pool, n, "*8")
        try(pool, n, "+")
        assert.equal(7, pool:submit(triple, 7):result(30))
      end
    end)
  end
end)
