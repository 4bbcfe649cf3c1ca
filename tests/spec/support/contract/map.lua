-- SPDX-License-Identifier: MIT
-- The contract of executors: map, starmap, map_unordered.
local assert = require "luassert"
local busted = require "busted"
local common = require "support.contract.common"

local it = busted.it
local power, add, divmod, same = common.power, common.add, common.divmod, common.same
local raised_by, assert_kind = common.raised_by, common.assert_kind

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

return function(new)
  it("yields index and values in input order", function()
    local pool <close> = new(2)
    local rows = {}
    for i, a, b in pool:map(divmod, { 7, 8, 9 }, { 2, 3, 4, 5 }) do rows[i] = { a, b } end
    assert.same({ { 3, 1 }, { 2, 2 }, { 2, 1 } }, rows)
  end)

  it("keeps every number as it is, one by one and in chunks", function()
    local pool <close> = new(2)
    local list = { 0, 1, 127, 128, -1, -64, -65, 1 << 40, 1 << 62, math.maxinteger, math.mininteger,
      0.0, -0.0, 0.5, 1e308, 5e-324, 2.0 ^ 53, math.huge, -math.huge, true, false }
    for _, chunk in ipairs { 1, 5 } do
      for i, value in pool:with { chunk_size = chunk }:map(same, list) do
        assert.equal(("%q"):format(list[i]), ("%q"):format(value))
      end
    end
    local nan = pool:submit(same, 0 / 0):result()
    assert.is_true(nan ~= nan)
    assert.same({ n = 1 }, table.pack(pool:submit(same, nil):result()))
  end)

  it("EX-05 goes on after an error", function()
    local pool <close> = new(2)
    local results = pool:map(divmod, { 5, 5, 5, 5 }, { 2, 3, 0, 5 })
    assert.same({ 1, 2, 1 }, { results:next() })
    assert.same({ 2, 1, 2 }, { results:next() })
    assert.matches("divide by zero", raised_by(results.next, results))
    assert.same({ 4, 1, 0 }, { results:next() })
    for _ = 1, 3 do assert.equal(0, select("#", results:next())) end
  end)

  it("yields nil, false, several values and none", function()
    local pool <close> = new(1)
    local results = pool:starmap(same, { { nil, n = 1 }, { false }, { 1, nil, n = 2 }, {} })
    assert.same({ n = 2, 1, nil }, table.pack(results:next()))
    assert.same({ n = 2, 2, false }, table.pack(results:next()))
    assert.same({ n = 3, 3, 1, nil }, table.pack(results:next()))
    assert.same({ n = 1, 4 }, table.pack(results:next()))
    assert.same({ n = 0 }, table.pack(results:next()))
  end)

  it("honours n in lists with holes", function()
    local pool <close> = new(1)
    local list = pool:map(same, { 1, nil, 3, nil, n = 4 }):collect()
    assert.same({ 1, nil, 3, nil, n = 4 }, list)
    assert.matches("bad argument #2 to 'map' %(field 'n': integer >= 0 expected, got x%)",
      raised_by(pool.map, pool, same, { n = "x" }))
    assert.matches("bad argument #3 to 'map' %(array or iterator function expected, got nil%)",
      raised_by(pool.map, pool, same, {}, nil))
    assert.matches("bad argument #3 to 'map' %(array or iterator function expected, got nil; an iterator made by a call "
      .. "goes into parentheses: %(io.lines%(path%)%)%)", raised_by(pool.map, pool, same, io.lines("/dev/null")))
  end)

  it("EX-09 is over after close", function()
    local pool <close> = new(1)
    local results = pool:map(same, { 1, 2, 3 })
    assert.same({ 1, 1 }, { results:next() })
    results:close()
    results:close()
    assert.equal(0, select("#", results:next()))
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
    local results = pool:with { chunk_size = 4 }:map(divmod, { 1, 2, 3, 4 }, { 1, 0, 1, 0 })
    assert.same({ 1, 1, 0 }, { results:next() })
    assert.is_string(raised_by(results.next, results))
    assert.same({ 3, 3, 0 }, { results:next() })
    assert.is_string(raised_by(results.next, results))
    assert.equal(0, select("#", results:next()))
  end)

  it("EX-25 collect raises the first error by position", function()
    local pool <close> = new(2)
    local results = pool:map(divmod, { 1, 2, 3 }, { 1, 0, 1 })
    assert.matches("divide by zero", raised_by(results.collect, results))
    assert.same({ 3, n = 1 }, results:collect())
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
    local results = pool:with { timeout = -1 }:map(same, { 1, 2, 3 })
    local err = raised_by(function()
      while results:next() do end
    end)
    assert_kind("timeout", err)
    assert.equal(3, err.total)
    assert.equal(0, select("#", results:next()))
  end)

  it("raises what an input iterator raises, and what cannot travel", function()
    local pool <close> = new(1)
    assert.equal("input", raised_by(pool.map, pool, same, function() error("input", 0) end))
    assert_kind("not_serializable", raised_by(pool.map, pool, same, { 1, 2, io.stdout }))
    assert.equal(1, pool:submit(same, 1):result())
  end)
end
