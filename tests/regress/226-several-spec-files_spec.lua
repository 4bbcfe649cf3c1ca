-- SPDX-License-Identifier: MIT
-- busted forgets behind each file the modules that it has loaded, and gives spec files an environment of their own. The next
-- file could not load http.json, nor a module that registers a class; functions that use a global could not be tasks.
package.path = "tests/spec/?.lua;" .. package.path
local directory = require "support.directory"

local POINT <const> = [[
local Point = {}
require "parhost".register("point", Point)
return Point]]

local SPEC <const> = [[
local futures, json, Point = require "futures", require "http.json", require "point"

factor = 3
function helper(x) return x * factor end
function unseen() end

describe("tasks in specs", function()
  local outer = 2
  for _, kind in ipairs { "proc_pool", "thread_pool" } do
    local new = require(kind).new

    it("use what the file has " .. kind, function()
      local pool <close> = new(1)
      assert.equal(11, pool:submit(function(x) return helper(x) + math.floor(outer) end, 3):result())
      assert.is_nil(pool:submit(function() return rawget(_G, "unseen") end):result())
      assert.equal(Point, getmetatable(pool:submit(function(p) return p end, setmetatable({}, Point)):result()))
    end)

    it("assert " .. kind, function()
      local pool <close> = new(1)
      assert.is_true(pool:submit(function(x) assert.equal(4, x) return assert(true) end, 4):result())
      local told = tostring(pool:submit(function() assert.equal(4, 5) end):error())
      assert.matches("_spec.lua:%d+: Expected objects to be equal", told)
    end)
  end

  it("share the modules", function()
    assert.equal("[]", json.encode(json.array {}))
    local kept = debug.getregistry() -- of both files
    kept["tests.futures"] = kept["tests.futures"] or futures
    assert.equal(kept["tests.futures"], futures)
  end)
end)]]

describe("parhost test", function()
  it("runs spec files one after the other", function()
    local made <close> = directory.new { ["a_spec.lua"] = SPEC, ["b_spec.lua"] = SPEC, ["point.lua"] = POINT }
    local result = made:parhost "test -o TAP ."
    assert.same({ "", 0 }, { result.err, result.code })
    assert.matches("\n1%.%.10\n$", result.out)
    assert.equal(10, select(2, result.out:gsub("ok %d+ %-", "")))
  end)
end)
