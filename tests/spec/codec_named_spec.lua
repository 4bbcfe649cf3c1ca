-- SPDX-License-Identifier: MIT
-- What travels by name is what package.loaded holds at that moment, whatever it held for the message before.
local parhost = require "parhost"

local function copy(value) return parhost.load_value(parhost.dump_value(value)) end

local function is_module(t) return copy(t) == t end

local NAME <const> = "codec_named.module"
local OTHER <const> = "codec_named.other"

describe("a table is a module", function()
  after_each(function()
    package.loaded[NAME], package.loaded[OTHER] = nil, nil
    package.loaded[1], package.loaded[true] = nil, nil
  end)

  it("from when package.loaded holds it until it does not", function()
    local t = { "t" }
    for _ = 1, 3 do
      assert.is_false(is_module(t))
      package.loaded[NAME] = t
      assert.is_true(is_module(t))
      assert.is_true(copy({ { t } })[1][1] == t)
      package.loaded[NAME] = nil
    end
    assert.same({ "t" }, copy(t))
  end)

  it("when it has taken another's place", function()
    local old, new = { "old" }, { "new" }
    package.loaded[NAME] = old
    assert.is_true(is_module(old))
    package.loaded[NAME] = new
    assert.is_true(is_module(new))
    assert.is_false(is_module(old))
    package.loaded[NAME], package.loaded[OTHER] = old, new
    assert.is_true(is_module(old) and is_module(new))
    package.loaded[NAME], package.loaded[OTHER] = new, old
    assert.is_true(is_module(old) and is_module(new))
    assert.equal(NAME, parhost.dump_value(new):match "codec_named%.%a+")
    assert.equal(OTHER, parhost.dump_value(old):match "codec_named%.%a+")
  end)

  it("and not what lies where one lay", function()
    local again = 0
    local function module_that_goes(i)
      local gone = { i }
      package.loaded[NAME] = gone
      local same, address = is_module(gone), ("%p"):format(gone)
      package.loaded[NAME] = nil
      return same, address
    end
    for i = 1, 20 do
      local same, address = module_that_goes(i)
      assert.is_true(same)
      collectgarbage()
      local plain = {}
      for k = 1, 1000 do
        plain[k] = { k }
        if ("%p"):format(plain[k]) == address then
          again = again + 1
          assert.same({ k }, copy(plain[k]))
          assert.is_false(is_module(plain[k]))
          break
        end
      end
    end
    local sanitized = io.open("/proc/self/maps"):read("a"):find("lib[at]san") ~= nil -- gives no address again for long
    assert.is_true(sanitized or again > 0, "no address came again: nothing was tested")
  end)

  it("and is found where a number was or comes", function()
    local t = { "t" }
    package.loaded[NAME] = true
    assert.is_false(is_module(t))
    package.loaded[NAME] = t
    assert.is_true(is_module(t))
    package.loaded[NAME] = 1
    assert.is_false(is_module(t))
    package.loaded[NAME] = "text"
    assert.same({ "t", "text" }, copy { "t", "text" })
  end)

  it("under a name only", function()
    local t = { "t" }
    package.loaded[1], package.loaded[true] = t, t
    assert.is_false(is_module(t))
    package.loaded[NAME] = t
    assert.is_true(is_module(t))
    package.loaded[NAME] = nil
    assert.is_false(is_module(t))
  end)

  it("rather than a class, but for that a name is needed, too", function()
    local Class = {}
    Class.__index = Class
    assert.same({}, copy({})) -- before the class is known
    parhost.register("codec_named.class", Class)
    assert.is_true(is_module(Class)) -- a class, by its own name
    assert.is_nil(parhost.dump_value(Class):find(NAME, 1, true))
    package.loaded[NAME] = Class
    assert.is_truthy(parhost.dump_value(Class):find(NAME, 1, true))
    package.loaded[NAME], package.loaded[1] = nil, Class
    assert.is_truthy(parhost.dump_value(Class):find("codec_named.class", 1, true))
    assert.equal(Class, getmetatable(copy(setmetatable({}, Class))))
  end)

  it("whatever package.loaded is replaced by in the package table", function()
    local loaded, t = package.loaded, { "t" }
    package.loaded = setmetatable({}, { __index = loaded, __newindex = loaded }) -- luacheck: ignore
    package.loaded[NAME] = t
    local found, string_found = is_module(t), is_module(string)
    package.loaded = loaded -- luacheck: ignore
    assert.is_true(found and string_found)
  end)
end)
