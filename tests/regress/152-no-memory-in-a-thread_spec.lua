-- SPDX-License-Identifier: MIT
-- A worker thread that found no memory for its beginning aborted the whole program; a worker's setup that found none was
-- the failure of an initializer that nobody had given; an error that could not be sent was a malformed message.
local has_faults = pcall(require, "parhost.core.fault")
local run = require "tests.spec.support.run"

local SCRIPT <const> = [[
  local pool = require(...).new { max_workers = 1, name = "p" }
  local function fail() error { 1, 2, 3 } end
  for _ = 1, 4 do
    local ok, err = pcall(function() return pool:submit(fail):error(30) end)
    if type(err) == "table" and err[3] == 3 then err = "itself" end
    print((tostring(err):gsub("^parhost.os: not enough memory.*", "no memory"):gsub("^not enough memory$", "no memory")))
  end
  pool:close()]]

local NO_WORKER <const> = "parhost.broken_pool: p is broken: a worker could not be started: Cannot allocate memory"
local GOOD <const> = { [NO_WORKER] = true, ["no memory"] = true, itself = true }
GOOD["the error value of the task could not be sent (not enough memory, or its __dump failed)"] = true

;(has_faults and describe or pending)("a worker without memory", function()
  for kind, place in pairs { thread_pool = "thread", proc_pool = "worker" } do
    it("ends no program, and says what was missing: " .. kind, function()
      for _, n in ipairs { 1, 20, 100, 300, 900, 1200, 1500, 2000, 2500, 3000 } do
        for _, how in ipairs { "+", "*20", "*2" } do
          local result = run.script(SCRIPT, kind, ("PARHOST_FAULT=%s.lua_alloc:%d%s"):format(place, n, how))
          assert.same({ "", 0 }, { result.err, result.code })
          for line in result.out:gmatch "[^\n]+" do assert.is_true(GOOD[line], line) end
        end
      end
    end)
  end
end)
