-- SPDX-License-Identifier: MIT
-- What `communicate` had not written when its time was up, or it was cancelled, was lost: the next call closed the child's
-- stdin behind a part of the input. A second input was dropped without a word.
local async = require "async"
local futures = require "futures"

local SIZE <const> = 8 << 20 -- more than a pipe holds
local INPUT <const> = ("0123456789abcdef"):rep(SIZE // 16)

-- Reads nothing before the file is there.
local function counter(gate)
  local wait = ("while [ ! -e %s ]; do sleep 0.01; done; wc -c"):format(gate)
  return async.process { wait, shell = true, stdin = "pipe", stdout = "pipe" }
end

describe("communicate", function()
  local gate

  before_each(function()
    gate = os.tmpname()
    os.remove(gate)
  end)
  after_each(function() os.remove(gate) end)

  local function open_gate() assert(io.open(gate, "w")):close() end

  it("goes on with its input after a timeout", function()
    local p <close> = counter(gate)
    for i = 1, 2 do
      local ok, err = pcall(p.communicate, p, i == 1 and INPUT or nil, 0.01)
      assert.is_true(not ok and futures.is(err, "timeout"))
    end
    local ok, err = pcall(p.communicate, p, "more")
    assert.is_true(not ok and futures.is(err, "invalid_state"))
    open_gate()
    assert.equal(SIZE, math.tointeger(tonumber((p:communicate()))))
  end)

  it("goes on with its input after a cancellation", function()
    async.run(function()
      local p <close> = counter(gate)
      assert.is_false((async.move_on_after(0.01, p.communicate, p, INPUT)))
      open_gate()
      assert.equal(SIZE, math.tointeger(tonumber((p:communicate()))))
    end)
  end)

  it("takes no input behind the end of the input", function()
    local p <close> = async.process { "cat", stdin = "pipe", stdout = "pipe" }
    assert.equal("x", (p:communicate("x")))
    local ok, err = pcall(p.communicate, p, "y")
    assert.is_false(ok)
    assert.equal("parhost.closed: stdin of 'cat' is closed", tostring(err))
    assert.equal("", (p:communicate("")))
  end)
end)

describe("a process", function()
  it("is read with formats of Lua 5.1, too, and names the signal that was meant", function()
    local p <close> = async.process { "printf", "a\\nb\\nc", stdout = "pipe" }
    assert.same({ "a", "b\n", "c" }, { p:read("*l", "*L", "*a") })
    local ok, err = pcall(p.signal, p, "TERM")
    assert.is_false(ok)
    assert.matches("unknown signal 'TERM'; did you mean 'SIGTERM'?", err, 1, true)
    assert.matches("unknown signal 'X'%)$", select(2, pcall(p.signal, p, "X")))
  end)
end)
