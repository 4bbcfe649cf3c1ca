-- SPDX-License-Identifier: MIT
-- A module registers a class and keeps it to itself. An object of it went to a worker, the definition of the class with it;
-- the worker then loaded the module, which could not register its class: the name was taken.
package.path = "tests/spec/?.lua;" .. package.path
local directory = require "support.directory"

local POINT <const> = [[
local class = require "class"
local Point = class "point"
local point = {}
function point.new(x) return setmetatable({ x = x }, Point) end
function point.is(p) return getmetatable(p) == Point end
return point]]

local CLASS <const> = [[
return function(name)
  local class = {}
  class.__index = class
  require "parhost".register(name, class)
  return class
end]]

local MAIN <const> = [[
local point = require "point"
local new = require(arg[1]).new
local function late(p)
  local here = require "point"
  assert(here.is(p) and here.is(here.new(1)))
  return here.new(p.x + 1)
end
local function with_upvalue(p)
  assert(point.is(p))
  return point.new(p.x + 1)
end
for _, task in ipairs { late, with_upvalue } do
  local pool <close> = new(1)
  for i = 1, 2 do
    local p = pool:submit(task, point.new(i)):result()
    print(p.x, point.is(p))
  end
end]]

describe("a module that registers a class", function()
  for _, kind in ipairs { "proc_pool", "thread_pool" } do
    it("gives it to the workers of a " .. kind, function()
      local made <close> = directory.new { ["point.lua"] = POINT, ["class.lua"] = CLASS, ["main.lua"] = MAIN }
      local result = made:parhost("main.lua " .. kind)
      assert.same({ out = ("2\ttrue\n3\ttrue\n"):rep(2), err = "", code = 0 }, result)
    end)
  end

  it("that workers cannot find is known by its definition", function()
    local main = [[package.path = package.path .. ";sub/?.lua"
local point = require "point"
local function double(p) return setmetatable({ x = 2 * p.x }, getmetatable(p)) end
local pool <close> = require "proc_pool".new(1)
os.remove "sub/point.lua"
print(pool:submit(double, point.new(4)):result().x)]]
    local made <close> = directory.new { ["sub/point.lua"] = POINT, ["class.lua"] = CLASS, ["main.lua"] = main }
    local result = made:parhost "main.lua"
    assert.same({ out = "8\n", err = "", code = 0 }, result)
  end)
end)
