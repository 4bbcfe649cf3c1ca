-- SPDX-License-Identifier: MIT
-- gather, all, race, any, staggered, map; wait and as_completed in tasks.
local async = require "async"
local futures = require "futures"
local virtual = require "tests.spec.support.virtual"

local inside, on_close, raised_by = virtual.it, virtual.on_close, virtual.raised_by

local function after(seconds, ...)
  local values = table.pack(...)
  return function()
    async.sleep(seconds)
    return table.unpack(values, 1, values.n)
  end
end

local function failing(seconds, err)
  return function()
    async.sleep(seconds)
    error(err, 0)
  end
end

local function done(...)
  local f = futures.new()
  f:set_result(...)
  return f
end

-- A function that takes long, and `log` says whether it was cancelled.
local function long(log, name)
  return function()
    local _ <close> = on_close(function(err) log[name] = err and err.source or "ended" end)
    async.sleep(100)
  end
end

describe("gather", function()
  it("GA-01 gives results in the order of the arguments", inside(function()
    local seconds = virtual.seconds(function()
      assert.same({ "a", "b", "c", n = 3 }, async.gather { after(3, "a", "more"), after(1, "b"), done "c" })
    end)
    assert.equal(3, math.floor(seconds + 0.5))
    assert.same({ n = 0 }, async.gather {})
    assert.same({ n = 2 }, async.gather { done(nil), done() })
  end))

  it("GA-03 GA-05 return_errors: entries instead", inside(function()
    local t = async.create_task(async.sleep, 100)
    async.create_task(function() async.sleep(1) t:cancel() end)
    local results = async.gather({ after(2, 1, 2), failing(1, "x"), t }, { return_errors = true })
    assert.same({ ok = true, 1, 2 }, results[1])
    assert.same({ ok = false, "x" }, { ok = results[2].ok, results[2][1] })
    assert.is_false(results[3].ok)
    assert.equal("cancelled", results[3][1].kind)
  end))

  it("GA-07 takes a future several times", inside(function()
    local t = async.create_task(after(1, "v"))
    assert.same({ "v", "v", "v", "v", n = 4 }, async.gather { t, t, t, t })
  end))

  it("GA-11 raises the first error; its own tasks end before", function()
    local log, reported = {}, 0
    futures.on_unhandled(function() reported = reported + 1 end)
    virtual.run(function()
      assert.equal("first", raised_by(async.gather, { failing(1, "first"), failing(1, "second"), long(log, "c") }))
      assert.equal("group", log.c)
    end)
    collectgarbage()
    collectgarbage()
    futures.on_unhandled(nil)
    assert.equal(0, reported)
  end)

  it("cancelled, it cancels its own tasks, and leaves futures alone", inside(function()
    local log = {}
    local t = async.create_task(after(5, "kept"))
    assert.is_false((async.move_on_after(1, async.gather, { long(log, "a"), t })))
    assert.equal("deadline", log.a)
    assert.equal("kept", t:result())
  end))

  it("says what is wrong with its list", inside(function()
    assert.matches("bad argument #1 to 'gather' %(item 2: future or function expected, got number",
      raised_by(async.gather, { print, 5 }))
    assert.matches("bad argument #1 to 'gather' %(array", raised_by(async.gather, 5))
  end))

  it("works in plain code", function()
    assert.same({ 1, 2, n = 2 }, async.gather { after(0.001, 1), after(0, 2) })
  end)
end)

describe("all, race and any", function()
  it("all gives the values", inside(function()
    assert.same({ 1, nil, 3, n = 3 }, table.pack(async.all(after(2, 1), done(nil), after(1, 3))))
  end))

  it("race: the first that ends; the others are cancelled and awaited", inside(function()
    local log = {}
    local loser = async.create_task(long(log, "task"))
    assert.same({ 2, "x", nil, n = 3 }, table.pack(async.race { long(log, "function"), after(1, "x", nil), loser }))
    assert.same({ ["function"] = "explicit", task = "explicit" }, { ["function"] = "explicit", task = log.task })
    assert.equal("group", log["function"])
    assert.is_true(loser:cancelled())
    assert.equal("lost", raised_by(async.race, { after(2), failing(1, "lost") }))
    assert.matches("at least one", raised_by(async.race, {}))
  end))

  it("GA-15 any: the first success; all failing gives a group in order", inside(function()
    local log = {}
    assert.same({ 3, "ok" }, { async.any { failing(1, "a"), long(log, "b"), after(2, "ok") } })
    assert.equal("group", log.b)
    local err = raised_by(async.any, { failing(2, "a"), failing(1, "b") })
    assert.equal("group", err.kind)
    assert.same({ "a", "b" }, err.errors)
  end))

  it("GA-13 staggered", inside(function()
    local log = {}
    assert.is_nil(async.staggered({}, 1))
    assert.same({ 1, "x" }, { async.staggered({ after(0, "x"), long(log, "never") }, 1) })
    assert.is_nil(log.never)
    assert.equal(0, math.floor(virtual.seconds(function()
      assert.same({ 2, "y" }, { async.staggered({ failing(0, "a"), after(0, "y") }, 10) })
    end)))
    assert.same({ 2, "z" }, { async.staggered({ long(log, "slow"), after(1, "z") }, 0.1) })
    assert.equal("group", log.slow)
    local err = raised_by(async.staggered, { failing(0, "a"), failing(0, "b") }, 1)
    assert.same({ "a", "b" }, err.errors)
  end))
end)

describe("map", function()
  local function collect(...)
    local list = {}
    for i, v, w in async.map(...) do list[#list + 1] = { i, v, w } end
    return list
  end

  it("gives results in input order, index first", inside(function()
    local seconds = virtual.seconds(function()
      local list = collect(function(n) async.sleep(n) return n * 10, "w" end, { 3, 1, 2 })
      assert.same({ { 1, 30, "w" }, { 2, 10, "w" }, { 3, 20, "w" } }, list)
    end)
    assert.equal(3, math.floor(seconds + 0.5))
  end))

  it("or as they come", inside(function()
    local list = collect(function(n) async.sleep(n) return n end, { 3, 1, 2 }, { ordered = false })
    assert.same({ { 2, 1 }, { 3, 2 }, { 1, 3 } }, list)
  end))

  it("runs at most max_concurrency at a time", inside(function()
    local running, most = 0, 0
    local n = 0
    for _ in async.map(function()
      running = running + 1
      most = math.max(most, running)
      async.sleep(1)
      running = running - 1
    end, function() n = n + 1 return n <= 20 and n or nil end, { max_concurrency = 3 }) do async.checkpoint() end
    assert.equal(3, most)
    assert.equal(21, n)
  end))

  it("reads endless input only as results are taken", inside(function()
    local pulled = 0
    for i in async.map(function(n) return n end, function() pulled = pulled + 1 return pulled end,
                       { max_concurrency = 2 }) do
      if i == 100 then break end
    end
    assert.is_true(pulled <= 110)
  end))

  it("input iterators may wait", inside(function()
    local input = coroutine.wrap(function()
      for i = 1, 3 do
        async.sleep(1)
        coroutine.yield(i)
      end
    end)
    assert.same({ { 1, 1 }, { 2, 2 }, { 3, 3 } }, collect(function(n) return n end, input))
  end))

  it("takes objects that can be called for input", inside(function()
    local queue = async.queue()
    queue:put "a"
    queue:put "b"
    queue:shutdown()
    assert.same({ { 1, "a" }, { 2, "b" } }, collect(function(item) return item end, queue:items()))
  end))

  it("raises an error at its position, and can go on behind it", inside(function()
    local it = async.map(function(n) if n == 2 then error("two", 0) end return n end, { 1, 2, 3 })
    assert.same({ 1, 1 }, { it:next() })
    assert.equal("two", raised_by(it.next, it))
    assert.same({ 3, 3 }, { it:next() })
    assert.is_nil(it:next())
    assert.is_nil(it:next())
    assert.equal("input", raised_by(collect, print, function() error("input", 0) end))
  end))

  it("retries", inside(function()
    local tries = 0
    assert.same({ { 1, "ok" } }, collect(function()
      tries = tries + 1
      if tries < 3 then error "not yet" end
      return "ok"
    end, { 1 }, { retries = 2 }))
    assert.equal(3, tries)
  end))

  it("retries what is worth it", inside(function()
    local tries = 0
    local function fail(name)
      tries = tries + 1
      error(name, 0)
    end
    local function map(...)
      local it <close> = async.map(fail, { ... }, { retries = 2, max_concurrency = 1, retry_if = function(err)
        return err ~= "lost" and (err == "busy" or error "oops")
      end })
      return raised_by(it.next, it)
    end
    assert.same({ "busy", 3 }, { map "busy", tries })
    assert.same({ "lost", 4 }, { map "lost", tries })
    local warned = virtual.warnings_of(function() assert.same({ "odd", 5 }, { map "odd", tries }) end)
    assert.equal(1, #warned)
    assert.matches("^parhost: error in a retry_if function: .*oops$", warned[1])
    assert.matches("bad argument #3 to 'map' %(option 'retry_if': given without retries%)",
      raised_by(async.map, print, {}, { retry_if = print }))
  end))

  it("has time limits for items: errors, or left out", inside(function()
    local function sleep(n) async.sleep(n) return n end
    assert.equal("timeout", raised_by(collect, sleep, { 1, 10 }, { timeout = 2 }).kind)
    for _, ordered in ipairs { true, false } do
      assert.same({ { 1, 1 }, { 3, 2 } },
        collect(sleep, { 1, 20, 2, 30 }, { timeout = 3, on_timeout = "skip", ordered = ordered }))
    end
  end))

  it("keeps to a rate", inside(function()
    local seconds = virtual.seconds(collect, function() end, { 1, 2, 3, 4, 5 }, { rate = 2 })
    assert.equal(2, math.floor(seconds + 0.01))
  end))

  it("leaving the loop cancels what runs, and waits for it", inside(function()
    local closed = 0
    for i in async.map(function(n)
      local _ <close> = on_close(function() closed = closed + 1 end)
      async.sleep(n)
    end, { 1, 100, 100 }) do
      if i == 1 then break end
    end
    assert.equal(3, closed)
    assert.is_false((async.move_on_after(1, collect, async.sleep, { 100 })))
  end))

  it("collects; works in plain code; checks its arguments", function()
    assert.same({ 2, 4, n = 2 }, async.map(function(n) async.sleep(0.001) return 2 * n end, { 1, 2 }):collect())
    assert.matches("bad argument #1 to 'map'", raised_by(async.map, 5))
    assert.matches("bad argument #2 to 'map'", raised_by(async.map, print, 5))
    assert.matches("unknown option 'max'", raised_by(async.map, print, {}, { max = 5 }))
  end)
end)

describe("futures.wait and as_completed in tasks", function()
  it("GA-17 first_completed, all_completed, first_error", inside(function()
    local a, b = async.create_task(after(1, "a")), async.create_task(failing(2, "b"))
    local c = async.create_task(after(3, "c"))
    assert.same({ { a }, { b, c } }, { async.wait({ a, b, c }, { return_when = "first_completed" }) })
    assert.same({ { a, b }, { c } }, { async.wait({ a, b, c }, { return_when = "first_error" }) })
    assert.same({ { a, b }, { c } }, { async.wait({ a, b, c }, { timeout = 0.5 }) })
    assert.same({ { a, b, c }, {} }, { async.wait { a, b, c } })
    assert.equal("b", (b:error()))
  end))

  it("as_completed yields in the order of completion, and raises timeout", inside(function()
    local a, b = async.create_task(after(2)), async.create_task(after(1))
    local order = {}
    for f in async.as_completed { a, b } do order[#order + 1] = f end
    assert.same({ b, a }, order)
    local err = raised_by(function()
      for _ in async.as_completed({ a, async.create_task(after(9)) }, 1) do async.checkpoint() end
    end)
    assert.same({ "timeout", 1, 2 }, { err.kind, err.unfinished, err.total })
  end))

  it("result and wait have timeouts, by the clock of the run", inside(function()
    local t = async.create_task(after(10, "x"))
    assert.is_false(t:wait(1))
    assert.is_false(t:wait(0))
    assert.equal("timeout", raised_by(t.result, t, 1).kind)
    assert.is_false((t:outcome(-1)))
    assert.equal("x", t:result(100))
  end))
end)
