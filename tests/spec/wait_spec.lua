-- SPDX-License-Identifier: MIT
-- futures.wait and futures.as_completed over futures settled by hand.
local futures = require "futures"

local function done(value)
  local f = futures.new()
  f:set_result(value)
  return f
end

local function failed(err)
  local f = futures.new()
  f:set_error(err)
  f:error()
  return f
end

local function cancelled()
  local f = futures.new()
  f:cancel()
  return f
end

local function raised_by(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

describe("wait", function()
  it("WA-01 counts a future that is there twice once", function()
    local f = done(1)
    assert.same({ { f }, {} }, { futures.wait { f, f } })
  end)

  it("WA-03 returns at once when one is settled and that is enough", function()
    local a, b, c = futures.new(), done(1), cancelled()
    local settled, others = futures.wait({ a, b, c }, { return_when = "first_completed" })
    assert.same({ b, c }, settled)
    assert.same({ a }, others)
  end)

  it("WA-05 does not take a cancelled future for an error", function()
    local a, b, c = futures.new(), cancelled(), done(1)
    local settled, others = futures.wait({ a, b, c }, { return_when = "first_error", timeout = 0 })
    assert.same({ b, c }, settled)
    assert.same({ a }, others)
    local d = failed("x")
    assert.same({ { b, c, d }, { a } }, { futures.wait({ a, b, c, d }, { return_when = "first_error" }) })
  end)

  it("WA-07 gives all of them, whatever became of them", function()
    local list = { done(1), failed("x"), cancelled() }
    assert.same({ list, {} }, { futures.wait(list) })
    assert.same({ {}, {} }, { futures.wait {} })
    assert.same({ {}, {} }, { futures.wait({}, { return_when = "first_completed" }) })
  end)

  it("never raises on a timeout, and leaves nothing behind", function()
    local f, g = futures.new(), done(1)
    assert.same({ { g }, { f } }, { futures.wait({ f, g }, { timeout = 0.01 }) })
    assert.same({ { g }, { f } }, { futures.wait({ f, g }, { timeout = -1 }) })
    local called = 0
    f:add_done_callback(function() called = called + 1 end)
    f:set_result(1)
    assert.equal(1, called)
  end)

  it("WA-11 refuses what is not an array of futures", function()
    local f = done(1)
    assert.matches("bad argument #1 to 'wait' %(array of futures expected, got parhost.Future%)",
      raised_by(futures.wait, f))
    assert.matches("bad argument #1 to 'wait' %(array of futures expected, got nil%)", raised_by(futures.wait))
    assert.matches("bad argument #1 to 'wait' %(item 2: future expected, got number%)",
      raised_by(futures.wait, { f, 5 }))
    assert.matches("bad argument #2 to 'wait' %(option 'return_when': \"all_completed\", \"first_completed\" or "
      .. "\"first_error\" expected, got \"any\"%)", raised_by(futures.wait, { f }, { return_when = "any" }))
    assert.matches("bad argument #2 to 'wait' %(table of options expected, got number%)",
      raised_by(futures.wait, { f }, 5))
  end)

  it("WA-27 polls with timeout 0", function()
    local f = futures.new()
    assert.same({ {}, { f } }, { futures.wait({ f }, { timeout = 0 }) })
  end)
end)

describe("as_completed", function()
  it("WA-13 yields each once, settled ones first", function()
    local a, b = futures.new(), futures.new()
    local list = { a, cancelled(), failed("x"), b, done(1) }
    local seen = {}
    for f in futures.as_completed(list) do
      seen[#seen + 1] = f
      if #seen == 3 then
        b:set_result(2)
        a:set_result(1)
      end
    end
    assert.same({ list[2], list[3], list[5], b, a }, seen)
  end)

  it("WA-15 WA-19 yields the same object once, however often it is given", function()
    local f, n = done(1), 0
    for g in futures.as_completed { f, f, f } do
      assert.equal(f, g)
      n = n + 1
    end
    assert.equal(1, n)
  end)

  it("WA-17 lets go of what it has yielded", function()
    local list, weak = {}, setmetatable({}, { __mode = "v" })
    for i = 1, 3 do
      list[i] = done({})
      weak[i] = list[i]
    end
    local pending = futures.new()
    list[4] = pending
    local it = futures.as_completed(list)
    list = nil -- luacheck: ignore
    for _ = 1, 3 do it() end
    collectgarbage()
    collectgarbage()
    assert.same({}, weak)
    pending:set_result()
    assert.equal(pending, it())
    assert.is_nil(it())
    assert.is_nil(it())
  end)

  it("raises timeout with what is left, and is over then", function()
    local a, b = futures.new(), done(1)
    local it = futures.as_completed({ a, b }, 0.01)
    assert.equal(b, it())
    local err = raised_by(it)
    assert.is_true(futures.is(err, "timeout"))
    assert.same({ "1 (of 2) futures unfinished", 1, 2, 0.01 },
      { err.message, err.unfinished, err.total, err.seconds })
    assert.is_nil(it())
    assert.is_false(a:done())
  end)

  it("WA-21 does not mind a timeout longer than needed", function()
    local n = 0
    for _ in futures.as_completed({ done(1), done(2) }, 100) do n = n + 1 end
    assert.equal(2, n)
  end)

  it("WA-25 takes more futures during the iteration", function()
    local it = futures.as_completed { done(1) }
    local seen = {}
    for f in it do
      seen[#seen + 1] = f:result()
      if #seen < 5 then it:add(done(#seen + 1)) end
      it:add(f)
    end
    assert.same({ 1, 2, 3, 4, 5 }, seen)
    assert.matches("bad argument #1 to 'add' %(future expected, got number%)", raised_by(it.add, it, 5))
  end)

  it("cancels nothing when the loop is left", function()
    local a, b = done(1), futures.new()
    for f in futures.as_completed { a, b } do
      if f == a then break end
    end
    assert.equal("pending", b:state())
    b:set_result(1)
  end)
end)
