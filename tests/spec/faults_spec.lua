-- SPDX-License-Identifier: MIT
-- Fault points: one half of the rows in support/fault_rows.lua, the list itself, arming, and builds without them.
package.path = "tests/spec/?.lua;" .. package.path
local rows = require "support.fault_rows"
local run = require "support.run"

local has_faults, fault = pcall(require, "parhost.core.fault")

local describe_faults = has_faults and describe or pending

describe_faults("fault point", function()
  for _, row in ipairs(rows.half(1)) do
    it(row.name, function() assert.same(row.run()) end)
  end

  it("each has a row, and they are sorted", function()
    local covered, last = {}, ""
    for _, row in ipairs(rows.all) do
      for word in row[1]:gsub("^arm ", ""):gmatch "[^,]+" do
        covered[word:gsub("[:=].*", ""):gsub("^.*%.", "")] = true
      end
    end
    for _, point in ipairs(fault.points()) do
      assert.is_true(last < point.name, point.name)
      assert.is_true(covered[point.name], "no row for " .. point.name)
      assert.matches("^%g[^\n]+$", point.meaning)
      last = point.name
    end
  end)
end)

describe_faults("arming", function()
  local function refused(text)
    local ok, err = pcall(fault.arm, text)
    assert.is_false(ok)
    return err:match "%((.*)%)"
  end

  it("says what it does not understand, and then arms nothing", function()
    assert.equal("'frok': there is no such fault point", refused "frok")
    assert.equal("'moon.fork': there is no such place", refused "moon.fork")
    assert.equal("'fork:x': which time is that", refused "fork:x")
    assert.equal("'fork:0': which time is that", refused "fork:0")
    assert.equal("'fork:1*': which time is that", refused "fork:1*")
    assert.equal("'fork=EWHAT': there is no such error", refused "alloc:1,fork=EWHAT")
    local result = run.script("print(1)", "", "PARHOST_FAULT=fork:2,frok")
    assert.same({ out = "", err = "parhost: PARHOST_FAULT: 'frok': there is no such fault point\n", code = 1 }, result)
  end)
end)

describe("a build without fault points", function()
  local function holds_some(path)
    local file <close> = assert(io.open(path, "rb"))
    local bytes = file:read("a")
    return (bytes:find("PARHOST_FAULT", 1, true) or bytes:find("ph_fault", 1, true)) ~= nil
  end

  it("has no trace of them", function()
    assert.equal(has_faults, holds_some(run.path))
    local release = io.open("build/release/parhost")
    if release then
      release:close()
      assert.is_false(holds_some("build/release/parhost"))
    end
  end)

  it("compiles them to nothing", function()
    local files = io.popen("grep -lE 'PH_FAULT|ph_(malloc|calloc|realloc)\\(' src/*/*.c")
    local n = 0
    for path in files:lines() do
      local text = run.sh("pkg-config --cflags lua5.4 libuv 2>/dev/null; true").out:gsub("\n", " ")
      local result = run.sh(("cc -E -P -D_GNU_SOURCE -UPH_FAULTS -Isrc %s %s"):format(text, path))
      assert.equal(0, result.code, result.err)
      assert.is_nil(result.out:find("ph_fault", 1, true), path)
      assert.is_nil(result.out:find("PH_FAULT", 1, true), path)
      n = n + 1
    end
    files:close()
    assert.is_true(n > 20)
  end)
end)
