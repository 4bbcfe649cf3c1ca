-- SPDX-License-Identifier: MIT
-- The future and its errors, settled by hand. What pools do with futures is in executor_*_spec.lua.
local futures = require "futures"

local function settled_with(...)
  local f = futures.new()
  f:set_result(...)
  return f
end

local function failed_with(err, traceback)
  local f = futures.new()
  f:set_error(err, traceback)
  return f
end

local function cancelled_future()
  local f = futures.new()
  f:cancel()
  return f
end

-- Runs fn with warn() recording, and gives what was warned.
local function warnings_of(fn)
  local warned = {}
  local original = warn
  _G.warn = function(...) warned[#warned + 1] = table.concat { ... } end
  local ok, err = pcall(fn)
  _G.warn = original
  if not ok then error(err, 0) end
  return warned
end

local function raised_by(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

local function collect_all()
  collectgarbage()
  collectgarbage()
end

describe("a future", function()
  it("FU-01 calls back with itself after set_result", function()
    local f, seen, inside = futures.new(), {}, nil
    f:add_done_callback(function(g)
      seen[#seen + 1] = g
      inside = g:result()
    end)
    f:set_result(5)
    assert.same({ f }, seen)
    assert.equal(5, inside)
  end)

  it("FU-03 calls back after a cancel", function()
    local f, seen = futures.new(), nil
    f:add_done_callback(function(g) seen = g:cancelled() end)
    assert.is_true(f:cancel())
    assert.is_true(seen)
  end)

  it("FU-05 FU-07 calls back at once when settled already", function()
    local n = 0
    local function count() n = n + 1 end
    settled_with(1):add_done_callback(count)
    assert.equal(1, n)
    local f = cancelled_future()
    f:add_done_callback(function(g)
      assert.is_true(g:cancelled())
      count()
    end)
    assert.equal(2, n)
    local g = failed_with("x")
    g:add_done_callback(count)
    g:cancel()
    assert.equal(3, n)
  end)

  it("FU-09 calls back in order, once each", function()
    local f, order = futures.new(), {}
    for _, name in ipairs { "a", "b", "c" } do
      f:add_done_callback(function() order[#order + 1] = name end)
    end
    f:set_result()
    assert.same({ "a", "b", "c" }, order)
  end)

  it("FU-11 lets a callback remove others during the run", function()
    local f, calls = futures.new(), {}
    local function second() calls[#calls + 1] = "second" end
    f:add_done_callback(function(g)
      calls[#calls + 1] = "first"
      assert.equal(2, g:remove_done_callback(second))
    end)
    f:add_done_callback(second)
    f:add_done_callback(second)
    f:add_done_callback(function() calls[#calls + 1] = "third" end)
    f:set_result()
    assert.same({ "first", "third" }, calls)
  end)

  it("removes callbacks and says how many", function()
    local f, n = futures.new(), 0
    local function count() n = n + 1 end
    assert.equal(0, f:remove_done_callback(count))
    f:add_done_callback(count)
    assert.equal(1, f:remove_done_callback(count))
    f:add_done_callback(count)
    f:add_done_callback(print)
    f:add_done_callback(count)
    assert.equal(2, f:remove_done_callback(count))
    f:remove_done_callback(print)
    f:set_result()
    assert.equal(0, n)
  end)

  it("warns of an error in a callback and goes on", function()
    local f, called = futures.new(), false
    f:add_done_callback(function() error("oops") end)
    f:add_done_callback(function() called = true end)
    local warned = warnings_of(function() f:set_result(1) end)
    assert.is_true(called)
    assert.equal(1, #warned)
    assert.matches("^parhost: error in a callback of parhost.Future: .* oops$", warned[1])
  end)

  it("runs callbacks one after another, also over chains of any length", function()
    local n = 100000
    local chain = {}
    for i = 1, n do chain[i] = futures.new() end
    for i = 1, n - 1 do
      chain[i]:add_done_callback(function() chain[i + 1]:set_result(i + 1) end)
    end
    chain[1]:set_result(1)
    assert.equal(n, chain[n]:result(0))
    local depth, deepest, left = 0, 0, n
    local function again(f)
      depth = depth + 1
      deepest = math.max(deepest, depth)
      left = left - 1
      if left > 0 then f:add_done_callback(again) end
      depth = depth - 1
    end
    chain[1]:add_done_callback(again)
    assert.equal(0, left)
    assert.is_true(deepest < 100)
  end)

  it("FU-13 shows its state", function()
    local f = futures.new()
    assert.matches("^parhost%.Future: 0x%x+ state=pending$", tostring(f))
    f:set_running_or_notify_cancel()
    assert.matches("state=running$", tostring(f))
    f:set_result(1)
    assert.matches("state=done returned number$", tostring(f))
    assert.matches("state=done returned nothing$", tostring(settled_with()))
    assert.matches("state=done returned 2 values$", tostring(settled_with(1, 2)))
    assert.matches("state=cancelled$", tostring(cancelled_future()))
    local failed = failed_with("x")
    assert.matches("state=failed raised string$", tostring(failed))
    failed:cancel()
  end)

  it("FU-15 FU-17 knows what state it is in", function()
    local f = futures.new()
    assert.same({ false, false, false, "pending" }, { f:done(), f:running(), f:cancelled(), f:state() })
    f:set_running_or_notify_cancel()
    assert.same({ false, true, false, "running" }, { f:done(), f:running(), f:cancelled(), f:state() })
    assert.is_false(f:cancel())
    assert.is_false(f:cancel { force = true })
    f:set_result()
    assert.same({ true, false, false, "done" }, { f:done(), f:running(), f:cancelled(), f:state() })
    f = cancelled_future()
    assert.same({ true, false, true, "cancelled" }, { f:done(), f:running(), f:cancelled(), f:state() })
    f = failed_with("x")
    assert.same({ true, false, false, "failed" }, { f:done(), f:running(), f:cancelled(), f:state() })
    assert.is_false(f:cancel())
    assert.is_nil(f:name())
  end)

  it("FU-21 has error() as Python has exception()", function()
    local f = futures.new()
    assert.is_true(futures.is(raised_by(f.error, f, 0), "timeout"))
    assert.is_true(futures.is(raised_by(f.error, f, -1), "timeout"))
    f = cancelled_future()
    assert.is_true(futures.is(raised_by(f.error, f), "cancelled"))
    assert.same({ "x", true }, { failed_with("x"):error() })
    local err, failed = settled_with(1):error()
    assert.is_nil(err)
    assert.is_false(failed)
    err, failed = failed_with(nil):error()
    assert.is_nil(err)
    assert.is_true(failed)
  end)

  it("FU-23 settles once", function()
    local f = settled_with(1)
    for _, again in ipairs { f.set_result, f.set_error } do
      local err = raised_by(again, f, 2)
      assert.is_true(futures.is(err, "invalid_state"))
      assert.equal("done", err.state)
      assert.matches("already done: parhost.Future: 0x%x+", err.message)
    end
    assert.equal(1, f:result())
    assert.is_true(futures.is(raised_by(f.set_running_or_notify_cancel, f), "invalid_state"))
  end)

  it("FU-25 tells an executor that it was cancelled", function()
    assert.is_false(cancelled_future():set_running_or_notify_cancel())
    local f = futures.new()
    assert.is_true(f:set_running_or_notify_cancel())
    assert.is_true(f:running())
    assert.equal("running", raised_by(f.set_running_or_notify_cancel, f).state)
  end)

  it("FU-27 keeps all values and their count", function()
    for _, method in ipairs { "result", "outcome" } do
      local extra = method == "outcome" and 1 or 0
      local function count(f) return select("#", f[method](f)) - extra end
      assert.equal(3, count(settled_with(1, nil, nil)))
      assert.equal(0, count(settled_with()))
      assert.equal(1, count(settled_with(nil)))
    end
    local f = settled_with(nil, 2)
    assert.same({ n = 2, nil, 2 }, table.pack(f:result()))
    assert.same({ n = 2, nil, 2 }, table.pack(f:result()))
  end)

  it("never replaces the error value", function()
    local object = setmetatable({}, { __newindex = error, __index = error, __metatable = false })
    for _, value in ipairs { "text\n\0more", 7, true, object, print } do
      local f = failed_with(value, "tb")
      assert.is_true(rawequal(value, raised_by(f.result, f)))
      local ok, err, traceback = f:outcome()
      assert.is_false(ok)
      assert.is_true(rawequal(value, err))
      assert.equal("tb", traceback)
    end
    assert.same({ n = 2, false, false }, table.pack(pcall(function() failed_with(false):result() end)))
    assert.same({ n = 2, false, nil }, table.pack(pcall(function() failed_with(nil):result() end)))
  end)

  it("waits with a timeout, and not longer than it must", function()
    local f = futures.new()
    assert.is_false(f:wait(0))
    assert.is_false(f:wait(-5))
    assert.is_false(f:wait(0.01))
    local ok, err = f:outcome(0.01)
    assert.is_false(ok)
    assert.is_true(futures.is(err, "timeout"))
    assert.equal(0.01, err.seconds)
    assert.equal("the future has not finished within 0.01 s", err.message)
    assert.is_true(settled_with(1):wait(0))
    assert.equal(1, settled_with(1):result(math.huge))
  end)

  it("raises deadlock when nothing could settle it", function()
    local f = futures.new()
    assert.is_true(futures.is(raised_by(f.result, f), "deadlock"))
    assert.is_true(futures.is(raised_by(f.wait, f), "deadlock"))
    assert.is_true(futures.is(select(2, f:outcome()), "deadlock"))
    assert.is_true(futures.is(raised_by(futures.wait, { f }), "deadlock"))
    assert.is_true(futures.is(raised_by(futures.as_completed { f }), "deadlock"))
  end)

  it("takes reasons for a cancel", function()
    local f = futures.new()
    assert.is_true(f:cancel { reason = "my message" })
    assert.is_true(f:cancel())
    local err = raised_by(f.result, f)
    assert.is_true(futures.is(err, "cancelled"))
    assert.equal("my message", err.reason)
    assert.equal("explicit", err.source)
    assert.equal(err, raised_by(f.result, f))
  end)

  it("refuses misuse with the words of Lua", function()
    local f = futures.new()
    local cases = {
      { "bad argument #1 to 'result' %(number expected, got NaN%)", f.result, f, 0 / 0 },
      { "bad argument #1 to 'wait' %(number expected, got string%)", f.wait, f, "1" },
      { "bad argument #1 to 'add_done_callback' %(function expected, got nil%)", f.add_done_callback, f },
      { "calling 'result' on bad self %(parhost.Future expected, got nil%)", f.result },
      { "calling 'done' on bad self %(parhost.Future expected, got table%)", f.done, {} },
      { "bad argument #1 to 'cancel' %(unknown option 'forse'; did you mean 'force'%?%)",
        f.cancel, f, { forse = true } },
      { "bad argument #1 to 'cancel' %(option 'grace': number >= 0 expected, got %-1%)",
        f.cancel, f, { grace = -1 } },
      { "bad argument #2 to 'set_error' %(string expected, got number%)", f.set_error, f, "x", 5 },
    }
    for _, case in ipairs(cases) do
      assert.matches("^.*tests/spec/futures_spec.lua:%d+: " .. case[1] .. "$", raised_by(table.unpack(case, 2)))
    end
  end)

  it("is small and quick", function()
    local n = 100000
    local list = table.move({}, 1, n, 1, {})
    for i = 1, n do list[i] = false end
    collect_all()
    local before = collectgarbage("count")
    for i = 1, n do list[i] = futures.new() end
    collect_all()
    assert.is_true((collectgarbage("count") - before) * 1024 / n < 200)
  end)
end)

describe("a failed future nobody looked at", function()
  after_each(function() futures.on_unhandled(nil) end)

  it("FU-29 is reported once, when it is collected", function()
    local reports = {}
    futures.on_unhandled(function(f, value, traceback)
      reports[#reports + 1] = { tostring(f):match("state=.*"), value, traceback }
    end)
    failed_with("boom", "tb")
    collect_all()
    collect_all()
    assert.same({ { "state=failed raised string", "boom", "tb" } }, reports)
  end)

  it("is not reported when somebody looked (FU-31: or cancelled it)", function()
    local n = 0
    futures.on_unhandled(function() n = n + 1 end)
    for _, look in ipairs { "outcome", "error", "cancel", "traceback" } do
      local f = failed_with("x")
      f[look](f)
    end
    pcall(function() failed_with("x"):result() end)
    cancelled_future()
    collect_all()
    assert.equal(0, n)
  end)

  it("is reported through warn by default", function()
    local warned = warnings_of(function()
      failed_with("boom", "stack traceback:\n\tplace")
      failed_with(setmetatable({}, { __tostring = function() error("no text") end }))
      collect_all()
    end)
    table.sort(warned)
    assert.same({
      "parhost: nobody looked at the error of a task: (error object is a table value)",
      "parhost: nobody looked at the error of a task: boom\nworker stack traceback:\n\tplace",
    }, warned)
  end)

  it("warns when the function for it fails", function()
    futures.on_unhandled(function() error("not again", 0) end)
    local warned = warnings_of(function()
      failed_with("boom")
      collect_all()
    end)
    assert.same({ "parhost: error in the on_unhandled function: not again" }, warned)
  end)
end)

describe("an error object", function()
  it("has kind, message and fields", function()
    local err = futures.error("os", "cannot open\n 'x'", { code = "ENOENT", kind = "no" })
    assert.equal("os", err.kind)
    assert.equal("cannot open 'x'", err.message)
    assert.equal("ENOENT", err.code)
    assert.equal("parhost.os: cannot open 'x'", tostring(err))
    assert.equal(futures.Error, getmetatable(err))
    assert.is_true(futures.is(err))
    assert.is_true(futures.is(err, "os"))
    assert.is_false(futures.is(err, "http"))
    for _, other in ipairs { "os", {}, 5, print } do assert.is_false(futures.is(other, "os")) end
    assert.matches("bad argument #1 to 'error' %(string expected, got nil%)", raised_by(futures.error))
    assert.matches("bad argument #2 to 'error' %(string expected, got nil%)", raised_by(futures.error, "os"))
  end)

  local a, b, c = futures.error("os", "a"), "text", futures.error("http", "c")
  local inner = futures.error("group", "inner", { errors = { b, c } })
  local group = futures.error("group", "outer", { errors = { a, inner } })

  it("that is a group can be flattened", function()
    assert.same({ a, b, c }, group:flatten())
    assert.same({ a }, a:flatten())
    local loop = futures.error("group", "loop", { errors = { a } })
    loop.errors[2] = loop
    assert.same({ a }, loop:flatten())
  end)

  it("that is a group can be split, keeping its shape", function()
    local http, rest = group:split("http")
    assert.equal("outer", http.message)
    assert.equal("inner", http.errors[1].message)
    assert.same({ c }, http:flatten())
    assert.same({ a, b }, rest:flatten())
    local none, all = group:split(function() return false end)
    assert.is_nil(none)
    assert.same({ a, b, c }, all:flatten())
    assert.same({ group, nil }, { group:split("group") })
    assert.same({ a, nil }, { a:split("os") })
  end)

  it("that is a group knows what it contains", function()
    assert.is_true(group:contains("http"))
    assert.is_false(group:contains("timeout"))
    assert.is_true(group:contains(function(err) return err == "text" end))
    assert.is_true(a:contains("os"))
    assert.matches("bad argument #1 to 'contains'", raised_by(group.contains, group, 5))
  end)
end)

describe("what is known of an error", function()
  it("is found by the error", function()
    local err = futures.error("os", "x")
    local f = failed_with(err, "stack traceback:\n\tfar away")
    f:outcome()
    assert.equal("stack traceback:\n\tfar away", futures.traceback_of(err))
    assert.equal("stack traceback:\n\tfar away", err.traceback)
    assert.equal("stack traceback:\n\tfar away", f:traceback())
    assert.is_nil(settled_with(1):traceback())
  end)

  it("is found for the last few plain values that were raised", function()
    assert.is_nil(futures.traceback_of("some text"))
    local f = failed_with("some text", "stack traceback:\n\tthere")
    pcall(f.result, f)
    assert.equal("stack traceback:\n\tthere", futures.traceback_of("some text"))
    for i = 1, 20 do
      local g = failed_with("other" .. i, "tb")
      g:outcome()
    end
    assert.is_nil(futures.traceback_of("some text"))
    assert.equal("tb", futures.traceback_of("other20"))
  end)

  it("reads as the lines between message and local traceback", function()
    local f = futures.new()
    f:_deliver(0, false, "boom", "stack traceback:\n\tscripts/cpu.lua:14: in function 'fib'", {
      task = "fib (scripts/cpu.lua:14)", id = 37, pool = "p", backend = "proc_pool", worker = 2, pid = 4711,
      seconds = 1.2041, submitted = "scripts/cpu.lua:31: in main chunk",
    })
    local _, err = f:outcome()
    assert.equal([[
  in task 'fib' (#37) of proc_pool "p", worker 2 (pid 4711), after 1.204 s
worker stack traceback:
	scripts/cpu.lua:14: in function 'fib'
submitted at:
	scripts/cpu.lua:31: in main chunk]], futures.describe(err))
    assert.is_nil(futures.describe("never seen"))
  end)

  it("TR-05 is passed on in order when the error goes through two pools", function()
    local trace = require "futures.trace"
    local err = futures.error("os", "deep")
    local inner = futures.new()
    inner:_deliver(0, false, err, "stack traceback:\n\tinner.lua:1: in function 'b'",
      { task = "b (inner.lua:1)", id = 1, pool = "B", backend = "proc_pool", submitted = "outer.lua:2" })
    inner:outcome()
    local traceback = trace.chain(err, "stack traceback:\n\touter.lua:2: in function 'a'")
    local received = futures.error("os", "deep")
    local outer = futures.new()
    outer:_deliver(0, false, received, traceback,
      { task = "a (outer.lua:1)", id = 9, pool = "A", backend = "proc_pool", submitted = "main.lua:3" })
    outer:outcome()
    assert.equal([[
  in task 'b' (#1) of proc_pool "B"
worker stack traceback:
	inner.lua:1: in function 'b'
submitted at:
	outer.lua:2
  in task 'a' (#9) of proc_pool "A"
worker stack traceback:
	outer.lua:2: in function 'a'
submitted at:
	main.lua:3]], futures.describe(received))
  end)
end)
