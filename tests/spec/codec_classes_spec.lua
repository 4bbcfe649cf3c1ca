-- SPDX-License-Identifier: MIT
-- Objects of registered classes.
package.path = "tests/spec/?.lua;" .. package.path
local futures = require "futures"
local parhost = require "parhost"
local proc_pool = require "proc_pool"
local ways = require "support.ways"
-- For methods, which run in workers:
local getmetatable, ipairs, pairs, setmetatable = getmetatable, ipairs, pairs, setmetatable

local function class(name, fields)
  local new = fields or {}
  new.__index = new
  parhost.register("codec_classes." .. name, new)
  return new
end

describe("objects", function()
  ways.it("keep their class", function(copy)
    local Point = class("point" .. tostring(copy))
    function Point:sum() return self.x + self.y end
    local p = setmetatable({ x = 1, y = 2 }, Point)
    local list = copy { p, p, { p } }
    assert.equal(Point, getmetatable(list[1]))
    assert.equal(3, list[1]:sum())
    assert.is_true(list[1] == list[2] and list[2] == list[3][1])
  end)

  ways.it("may refer to themselves", function(copy)
    local Node = class("node" .. tostring(copy))
    local a, b = setmetatable({}, Node), setmetatable({}, Node)
    a.next, b.next, a[a] = b, a, { a }
    local c = copy(a)
    assert.equal(c, c.next.next)
    assert.equal(c, c[c][1])
    assert.equal(Node, getmetatable(c.next))
  end)

  ways.it("go through __dump and __load", function(copy)
    local Set = class("set" .. tostring(copy))
    function Set.__dump(set)
      local list = {}
      for key in pairs(set.keys) do list[#list + 1] = key end
      return { list = list, other = set.other }
    end
    function Set.__load(data)
      local keys = {}
      for _, key in ipairs(data.list) do keys[key] = true end
      return setmetatable({ keys = keys, loaded = true, other = data.other }, Set)
    end
    local inner = setmetatable({ keys = { a = true } }, Set)
    local outer = setmetatable({ keys = { b = true, c = true }, other = inner }, Set)
    local c = copy { outer, inner, outer }
    assert.equal(c[1], c[3])
    assert.equal(c[2], c[1].other)
    assert.is_true(c[1].loaded and c[1].keys.b and c[1].keys.c and c[2].keys.a)
  end)

  ways.it("inherit __dump and __load", function(copy)
    local Base = { __dump = function(o) return o.x end }
    Base.__index = Base
    local Derived = setmetatable({}, Base)
    Derived.__index = Derived
    Derived.__load = function(x) return setmetatable({ x = x * 2 }, Derived) end
    parhost.register("codec_classes.derived" .. tostring(copy), Derived)
    assert.is_true(copy(setmetatable({ x = 3 }, Derived)).x >= 6)
  end)

  it("may use the codec in their hooks", function()
    local Wrapped = class "wrapped"
    Wrapped.__dump = function(o) return parhost.dump_value { o.value } end
    Wrapped.__load = function(bytes) return setmetatable({ value = parhost.load_value(bytes)[1] }, Wrapped) end
    local nested = setmetatable({ value = setmetatable({ value = { 1, 2 } }, Wrapped) }, Wrapped)
    local c = parhost.load_value(parhost.dump_value { nested, nested, "after" })
    assert.same({ 1, 2 }, c[1].value.value)
    assert.equal(c[1], c[2])
    assert.equal("after", c[3])
  end)

  it("may be used by finalizers in the middle of a message", function()
    local list = {}
    for i = 1, 1000 do list[i] = { "item " .. i, {} } end
    local runs = 0
    local function finalizer() return setmetatable({}, { __gc = function()
      runs = runs + 1
      assert(parhost.load_value(parhost.dump_value { runs, list[1] })[1] == runs)
    end }) end
    local bytes = parhost.dump_value(list)
    for _ = 1, 50 do
      finalizer()
      assert(parhost.dump_value(list) == bytes)
      finalizer()
      assert(parhost.load_value(bytes)[1000][1] == "item 1000")
    end
    assert.is_true(runs > 25)
  end)

  it("raise what their hooks raise", function()
    local Angry = class "angry"
    Angry.__dump = function(o) if o.dumps then return 1 end error({ code = 7 }) end
    Angry.__load = function() error "no load" end
    local ok, err = pcall(parhost.dump_value, { setmetatable({}, Angry) })
    assert.same({ false, 7 }, { ok, err.code })
    local bytes = parhost.dump_value(setmetatable({ dumps = true }, Angry))
    ok, err = pcall(parhost.load_value, bytes)
    assert.is_false(ok)
    assert.matches("no load$", err)
    assert.equal(5, parhost.load_value(parhost.dump_value(5)))
  end)

  it("may not refer to themselves from what __dump gives", function()
    local Loop = class "loop"
    Loop.__dump = function(o) return { { o } } end
    Loop.__load = function(d) return d end
    local ok, err = pcall(parhost.dump_value, { x = setmetatable({}, Loop) })
    assert.is_false(ok)
    assert.equal("not_serializable", err.kind)
    assert.equal("value.x[1][1]: what __dump gives refers to the object itself", err.message)
  end)

  it("SE-05 of classes that are not registered are refused", function()
    local pool <close> = proc_pool.new(1)
    local thing = setmetatable({}, { __name = "Thing" })
    for _, case in ipairs {
      { pool.submit, "args[1].a", "Thing", pool, math.abs, { a = thing } },
      { parhost.dump_value, "value.a", "Thing", { a = thing } },
      { parhost.dump_value, "value", "table", setmetatable({}, {}) },
    } do
      local ok, err = pcall(case[1], table.unpack(case, 4))
      assert.is_false(ok)
      assert.same({ "not_serializable", case[2], case[3] }, { err.kind, err.path, err.type })
      local shown = case[3] == "Thing" and "its metatable (Thing)" or "its metatable"
      assert.equal(case[2] .. ": " .. shown .. " is not a registered class (see parhost.register)", err.message)
    end
  end)

  it("bring the definition of their class to workers", function()
    local pool <close> = proc_pool.new(1)
    local Counter = class("counter", { step = 2 })
    function Counter:add() self.n = self.n + self.step return self.n end
    local function task(counter) return counter:add(), counter end
    local n, counter = pool:submit(task, setmetatable({ n = 1 }, Counter)):result()
    assert.equal(3, n)
    assert.equal(5, counter:add())
    assert.equal(Counter, getmetatable(counter))
  end)

  it("can be made in workers, by tasks and methods that know the class", function()
    local pool <close> = proc_pool.new(1)
    local Vector = class "vector"
    Vector.__add = function(a, b) return setmetatable({ x = a.x + b.x }, Vector) end
    function Vector.new(x) return setmetatable({ x = x }, Vector) end
    Vector.zero = Vector.new(0)
    local function task(v, x)
      local same = getmetatable(v) == Vector and getmetatable(Vector.zero) == Vector
      return v + Vector.new(x), setmetatable({ x = same }, Vector), Vector
    end
    for _ = 1, 2 do
      local sum, made, itself = pool:submit(task, Vector.new(1), 2):result()
      assert.equal(3, sum.x)
      assert.is_true(made.x)
      assert.equal(Vector, getmetatable(sum))
      assert.equal(Vector, itself)
    end
  end)

  it("inherit in workers, too", function()
    local pool <close> = proc_pool.new(1)
    local Base = { kind = "base" }
    Base.__index = Base
    function Base:describe() return self.kind .. " " .. self.name end
    local Derived = setmetatable({}, { __index = Base, __call = function(self, name)
      return setmetatable({ name = name }, self)
    end })
    Derived.__index = Derived
    parhost.register("codec_classes.derived", Derived)
    local function task(object) return object:describe(), Derived "new" end
    local text, made = pool:submit(task, Derived "old"):result()
    assert.equal("base old", text)
    assert.equal("base new", made:describe())
  end)

  it("of several classes refer to each other", function()
    local pool <close> = proc_pool.new(1)
    local Tree, Leaf = class "tree", class "leaf"
    function Tree.grow() return setmetatable({ leaf = setmetatable({}, Leaf) }, Tree) end
    function Leaf:owner(tree) return tree.leaf == self and Tree end
    local tree = Tree.grow()
    local function task(t) return t.leaf:owner(t) == getmetatable(t), t.grow() end
    local ok, grown = pool:submit(task, tree):result()
    assert.is_true(ok)
    assert.equal(Tree, getmetatable(grown))
    assert.equal(Leaf, getmetatable(grown.leaf))
  end)

  it("say which part of their class cannot travel", function()
    local pool <close> = proc_pool.new(1)
    local thread = coroutine.create(print)
    local Stuck = class "stuck"
    function Stuck.wake() return thread end
    local ok, err = pcall(pool.submit, pool, math.abs, { setmetatable({}, Stuck) })
    assert.is_false(ok)
    assert.equal("not_serializable", err.kind)
    assert.matches("^class 'codec_classes.stuck': upvalue 'thread' of function .*: a coroutine cannot travel$", err.message)
  end)

  ways.it("are errors of parhost, too", function(copy)
    local err = copy(futures.error("os", "no such file", { code = 2, cause = { "x" } }))
    assert.is_true(futures.is(err, "os"))
    assert.same({ 2, "x" }, { err.code, err.cause[1] })
  end)
end)

describe("parhost.register", function()
  it("takes the same line's next class of a name", function()
    local classes, objects = {}, {}
    for i = 1, 2 do
      classes[i] = class "reloaded"
      objects[i] = setmetatable({ i }, classes[i])
    end
    local pool <close> = proc_pool.new(1)
    for i = 1, 2 do
      local back = pool:submit(function(o) return o end, objects[i]):result()
      assert.equal(classes[2], getmetatable(back))
      assert.equal(i, back[1])
    end
  end)

  it("refuses two classes of one name, two names of one class", function()
    local A, B = class "a", {}
    local function call(...)
      parhost.register(...)
      return true
    end
    local function raises(message, ...)
      local ok, err = pcall(call, ...)
      assert.is_false(ok)
      assert.is_truthy(err:find(message, 1, true), err)
    end
    parhost.register("codec_classes.a", A)
    raises("another class is registered as 'codec_classes.a', in ", "codec_classes.a", B)
    raises("the class is registered as 'codec_classes.a' already", "b", A)
    raises("bad argument #2 to 'register' (table expected, got no value)", "x")
    raises("bad argument #1 to 'register' (string expected, got number)", 1, {})
  end)
end)
