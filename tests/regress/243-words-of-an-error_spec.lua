-- SPDX-License-Identifier: MIT
-- An error object of the program's own, with a metatable that is not registered: what it said was lost, as was the name of
-- a class that cannot travel.
local thread_pool = require "thread_pool"

describe("an error value that cannot travel", function()
  local pool = thread_pool.new { max_workers = 1 }
  local LEAD <const> = "the task raised an error value that cannot travel: error"

  local function message_of(metatable)
    local err = pool:submit(function() error(setmetatable({ {} }, metatable)) end):error()
    assert.equal("not_serializable", err.kind)
    return err.message
  end

  it("is told of in its own words", function()
    local why = ": its metatable (MyError) is not a registered class (see parhost.register); its text: out of paper"
    assert.equal(LEAD .. why,
      message_of { __name = "MyError", __tostring = function() return "out of paper" end })
  end)

  it("has none, or fails to say them", function()
    local PLAIN <const> = LEAD .. ": its metatable is not a registered class (see parhost.register)"
    assert.equal(PLAIN, message_of {})
    assert.equal(PLAIN, message_of { __tostring = function() error "no" end })
    assert.equal(PLAIN, message_of { __tostring = function() return {} end })
  end)

  teardown(function() pool:close() end)
end)
