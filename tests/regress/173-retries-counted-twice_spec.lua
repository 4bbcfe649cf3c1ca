-- SPDX-License-Identifier: MIT
-- Without memory to tell who waits for a task with retries, its end was counted a second time when it was told again: the
-- pool never was idle afterwards.
local has_faults, fault = pcall(require, "parhost.core.fault")
local thread_pool = require "thread_pool"

local error = error -- busted has an environment of its own
local function double(n) return n * 2 end
local function fail() error("no", 0) end

-- Has no memory for the news at the first attempt.
local function watch(f)
  local attempts = 0
  f:_watch { _settled = function(self)
    attempts = attempts + 1
    if attempts == 1 then fault.arm "host.lua_alloc:1*2" end
    self.news = {}
  end }
  return function() return attempts end
end

;(has_faults and describe or pending)("a task with retries whose end finds no memory", function()
  for name, fn in pairs { ["that succeeds"] = double, ["that fails"] = fail } do
    it("is counted once: one " .. name, function()
      local pool <close> = thread_pool.new(1)
      local f = pool:with { retries = 1, retry_if = function() return false end }:submit(fn, 4)
      local attempts = watch(f)
      local waited, ok, value = pcall(f.outcome, f, 20)
      fault.arm ""
      if not waited then ok, value = f:outcome(20) end
      require("parhost.block").poll()
      assert.equal(2, attempts())
      assert.same(fn == double and { true, 8 } or { false, "no" }, { ok, value })
      assert.is_true(pool:drain(20))
    end)
  end
end)
