-- SPDX-License-Identifier: MIT
-- A program that creates tasks and ends, as nothing in it waits, did nothing, without a word.
package.path = "tests/spec/?.lua;" .. package.path
local program = require "support.program"

local function says(code)
  local out, err, status = program.run('local async = require "async"\n' .. code)
  return { out, err, status }
end

local in_host = program.is_stock and pending or it

describe("tasks that have not begun at the end", function()
  in_host("are told of", function()
    local tail <const> = "never begun: nothing was waited for behind create_task (see async.run)\n"
    assert.same({ "", "Lua warning: parhost: task-1 has " .. tail, 0 }, says "async.create_task(print, 1)")
    assert.same({ "", "Lua warning: parhost: a and 2 more have " .. tail, 0 }, says [[
      async.create_task(print, 1):set_name "a"
      async.create_task(print, 2)
      async.create_task(print, 3)]])
  end)

  in_host("are left out when they were cancelled, or end in a run, or with an error", function()
    assert.same({ "", "", 0 }, says "async.create_task(print, 1):cancel()")
    assert.same({ "", "", 0 }, says "async.run(function() async.create_task(print, 1) os.exit(0, true) end)")
    assert.same({ "", "", 0 }, says "async.run(function() async.create_task(print, 1) end)")
    assert.same({ "1\n", "", 0 }, says "async.create_task(print, 1) async.sleep(0)")
    assert.same({ "", "parhost: no\n", 1 },
      says "async.create_task(print, 1) error(setmetatable({}, { __tostring = function() return 'no' end }))")
  end)
end)
