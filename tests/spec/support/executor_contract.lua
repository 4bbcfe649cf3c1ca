-- SPDX-License-Identifier: MIT
-- What every executor must do, written once. Called with a constructor; `has` says what the backend is able to do:
--   workers = true: tasks run beside the caller.
local assert = require "luassert"
local busted = require "busted"
local futures = require "futures"
local gate = require "support.gate"
local parhost = require "parhost"

local describe, it = busted.describe, busted.it

-- Tasks: functions of this file, as busted gives the spec files an environment of their own.
local function power(a, b) return a ^ b end
local function add(a, b) return a + b end
local function divmod(a, b) return a // b, a % b end
local function same(...) return ... end
local function fail(err) error(err, 0) end
local function pass(path) return gate.pass(path) end
local function fail_here() error("here") end

local function raised_by(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

local function assert_kind(kind, err)
  assert.is_true(futures.is(err, kind), ("%s expected, got %s"):format(kind, tostring(err)))
end

local function count_states(list)
  local counts = {}
  for _, f in ipairs(list) do counts[f:state()] = (counts[f:state()] or 0) + 1 end
  return counts
end

local contract = {}

function contract.submit(new)
  it("EX-01 runs a function elsewhere and gives its result", function()
    local pool <close> = new(2)
    local f = pool:submit(power, 2, 8)
    assert.equal(256.0, f:result())
    assert.is_true(f:done())
    assert.equal(256.0, f:result())
  end)

  it("EX-03 refuses what is no function, and stays usable", function()
    local pool <close> = new(1)
    assert.matches("bad argument #1 to 'submit' %(function expected.*got no value%)", raised_by(pool.submit, pool))
    assert.matches("bad argument #1 to 'submit' %(function expected.*got number%)", raised_by(pool.submit, pool, 42))
    assert.matches("bad argument #1 to 'submit' %(function expected.*got \"x\"%)", raised_by(pool.submit, pool, "x"))
    assert.equal(3, pool:submit(add, 1, 2):result())
  end)

  it("takes C functions by name and functions of modules", function()
    local pool <close> = new(1)
    assert.equal("XY", pool:submit(string.upper, "xy"):result())
    assert.equal("XY", pool:submit("string:upper", "xy"):result())
    local ok, err = pool:submit("string:no_such"):outcome()
    assert.is_false(ok)
    assert.matches("no function 'no_such'", tostring(err))
  end)

  it("FU-27 TH-09 keeps all values and takes many arguments", function()
    local pool <close> = new(1)
    assert.same({ n = 3, 1 }, table.pack(pool:submit(same, 1, nil, nil):result()))
    assert.same({ n = 0 }, table.pack(pool:submit(same):result()))
    local args = {}
    for i = 1, 250 do args[i] = i end
    assert.same(args, { pool:submit(same, table.unpack(args)):result() })
  end)

  it("raises not_serializable at the call, with the path", function()
    local pool <close> = new(1)
    local err = raised_by(pool.submit, pool, same, 1, { conn = io.stdout })
    assert_kind("not_serializable", err)
    assert.equal("args[2].conn", err.path)
    assert.equal(1, pool:submit(same, 1):result())
  end)

  it("EX-45 TR-07 gives the error of a task unchanged, and goes on", function()
    local pool <close> = new(1)
    for _, value in ipairs { "a\nb\0c", 42, true } do
      local f = pool:submit(fail, value)
      assert.is_true(rawequal(value, raised_by(f.result, f)))
      assert.is_true(rawequal(value, raised_by(f.result, f)))
    end
    assert.same({ n = 3, false, nil, "string" }, (function(ok, err, tb)
      return { n = 3, ok, err, type(tb) }
    end)(pool:submit(fail, nil):outcome()))
    assert.same({ 1, 2 }, raised_by(function() pool:submit(fail, { 1, 2 }):result() end))
    assert.equal(3, pool:submit(add, 1, 2):result())
  end)

  it("TR-01 keeps the traceback of the worker", function()
    local pool <close> = new { max_workers = 1, name = "P" }
    local f = pool:submit(fail_here)
    local ok, err, traceback = f:outcome()
    assert.is_false(ok)
    assert.matches("executor_contract.lua:%d+: here$", err)
    assert.matches("executor_contract.lua:%d+: in", traceback)
    assert.equal(traceback, f:traceback())
    assert.equal(traceback, futures.traceback_of(err))
    local text = futures.describe(err)
    assert.matches("in task 'fail_here' %(#%d+%) of [%w_]+ \"P\"", text)
    assert.matches("worker stack traceback:\n\t", text)
    assert.matches("submitted at:\n\t[^\n]*executor_contract.lua:%d+: in ", text)
  end)

  it("names tasks", function()
    local pool <close> = new { max_workers = 1, name = "P" }
    assert.equal("P#1", pool:submit(same):name())
    local f = pool:with { name = "special" }:submit(fail, "named")
    assert.equal("special", f:name())
    f:outcome()
    assert.matches("in task 'special'", futures.describe("named"))
  end)

  it("EX-41 does not mix the results of pools", function()
    local a <close> = new(2)
    local b <close> = new(2)
    local list = {}
    for i = 1, 40 do list[i] = (i % 2 == 0 and a or b):submit(add, i, 0) end
    for i = 40, 1, -1 do assert.equal(i, list[i]:result()) end
  end)

  it("EX-43 can submit from callbacks, in chains", function()
    local pool <close> = new(2)
    local order = { {}, {}, {} }
    local function continue(chain, i)
      pool:submit(same, i):add_done_callback(function(f)
        table.insert(order[chain], (f:result()))
        if i < 100 then continue(chain, i + 1) end
      end)
    end
    for chain = 1, 3 do continue(chain, 1) end
    while #order[1] + #order[2] + #order[3] < 300 do assert.is_true(pool:drain(20)) end
    for chain = 1, 3 do
      for i = 1, 100 do assert.equal(i, order[chain][i]) end
    end
  end)

  it("EX-67 does not run a task again after an error, unless told to", function()
    local pool <close> = new(1)
    local asked = 0
    assert.equal("no", raised_by(function() pool:with { retries = 3 }:submit(fail, "no"):result() end))
    local view = pool:with { retries = 3, retry_if = function(err)
      asked = asked + 1
      return err == "again" and asked < 3
    end }
    local f = view:submit(fail, "again")
    assert.equal("again", raised_by(f.result, f))
    assert.equal(3, asked)
    assert.equal("other", raised_by(function() view:submit(fail, "other"):result() end))
    assert.equal(4, asked)
    assert.equal(7, view:submit(same, 7):result())
  end)

  it("EX-33 keeps no reference to arguments", function()
    local pool <close> = new(1)
    local weak = setmetatable({ {} }, { __mode = "v" })
    pool:submit(same, weak[1])
    pool:drain()
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
  end)
end

function contract.options(new)
  it("EX-31 EX-53 refuses wrong options", function()
    local cases = {
      { { max_worker = 4 }, "unknown option 'max_worker'; did you mean 'max_workers'?" },
      { { max_workers = 0 }, "option 'max_workers': integer >= 1 expected, got 0" },
      { { max_workers = 1.5 }, "option 'max_workers': integer >= 1 expected, got 1.5" },
      { { max_workers = "2" }, "option 'max_workers': integer >= 1 expected, got \"2\"" },
      { { min_workers = 16, max_workers = 8 }, "option 'min_workers': 16 is more than max_workers (8)" },
      { { on_full = "drop" }, "option 'on_full': \"block\", \"error\" or \"caller_runs\" expected, got \"drop\"" },
      { { grace = 0 / 0 }, "option 'grace': number >= 0 expected, got " .. tostring(0 / 0) },
      { { initializer = 5 }, "option 'initializer': function or \"module:function\" expected, got 5" },
      { { [1] = 5 }, "unknown option [1]" },
      { "x", "table of options expected, got string" },
      { 0, "integer >= 1 expected, got 0" },
    }
    for _, case in ipairs(cases) do
      local err = raised_by(new, case[1])
      assert.equal(("bad argument #1 to 'new' (%s)"):format(case[2]), err:match("bad argument.*"))
      assert.matches("executor_contract.lua:%d+: bad", raised_by(function() new(case[1]) end))
    end
  end)

  it("EX-13 refuses wrong options of views", function()
    local pool <close> = new(1)
    for _, size in ipairs { 0, -1 } do
      assert.matches("'buffer_size': must be > 0", raised_by(pool.with, pool, { buffer_size = size }))
    end
    assert.matches("'chunk_size': integer >= 1 or \"auto\" expected, got %-1",
      raised_by(pool.with, pool, { chunk_size = -1 }))
    assert.matches("unknown option 'time_out'; did you mean 'timeout'?",
      raised_by(pool.with, pool, { time_out = 1 }), 1, true)
    assert.matches("table of options expected, got nil", raised_by(pool.with, pool))
  end)
end

-- Gives everything that an iterator yields.
local function all_of(iterator)
  local list = {}
  for i, value in iterator do list[#list + 1] = { i, value } end
  return list
end

local function counter(limit)
  local n = -1
  return function()
    n = n + 1
    if n < (limit or math.huge) then return n end
  end
end

function contract.map(new)
  it("yields index and values in input order", function()
    local pool <close> = new(2)
    local rows = {}
    for i, a, b in pool:map(divmod, { 7, 8, 9 }, { 2, 3, 4, 5 }) do rows[i] = { a, b } end
    assert.same({ { 3, 1 }, { 2, 2 }, { 2, 1 } }, rows)
  end)

  it("EX-05 goes on after an error", function()
    local pool <close> = new(2)
    local it = pool:map(divmod, { 5, 5, 5, 5 }, { 2, 3, 0, 5 })
    assert.same({ 1, 2, 1 }, { it:next() })
    assert.same({ 2, 1, 2 }, { it:next() })
    assert.matches("divide by zero", raised_by(it.next, it))
    assert.same({ 4, 1, 0 }, { it:next() })
    for _ = 1, 3 do assert.equal(0, select("#", it:next())) end
  end)

  it("yields nil, false, several values and none", function()
    local pool <close> = new(1)
    local it = pool:starmap(same, { { nil, n = 1 }, { false }, { 1, nil, n = 2 }, {} })
    assert.same({ n = 2, 1, nil }, table.pack(it:next()))
    assert.same({ n = 2, 2, false }, table.pack(it:next()))
    assert.same({ n = 3, 3, 1, nil }, table.pack(it:next()))
    assert.same({ n = 1, 4 }, table.pack(it:next()))
    assert.same({ n = 0 }, table.pack(it:next()))
  end)

  it("honours n in lists with holes", function()
    local pool <close> = new(1)
    local list = pool:map(same, { 1, nil, 3, nil, n = 4 }):collect()
    assert.same({ 1, nil, 3, nil, n = 4 }, list)
    assert.matches("bad argument #2 to 'map' %(field 'n': integer >= 0 expected, got x%)",
      raised_by(pool.map, pool, same, { n = "x" }))
    assert.matches("bad argument #3 to 'map' %(array or iterator function expected, got nil%)",
      raised_by(pool.map, pool, same, {}, nil))
  end)

  it("EX-09 is over after close", function()
    local pool <close> = new(1)
    local it = pool:map(same, { 1, 2, 3 })
    assert.same({ 1, 1 }, { it:next() })
    it:close()
    it:close()
    assert.equal(0, select("#", it:next()))
  end)

  it("EX-15 EX-17 with a buffer takes endless input bit by bit", function()
    local pool <close> = new(2)
    assert.same({ { 1, 11 }, { 2, 22 }, { 3, 33 } },
      all_of(pool:with { buffer_size = 2 }:map(add, { 1, 2, 3 }, { 10, 20, 30 })))
    local pulled, seen = 0, {}
    local evens = counter()
    local function input()
      pulled = pulled + 1
      return evens()
    end
    for i, value in pool:with { buffer_size = 2 }:map(add, input, counter()) do
      seen[i] = value
      assert.is_true(pulled <= i + 2)
      if i == 5 then break end
    end
    assert.same({ 0, 2, 4, 6, 8 }, seen)
  end)

  it("EX-19 without a list is exhausted at once", function()
    local pool <close> = new(1)
    assert.same({}, all_of(pool:map(same)))
    assert.same({}, all_of(pool:map(same, {})))
    assert.same({}, all_of(pool:map(same, function() end)))
    assert.same({ n = 0 }, pool:map_unordered(same, {}):collect())
  end)

  it("EX-21 gives the same whatever the chunk size", function()
    local pool <close> = new(2)
    local input, expected = {}, { n = 40 }
    for i = 1, 40 do
      input[i] = i
      expected[i] = i + 1
    end
    local ones = {}
    for i = 1, 40 do ones[i] = 1 end
    for _, size in ipairs { 1, 6, 40, 50, "auto" } do
      local view = pool:with { chunk_size = size }
      assert.same(expected, view:map(add, input, ones):collect())
      assert.same(expected, view:map(add, counter(40), function() return 2 end):collect(), "iterators")
      assert.same(expected, pool:with { chunk_size = size, buffer_size = 7 }:map(add, input, ones):collect())
      local unordered = {}
      for i, value in view:map_unordered(add, input, ones) do unordered[i] = value end
      unordered.n = 40
      assert.same(expected, unordered)
    end
  end)

  it("loses no neighbours of an error in a chunk", function()
    local pool <close> = new(1)
    local it = pool:with { chunk_size = 4 }:map(divmod, { 1, 2, 3, 4 }, { 1, 0, 1, 0 })
    assert.same({ 1, 1, 0 }, { it:next() })
    assert.is_string(raised_by(it.next, it))
    assert.same({ 3, 3, 0 }, { it:next() })
    assert.is_string(raised_by(it.next, it))
    assert.equal(0, select("#", it:next()))
  end)

  it("EX-25 collect raises the first error by position", function()
    local pool <close> = new(2)
    local it = pool:map(divmod, { 1, 2, 3 }, { 1, 0, 1 })
    assert.matches("divide by zero", raised_by(it.collect, it))
    assert.same({ 3, n = 1 }, it:collect())
  end)

  it("EX-29 starmap spreads the arguments", function()
    local pool <close> = new(1)
    assert.same({ 2.0, 4.0, n = 2 }, pool:starmap(power, { { 2, 1 }, { 2, 2 } }):collect())
    assert.same({ 2.0, n = 1 }, pool:with { chunk_size = 3 }:starmap(power, { { 2, 1 } }):collect())
    assert.matches("bad argument #2 to 'starmap' %(array or iterator function expected, got nil%)",
      raised_by(pool.starmap, pool, power))
  end)

  it("EX-11 with timeout 0 raises timeout", function()
    local pool <close> = new(1)
    local it = pool:with { timeout = -1 }:map(same, { 1, 2, 3 })
    local err = raised_by(function()
      while it:next() do end
    end)
    assert_kind("timeout", err)
    assert.equal(3, err.total)
    assert.equal(0, select("#", it:next()))
  end)

  it("raises what an input iterator raises, and what cannot travel", function()
    local pool <close> = new(1)
    assert.equal("input", raised_by(pool.map, pool, same, function() error("input", 0) end))
    assert_kind("not_serializable", raised_by(pool.map, pool, same, { 1, 2, io.stdout }))
    assert.equal(1, pool:submit(same, 1):result())
  end)
end

function contract.ending(new)
  it("SD-01 takes nothing after shutdown", function()
    local pool = new(1)
    pool:shutdown()
    for _, method in ipairs { "submit", "map", "starmap", "map_unordered" } do
      local err = raised_by(pool[method], pool, same, {})
      assert_kind("shutdown", err)
      assert.equal("cannot schedule new futures after shutdown", err.message)
    end
    assert_kind("shutdown", raised_by(function() pool:with { priority = 1 }:submit(same) end))
  end)

  it("SD-03 finishes everything", function()
    local pool = new(2)
    local list = {}
    for i = 1, 50 do list[i] = pool:submit(add, i, i) end
    assert.is_true(pool:shutdown())
    for i = 1, 50 do assert.equal(2 * i, list[i]:result(0)) end
  end)

  it("SD-19 can be ended again and again", function()
    local pool <close> = new(1)
    pool:submit(same)
    pool:shutdown()
    pool:shutdown()
    pool:close()
    assert.is_true(pool:join())
    assert.is_true(pool:join(0))
    pool:kill()
    pool:terminate()
  end)

  it("SD-23 can be killed before any worker was started", function()
    local pool = new(1)
    pool:kill()
    assert.is_true(pool:join())
    assert_kind("shutdown", raised_by(pool.submit, pool, same))
  end)

  it("SD-25 refuses unknown options of shutdown", function()
    local pool <close> = new(1)
    assert.matches("unknown option 'mode'", raised_by(pool.shutdown, pool, { mode = "x" }))
    assert.equal(1, pool:submit(same, 1):result())
  end)

  it("SD-29 cannot be joined while it takes tasks", function()
    local pool <close> = new(1)
    local err = raised_by(pool.join, pool)
    assert_kind("invalid_state", err)
    assert.equal("pool is still accepting tasks", err.message)
  end)

  it("SD-09 goes on when its handle is collected", function()
    local it = new(2):map(add, { 1, 2, 3 }, { 1, 1, 1 })
    collectgarbage()
    collectgarbage()
    assert.same({ 2, 3, 4, n = 3 }, it:collect())
  end)

  it("shows itself", function()
    local pool = new { max_workers = 2, name = "mine" }
    assert.matches('^parhost%.[%w_]+: "mine" %(2 workers at most%)$', tostring(pool))
    assert.equal("mine", pool:name())
    pool:close()
    assert.matches("shut down", tostring(pool))
    local stats = pool:stats()
    for _, key in ipairs { "workers", "idle", "busy", "queued", "running", "completed", "failed", "cancelled",
      "retried", "restarts" } do
      assert.equal("integer", math.type(stats[key]), key)
    end
    assert.same({}, pool:workers())
  end)
end

function contract.initializer(new)
  it("IN-01 IN-09 runs the initializer first, with its arguments", function()
    local pool <close> = new {
      max_workers = 2,
      initializer = function(settings, twice) SETTING = twice(settings.value) end, -- luacheck: ignore
      init_args = { { value = 21 }, function(x) return 2 * x end },
    }
    local function read() return SETTING end -- luacheck: ignore
    for _ = 1, 4 do assert.equal(42, pool:submit(read):result()) end
  end)

  it("preloads modules", function()
    local pool <close> = new { max_workers = 1, preload = { "futures" } }
    assert.is_true(pool:submit(function() return package.loaded.futures ~= nil end):result())
  end)

  it("breaks when the initializer fails", function()
    local pool <close> = new { max_workers = 1, initializer = function() error("no way", 0) end }
    local ok, err = pool:submit(same):outcome()
    assert.is_false(ok)
    assert_kind("initializer_failed", err)
    assert.equal("no way", err.cause)
    ok, err = pcall(pool.submit, pool, same)
    assert.is_false(ok)
    assert.is_true(futures.is(err, "initializer_failed") or futures.is(err, "broken_pool"))
  end)
end

-- What needs tasks that run beside the caller.
function contract.workers(new)
  it("FU-21 WA-09 EX-63 a running task is running, and finishes", function()
    local pool <close> = new(1)
    local g = gate.new()
    local f = pool:submit(pass, g.path)
    local open = g:reached()
    assert.is_true(f:running())
    assert.equal("running", f:state())
    assert.is_false(f:cancel())
    assert_kind("timeout", raised_by(f.result, f, 0.01))
    assert.is_false(f:wait(0))
    open()
    assert.equal("", f:result())
    assert.is_false(f:cancel())
  end)

  it("EX-65 a task that waits behind another can be cancelled", function()
    local pool <close> = new(1)
    local g = gate.new()
    local running = pool:submit(pass, g.path)
    local open = g:reached()
    local waiting, other = pool:submit(fail, "must not run"), pool:submit(same, 1)
    local called
    waiting:add_done_callback(function(f) called = f:cancelled() end)
    assert.equal("pending", waiting:state())
    assert.is_true(waiting:cancel { reason = "not needed" })
    assert.is_true(called)
    assert.is_true(waiting:cancel())
    local _, err = waiting:outcome()
    assert_kind("cancelled", err)
    assert.equal("not needed", err.reason)
    open()
    assert.equal("", running:result())
    assert.equal(1, other:result())
    assert.is_true(waiting:cancelled())
  end)

  it("EX-61 a running task can be stopped by force", function()
    local pool <close> = new(1)
    local g = gate.new()
    local f = pool:submit(function(path)
      gate.pass(path)
      while true do end
    end, g.path)
    g:open()
    assert.is_true(f:cancel { force = true, reason = "enough" })
    local ok, err = f:outcome(20)
    assert.is_false(ok)
    assert_kind("cancelled", err)
    assert.equal("enough", err.reason)
    assert.equal(1, pool:submit(same, 1):result())
  end)

  it("stops a task at its timeout, and not while it waits (EX-59)", function()
    local pool <close> = new(1)
    local f = pool:with { timeout = 0.05 }:submit(function() while true do end end)
    local behind = pool:with { timeout = 0.05 }:submit(same, 1)
    local ok, err = f:outcome(20)
    assert.is_false(ok)
    assert_kind("timeout", err)
    assert.equal(1, behind:result())
  end)

  it("EX-07 EX-27 map raises timeout after what was ready", function()
    for _, method in ipairs { "map", "map_unordered" } do
      local pool <close> = new(1)
      local view = pool:with { timeout = 0.3 }
      local it = view[method](view, function(n) while n > 5 do end return n end, { 0, 1, 6 })
      assert.same({ 1, 0 }, { it:next() })
      assert.same({ 2, 1 }, { it:next() })
      local err = raised_by(it.next, it)
      assert_kind("timeout", err)
      assert.same({ 1, 3, 0.3 }, { err.unfinished, err.total, err.seconds })
      assert.equal(0, select("#", it:next()))
    end
  end)

  it("EX-23 leaving a map loop cancels what has not started", function()
    local pool <close> = new(1)
    local first, second = gate.new(), gate.new()
    local ran = os.tmpname()
    os.remove(ran)
    local open
    for i in pool:map(function(path, mark)
      if mark then io.open(mark, "w"):close() end
      return path and gate.pass(path)
    end, { false, first.path, second.path, false }, { false, false, false, ran }) do
      assert.equal(1, i)
      open = first:reached()
      if i == 1 then break end
    end
    open()
    pool:drain()
    assert.is_nil(io.open(ran))
    assert.equal(2, pool:stats().cancelled)
  end)

  it("EX-37 EX-39 SD-17 starts workers on demand, never more than allowed", function()
    local pool <close> = new(3)
    assert.equal(0, #pool:workers())
    assert.equal(1, pool:submit(same, 1):result())
    assert.equal(1, #pool:workers())
    local gates, list = {}, {}
    for i = 1, 3 do
      gates[i] = gate.new()
      list[i] = pool:submit(pass, gates[i].path)
    end
    for i = 1, 42 do list[3 + i] = pool:submit(same, i) end
    for i = 1, 3 do gates[i] = gates[i]:reached() end
    assert.equal(3, #pool:workers())
    for i = 1, 3 do gates[i]() end
    futures.wait(list)
    assert.is_true(#pool:workers() <= 3)
  end)

  it("EX-49 with on_full = error refuses what is too much", function()
    local pool <close> = new { max_workers = 1, max_queue = 2, on_full = "error", name = "small" }
    local g = gate.new()
    local list = { pool:submit(pass, g.path) }
    local open = g:reached()
    list[2], list[3] = pool:submit(same, 2), pool:submit(same, 3)
    local err = raised_by(pool.submit, pool, same, 4)
    assert_kind("queue_full", err)
    assert.matches('^the queue of [%w_]+ "small" is full %(max_queue = 2%)$', err.message)
    open()
    assert.same({ "", 2, 3 }, { list[1]:result(), list[2]:result(), list[3]:result() })
  end)

  it("EX-51 with on_full = caller_runs runs it here", function()
    local pool <close> = new { max_workers = 1, max_queue = 2, on_full = "caller_runs" }
    local g = gate.new()
    local held = pool:submit(pass, g.path)
    local open = g:reached()
    local a, b = pool:submit(same, 2), pool:submit(same, 3)
    local here = pool:submit(add, 2, 2)
    assert.is_true(here:done())
    assert.equal(4, here:result())
    open()
    assert.same({ "", 2, 3 }, { held:result(), a:result(), b:result() })
  end)

  it("with on_full = block waits for room", function()
    local pool <close> = new { max_workers = 1, max_queue = 1 }
    local list = {}
    for i = 1, 20 do list[i] = pool:submit(same, i) end
    for i = 1, 20 do assert.equal(i, list[i]:result()) end
    assert.equal(60, pool:map(same, counter(60)):collect().n)
  end)

  it("EX-57 runs by priority, first in first out within", function()
    local pool <close> = new { max_workers = 1 }
    local g = gate.new()
    local held = pool:submit(pass, g.path)
    local open = g:reached()
    local order = {}
    for _, row in ipairs { { "A", 0 }, { "B", 5 }, { "C", 5 } } do
      pool:with { priority = row[2] }:submit(same, row[1]):add_done_callback(function(f)
        order[#order + 1] = f:result()
      end)
    end
    held:wait(0.01)
    open()
    pool:drain()
    assert.same({ "B", "C", "A" }, order)
  end)

  it("SD-05 SD-27 shutdown can cancel what waits", function()
    local pool = new(2)
    local gates, list = { gate.new(), gate.new() }, {}
    for i = 1, 2 do list[i] = pool:submit(pass, gates[i].path) end
    local open = { gates[1]:reached(), gates[2]:reached() }
    for i = 3, 30 do list[i] = pool:submit(same, i) end
    assert.is_false(pool:shutdown { wait = false, cancel_pending = true })
    assert.is_false(pool:shutdown { timeout = 0 })
    assert.is_false(pool:join(0))
    open[1]()
    open[2]()
    assert.is_true(pool:join(20))
    assert.same({ done = 2, cancelled = 28 }, count_states(list))
    local _, err = list[3]:outcome()
    assert.equal("shutdown", err.source)
  end)

  it("SD-21 SD-31 terminate and kill end it with tasks running", function()
    for _, how in ipairs { "terminate", "kill" } do
      local pool = new { max_workers = 1, grace = 0.1 }
      local g = gate.new()
      local list = { pool:submit(function(path)
        gate.pass(path)
        while true do end
      end, g.path) }
      g:open()
      for i = 2, 10 do list[i] = pool:submit(same, i) end
      pool[how](pool)
      assert_kind("shutdown", raised_by(pool.submit, pool, same))
      assert.is_true(pool:join(20))
      local states = count_states(list)
      assert.is_nil(states.pending)
      assert.is_nil(states.running)
      assert.is_true(states.cancelled >= 9)
      for _, f in ipairs(list) do f:cancel() end
    end
  end)

  it("leaving the block by an error drops what waits", function()
    local list, g = {}, gate.new()
    local err = raised_by(function()
      local pool <close> = new(1)
      list[1] = pool:submit(pass, g.path)
      local open = g:reached()
      for i = 2, 5 do list[i] = pool:submit(same, i) end
      open()
      error("out", 0)
    end)
    assert.equal("out", err)
    assert.equal("done", list[1]:state())
    for i = 2, 5 do assert.is_true(list[i]:done()) end
  end)

  it("WA-13 as_completed yields in the order of completion, over several pools", function()
    local a <close> = new(1)
    local b <close> = new(1)
    local g = gate.new()
    local slow, quick = a:submit(pass, g.path), b:submit(same, 1)
    local open = g:reached()
    local order = {}
    for f in futures.as_completed { slow, quick } do
      order[#order + 1] = f
      if f == quick then open() end
    end
    assert.same({ quick, slow }, order)
  end)
end

-- What came with values and collection: needs workers whose states live on.
function contract.values(new)
  it("EX-35 collects what a task left behind soon after it", function()
    local pool <close> = new(1)
    local g = gate.new()
    local class = { __gc = function(object)
      if parhost.worker() then io.open(object.path, "w"):close() end
    end }
    parhost.register("executor_contract.collected", class)
    pool:submit(function(object) return object ~= nil end, setmetatable({ path = g.path }, class)):result()
    assert.equal("", gate.pass(g.path))
  end)

  it("EX-47 delivers an error that cannot be written to", function()
    local pool <close> = new(1)
    local class = { __newindex = function() error("locked") end }
    parhost.register("executor_contract.locked", class)
    local f = pool:submit(fail, setmetatable({ code = 5 }, class))
    local ok, err, traceback = f:outcome()
    assert.is_false(ok)
    assert.equal(class, getmetatable(err))
    assert.equal(5, err.code)
    assert.is_string(traceback)
    assert.equal(traceback, futures.traceback_of(err))
  end)

  it("EX-55 does not stall when workers idle out quickly", function()
    local pool <close> = new { max_workers = 2, idle_timeout = 0.001 }
    local slow = {}
    for i = 1, 20000 do slow[i] = { i } end
    for _ = 1, 5 do assert.equal(20000, pool:submit(function(t) return #t end, slow):result()) end
  end)

  it("CR-25 gives each future an error object of its own", function()
    local pool = new(1)
    local g = gate.new()
    local held = pool:submit(pass, g.path)
    local open = g:reached()
    local a, b = pool:submit(same), pool:submit(same)
    pool:shutdown { wait = false, cancel_pending = true }
    open()
    held:wait()
    local err = select(2, a:outcome())
    err.message = "changed"
    assert.not_equal("changed", select(2, b:outcome()).message)
    pool:join()
  end)

  it("IN-07 runs the initializer in replaced workers, too", function()
    local pool <close> = new {
      max_workers = 1, max_tasks_per_worker = 3, initializer = function() SETTING = "here" end, -- luacheck: ignore
    }
    local pids = {}
    for i = 1, 4 do
      local pid, setting = pool:submit(function()
        return require("parhost").worker().pid, SETTING -- luacheck: ignore
      end):result()
      assert.equal("here", setting)
      pids[i] = pid
    end
    assert.same({ pids[1], pids[1] }, { pids[2], pids[3] })
    assert.equal(1, #pool:workers())
  end)

  it("reproduces random numbers with a seed, whatever the number of workers", function()
    local runs = {}
    for workers = 1, 2 do
      local pool <close> = new { max_workers = workers, seed = 42 }
      runs[workers] = pool:map(function() return math.random(1000000) end, { 1, 2, 3, 4, 5, 6 }):collect()
    end
    assert.same(runs[1], runs[2])
    assert.not_equal(runs[1][1], runs[1][2])
  end)

  it("fails a task at its deadline, queued or running", function()
    local pool <close> = new(1)
    local running = pool:with { deadline = parhost.monotonic() + 0.05 }:submit(function() while true do end end)
    local queued = pool:with { deadline = parhost.monotonic() + 0.05 }:submit(same)
    local late = pool:with { deadline = parhost.monotonic() - 1 }:submit(same)
    for _, f in ipairs { running, queued, late } do assert_kind("timeout", select(2, f:outcome(20))) end
    assert.equal(1, pool:submit(same, 1):result())
  end)

  it("a callback may wait for another task", function()
    local pool <close> = new(1)
    local got
    pool:submit(same, 1):add_done_callback(function(f)
      local g = pool:submit(same, 2)
      got = f:result() + g:result()
    end)
    pool:drain()
    assert.equal(3, got)
  end)
end

-- Describes all of it for one backend.
function contract.describe(name, new, has)
  describe(name .. ": submit", function() contract.submit(new) end)
  describe(name .. ": options", function() contract.options(new) end)
  describe(name .. ": map", function() contract.map(new) end)
  describe(name .. ": the end", function() contract.ending(new) end)
  describe(name .. ": initializer", function() contract.initializer(new) end)
  if has.workers then
    describe(name .. ": workers", function() contract.workers(new) end)
    describe(name .. ": values", function() contract.values(new) end)
  end
end

return contract
