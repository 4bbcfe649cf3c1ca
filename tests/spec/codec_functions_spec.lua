-- SPDX-License-Identifier: MIT
-- Functions that travel: upvalues, shared cells, _ENV, names.
package.path = "tests/spec/?.lua;" .. package.path
local parhost = require "parhost"
local proc_pool = require "proc_pool"
local ways = require "support.ways"
local compile = ways.compile

local function warnings_of(fn)
  local pipe = require("support.run").script(fn)
  return pipe.err
end

describe("functions", function()
  ways.it("bring their upvalues, of every kind", function(copy)
    local number, text, list, nothing = 5, "text", { 1, { 2 } }, nil
    local f = copy(function() return number, text, list, nothing end)
    assert.same({ 5, "text", { 1, { 2 } } }, { f() })
    assert.equal(4, select("#", f()))
  end)

  ways.it("SE-09 share upvalues as before", function(copy)
    local n = 10
    local function up() n = n + 1 return n end
    local function get() return n end
    local c = copy { up = up, get = get, inner = { get } }
    assert.equal(11, c.up())
    assert.equal(11, c.get())
    assert.equal(c.get, c.inner[1])
    assert.equal(10, n)
  end)

  it("SE-09 share upvalues in a worker", function()
    local pool <close> = proc_pool.new(1)
    local n = 10
    local function up() n = n + 1 end
    local function task(first, second)
      first()
      second()
      up()
      return n
    end
    assert.equal(13, pool:submit(task, up, up):result())
    assert.equal(13, pool:submit(task, up, up):result())
    assert.equal(10, n)
  end)

  ways.it("may call themselves and each other", function(copy)
    local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end
    local even
    local function odd(n) if n == 0 then return false end return even(n - 1) end
    function even(n) if n == 0 then return true end return odd(n - 1) end
    assert.equal(55, copy(fib)(10))
    assert.is_true(copy(odd)(7))
    local c = copy { fib, { fib }, odd, even }
    assert.equal(c[1], c[2][1])
    assert.is_false(c[4](7))
  end)

  ways.it("come with tables that refer to them", function(copy)
    local object = { n = 3 }
    function object.get() return object.n, object end
    local c = copy(object)
    local n, same = c.get()
    assert.equal(3, n)
    assert.equal(c, same)
  end)

  ways.it("SE-11 know _ENV by what it is, not by its place", function(copy)
    local n = 5
    assert.equal(5, copy(function() return n end)())
    local f = copy(compile "(function(a, b) return function() return a, type(b), b end end)(1, 2)")
    assert.same({ 1, "number", 2 }, { f() })
    local env = compile "(function(g) return function() return g == _G end end)(_ENV)"
    assert.is_true(copy(env)())
  end)

  ways.it("SE-13 bring an _ENV of their own", function(copy)
    local f = load("count = count + 1 return count, print", "=own", "t", { count = 1 })
    local c = copy(f)
    assert.same({ 2 }, { c() })
    assert.same({ 3 }, { c() })
    assert.is_nil(rawget(_G, "count"))
  end)

  ways.it("SE-17 may be chunks with varargs", function(copy)
    local chunk = load("local a, b = ... return select('#', ...), a, b", "=chunk")
    assert.same({ 3, 1, 2 }, { copy(chunk)(1, 2, 3) })
  end)

  ways.it("keep names and lines for messages", function(copy)
    local f = copy(load("\n\nerror 'here'", "@some/file.lua"))
    local ok, message = pcall(f)
    assert.is_false(ok)
    assert.equal("some/file.lua:3: here", message)
  end)

  ways.it("of C and modules come by name", function(copy)
    local c = copy { string.format, print, math, { require "parhost" } }
    assert.equal(string.format, c[1])
    assert.equal(print, c[2])
    assert.equal(math, c[3])
    assert.equal(parhost, c[4][1])
  end)

  it("of C and modules are the worker's own", function()
    local pool <close> = proc_pool.new(1)
    local upper, lib = string.upper, require "parhost"
    assert.equal("ABC", pool:submit(function(s) return upper(s) end, "abc"):result())
    assert.equal("ABC", pool:submit(string.upper, "abc"):result())
    assert.is_true(pool:submit(compile "function(lib, f) return lib == require 'parhost' and f == string.upper end",
      lib, upper):result())
  end)

  it("load modules that the worker has not", function()
    local pool <close> = proc_pool.new(1)
    local gate = require "support.gate"
    local task = compile "function(m) return package.loaded['support.gate'] == m, type(m.new) end"
    assert.same({ true, "function" }, { pool:submit(task, gate):result() })
  end)

  it("run again with what the worker has of them", function()
    local pool <close> = proc_pool.new(1)
    local text = ("return 1 -- %s"):format(("x"):rep(20))
    local body = {}
    for i = 1, 2000 do body[i] = ("local v%d = %d"):format(i % 150, i) end
    local big = assert(load("do " .. table.concat(body, " end do ") .. " end " .. text, "=big"))
    assert.equal(1, pool:submit(big):result())
    for _ = 1, 3 do assert.equal(1, pool:submit(big):result()) end
    assert.equal(1, pool:submit(load(string.dump(big), "=big", "b")):result())
  end)

  it("see nothing of what an earlier task did to their upvalues", function()
    local pool <close> = proc_pool.new(1)
    local n = 0
    local function count() n = n + 1 return n end
    local lose = compile "function() local t = type _ENV = {} return t end"
    for _ = 1, 3 do
      assert.equal(1, pool:submit(count):result())
      assert.equal("function", type(pool:submit(lose):result()))
    end
    n = 5
    assert.equal(6, pool:submit(count):result())
  end)

  it("SE-25 warn of a big upvalue, once", function()
    local err = warnings_of [[
      local pool <close> = require("proc_pool").new(1)
      local big = ("x"):rep(3 << 20)
      local function length() return #big end
      for _ = 1, 3 do assert(pool:submit(length):result() == 3 << 20) end]]
    assert.equal("Lua warning: parhost: upvalue 'big' of function script.lua:3 takes 3.0 MiB in every message\n", err)
  end)
end)
