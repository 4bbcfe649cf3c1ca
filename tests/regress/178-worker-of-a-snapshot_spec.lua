-- SPDX-License-Identifier: MIT
-- What makes a forked copy of the program a worker ran unprotected: without memory, or when the program had taken
-- os.exit or math.randomseed away, the worker aborted, and so did each after it.
local has_faults = pcall(require, "parhost.core.fault")
local run = require "tests.spec.support.run"

local SCRIPT <const> = [[
  local pool = require("proc_pool").new { max_workers = 1, name = "p", start_method = "fork" }
  local ok, value = pcall(function() return pool:submit(math.abs, -1):result(30) end)
  print(value)
  pool:close()]]

local NO_WORKER <const> = "parhost.broken_pool: p is broken: a worker could not be started: Cannot allocate memory\n"

describe("a forked copy of the program", function()
  (has_faults and it or pending)("that finds no memory to begin with is no worker", function()
    local none = 0
    for n = 1, 12 do
      local result = run.script(SCRIPT, "", ("PARHOST_FAULT=worker.lua_alloc:%d+"):format(n))
      assert.same({ "", 0 }, { result.err, result.code })
      if result.out == NO_WORKER then none = none + 1 else assert.matches("memory", result.out) end
    end
    assert.is_true(none > 1)
  end)

  it("does without the functions that the program has taken away", function()
    local sandbox = "os.exit, math.randomseed = nil, nil setmetatable(os, { __newindex = error })\n"
    assert.same({ out = "1\n", err = "", code = 0 }, run.script(sandbox .. SCRIPT))
  end)
end)
