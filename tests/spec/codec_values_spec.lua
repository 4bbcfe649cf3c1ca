-- SPDX-License-Identifier: MIT
-- Plain values: what comes out is what went in.
package.path = "tests/spec/?.lua;" .. package.path
local parhost = require "parhost"
local proc_pool = require "proc_pool"
local ways = require "support.ways"

local function bits(number)
  return math.type(number) .. string.pack(math.type(number) == "integer" and "j" or "n", number)
end

local function dump_and_load(value) return parhost.load_value(parhost.dump_value(value)) end

describe("the codec", function()
  ways.it("SE-01 keeps subtypes and bits of numbers", function(copy)
    local numbers = { 0, 1, -1, 127, 128, -128, 255, 256, 2^53 | 0, (2^53 | 0) + 1, math.maxinteger, math.mininteger,
      1.0, -0.0, 0.1, 2.0^53, 1 / 0, -1 / 0, 0 / 0, 5e-324, 1.7976931348623157e308 }
    for shift = 6, 62, 7 do numbers[#numbers + 1] = 1 << shift end
    local copies = copy(numbers)
    assert.equal(#numbers, #copies)
    for i, number in ipairs(numbers) do
      assert.equal(bits(number), bits(copies[i]), tostring(number))
      assert.equal(bits(number), bits(copy(number)))
    end
  end)

  ways.it("keeps nil, booleans and strings of any bytes", function(copy)
    assert.is_nil(copy(nil))
    assert.is_true(copy(true))
    assert.is_false(copy(false))
    local all = {}
    for i = 0, 255 do all[i + 1] = string.char(i) end
    local every = table.concat(all)
    for _, text in ipairs { "", "a", "\0", every, every:rep(300), ("x"):rep(40), ("x"):rep(41) } do
      assert.equal(text, copy(text))
      assert.same({ text, text, { text } }, copy { text, text, { text } })
    end
  end)

  ways.it("SE-03 keeps the shape of tables", function(copy)
    local shared = { "shared" }
    local t = { 1, 2, nil, 4, shared, shared, x = { y = shared }, [1.5] = "f", [true] = "t", [false] = 0, [-1] = -1,
      [""] = "empty", [shared] = "as a key", [math.mininteger] = 5 }
    t.self, t[t] = t, t
    local c = copy(t)
    assert.equal(c, c.self)
    assert.equal(c, c[c])
    assert.same({ 1, 2, nil, 4 }, { c[1], c[2], c[3], c[4] })
    assert.equal("shared", c[5][1])
    assert.is_true(c[5] == c[6] and c[5] == c.x.y and c[c[5]] == "as a key")
    assert.same({ "f", "t", 0, -1, "empty", 5 }, { c[1.5], c[true], c[false], c[-1], c[""], c[math.mininteger] })
    local function count(table)
      local n = 0
      for _ in pairs(table) do n = n + 1 end
      return n
    end
    assert.equal(count(t), count(c))
    assert.are_not.equal(t, c)
  end)

  ways.it("keeps arrays however they were made", function(copy)
    local backwards, holes, queue, mixed = {}, {}, {}, { 1, 2, 3, n = 3 }
    for i = 100, 1, -1 do backwards[i] = i end
    for i = 1, 100, 3 do holes[i] = i end
    for i = 1, 100 do queue[i] = i end
    for i = 1, 60 do queue[i] = nil end
    for i = 4, 40 do mixed[i], mixed["k" .. i] = i, i end
    for i = 1, 40, 2 do mixed["k" .. i] = nil end
    for _, t in ipairs { backwards, holes, queue, mixed, {}, { nil, nil, 3 }, table.pack(nil, nil) } do
      assert.same(t, copy(t))
      assert.equal(next(t) == nil, next(copy(t)) == nil)
    end
  end)

  it("keeps numbers in a row, wherever something else comes between", function()
    for _, n in ipairs { 3, 5, 32, 33, 34, 70 } do
      local ints, floats, both = {}, {}, {}
      for i = 1, n do ints[i], floats[i], both[i] = i << i % 63, i / 3, i % 2 == 0 and i or i + 0.0 end
      for _, list in ipairs { ints, floats, both } do
        local same = dump_and_load(list)
        for i = 1, n do assert.equal(bits(list[i]), bits(same[i])) end
        assert.equal(n, #same)
        for _, k in ipairs { 1, 2, n // 2, n - 1, n } do
          local kept = list[k]
          for _, other in ipairs { "7", {}, true } do
            list[k] = other
            assert.same(list, dump_and_load(list))
          end
          list[k] = nil -- a hole
          assert.same(list, dump_and_load(list))
          list[k] = kept
        end
      end
    end
  end)

  it("keeps elements and pairs that lie in one hash", function()
    for _, n in ipairs { 5, 32, 40, 100 } do
      for _, first in ipairs { 1, 3, n } do
        -- made as a hash: each element is preceded, or followed, by its own number as a string, or by another integer
        local before, after, integers = {}, {}, {}
        for i = n, 1, -1 do before[tostring(i)] = -i end
        for i = first, n do before[i], after[i], integers[i] = i, i, i end
        for i = 1, first - 1 do before[i], after[i], integers[i] = i, i, i end
        for i = 1, n do after[tostring(i)] = -i end
        for i = 1, n do integers[-i], integers[n + 1 + i] = i, i end
        for _, t in ipairs { before, after, integers } do assert.same(t, dump_and_load(t)) end
      end
    end
  end)

  ways.it("SE-21 makes no giant array of a sparse one", function(copy)
    local sparse = { [1] = 1, [10^9 | 0] = 2 }
    for i = 1, 40 do sparse[1 << i] = i end
    assert.same(sparse, copy(sparse))
    assert.is_true(#parhost.dump_value(sparse) < 1000)
    collectgarbage()
    local before = collectgarbage "count"
    local c = copy(sparse)
    assert.is_true(collectgarbage "count" - before < 1000)
    assert.equal(2, c[10^9 | 0])
  end)

  ways.it("takes values that are nested 100000 deep", function(copy)
    local deep = { "bottom" }
    for i = 1, 100000 do deep = i % 2 == 0 and { deep } or { [1.5] = deep } end
    local c = copy(deep)
    for i = 100000, 1, -1 do c = i % 2 == 0 and c[1] or c[1.5] end
    assert.equal("bottom", c[1])
  end)

  it("refuses values that are nested too deeply", function()
    local deep = {}
    for _ = 1, 300000 do deep = { deep } end
    local ok, err = pcall(parhost.dump_value, deep)
    assert.is_false(ok)
    assert.equal("not_serializable", err.kind)
    assert.equal("table", err.type)
    assert.matches("^value%[1%]%[1%].*: the value is nested too deeply$", err.message)
    assert.equal(3, parhost.load_value(parhost.dump_value(3)))
  end)

  ways.it("keeps big tables", function(copy)
    local list = {}
    for i = 1, 20000 do list[i] = { id = i, name = "item " .. i % 100, x = i / 2, ["key" .. i] = i % 2 == 0 } end
    assert.same(list, copy(list))
  end)

  it("brings results of 100 MB", function()
    local pool <close> = proc_pool.new(1)
    local text, n = pool:submit(function(size) return ("x"):rep(size), size end, 100 << 20):result()
    assert.equal(100 << 20, n)
    assert.is_true(text == ("x"):rep(100 << 20))
  end)

  it("keeps the number of values", function()
    local pool <close> = proc_pool.new(1)
    local function echo(...) return ... end
    assert.same({ n = 3 }, table.pack(pool:submit(echo, nil, nil, nil):result()))
    assert.equal(200, select("#", pool:submit(echo, table.unpack({}, 1, 200)):result()))
  end)
end)
