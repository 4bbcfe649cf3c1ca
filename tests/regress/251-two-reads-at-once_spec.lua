-- SPDX-License-Identifier: MIT
-- stream:read("l", "l") that was cancelled between its two lines had thrown the first one away.
local async = require "async"
local futures = require "futures"

local LONG <const> = 200000 -- more than is read at once

local function in_time(seconds, stream, ...)
  return pcall(async.wait_for, stream.read, seconds, stream, ...)
end

describe("a read of several formats", function()
  it("that is cancelled between two of them takes nothing", function()
    async.run(function()
      local p <close> = async.process { "echo first; read x; echo second; read x; printf third", shell = true,
                                        stdin = "pipe", stdout = "pipe" }
      local s = p.stdout
      for _, formats in ipairs { { "l", "l" }, { "L", 3, "a" }, { 2, 2, "l", "l" } } do
        local ok, err = in_time(0.05, s, table.unpack(formats))
        assert.is_true(not ok and futures.is(err, "timeout"))
      end
      p.stdin:write("\n")
      assert.same({ "first", "second\n" }, { s:read("l", "L") })
      p.stdin:write("\n")
      assert.same({ "t", "hird" }, { s:read(1, "a") })
      assert.is_nil(s:read("l", "l"))
    end)
  end)

  it("finds again what has come in many pieces", function()
    async.run(function()
      local p <close> = async.process {
        ("head -c %d /dev/zero | tr '\\0' x; echo; head -c %d /dev/zero | tr '\\0' y; read x; echo"):format(LONG, LONG),
        shell = true, stdin = "pipe", stdout = "pipe",
      }
      local s = p.stdout
      assert.equal("xxx", s:read(3))
      local ok, err = in_time(0.2, s, 100000, "l", "l")
      assert.is_true(not ok and futures.is(err, "timeout"))
      p.stdin:write("\n")
      local a, b, c, d = s:read(100000, "l", "l", "a")
      assert.same({ 100000, LONG - 100003, LONG, "" }, { #a, #b, #c, d or "" })
      assert.equal(("x"):rep(100000), a)
      assert.is_nil(b:find("[^x]"))
      assert.is_nil(c:find("[^y]"))
    end)
  end)
end)
