-- SPDX-License-Identifier: MIT
-- The programs of tests/embed, built from an installed tree by pkg-config and by CMake, and run.
package.path = "tests/spec/?.lua;" .. package.path
local run = require "support.run"
local stage = require "support.stage"

local FLAGS <const> = "-std=c11 -Wall -Wextra -Werror -D_GNU_SOURCE"

describe("a tool", function()
  local prefix, folder

  setup(function()
    prefix, folder = stage.install(), stage.folder()
    stage.sh(("cmake -G Ninja -S tests/embed -B %s/cmake -DCMAKE_PREFIX_PATH=%s -DCMAKE_C_FLAGS='%s'"):format(
      folder, prefix, FLAGS))
    stage.sh(("cmake --build %s/cmake"):format(folder))
  end)

  teardown(function()
    stage.remove(prefix)
    stage.remove(folder)
  end)

  -- Builds a program of tests/embed with these flags; gives a command that runs it.
  local function build(name, flags)
    stage.sh(("PKG_CONFIG_PATH=%s/lib/pkgconfig; export PKG_CONFIG_PATH; cc %s -o %s/%s tests/embed/%s.c %s"):format(
      prefix, FLAGS, folder, name, name, flags))
    return ("LD_LIBRARY_PATH=%s/lib timeout 60 %s/%s"):format(prefix, folder, name)
  end

  it("in its smallest form runs a file", function()
    local minimal = build("minimal", "$(pkg-config --cflags --libs parhost)")
    local script = minimal .. " tests/embed/minimal.lua"
    assert.same({ out = "25\t36\n16\n", err = "", code = 0 }, run.sh(script .. " 5"))
    assert.same({ out = "0\t1\n16\n", err = "", code = 7 }, run.sh(script .. " 0"))
    local failed = run.sh(script .. " x")
    assert.same({ "", 1 }, { failed.out, failed.code })
    assert.matches("^minimal: a number is needed, got x\nstack traceback:\n\t%[C%]: in function 'error'\n"
      .. "\ttests/embed/minimal.lua:9: in main chunk\n$", failed.err)
    assert.matches("^minimal: cannot open nowhere.lua", run.sh(minimal .. " nowhere.lua").err)
  end)

  it("drives parhost by its own event loop", function()
    local lines = [[printf 'one two\nthree\n\nfour five six\n']]
    local result = run.sh(("%s | timeout 60 %s/cmake/loop tests/embed/loop.lua"):format(lines, folder))
    assert.same({ "one two: 2\nthree: 1\nfour five six: 3\n", 0 }, { result.out, result.code })
    assert.matches("^loop: an empty line\nstack traceback:\n.*\nthe tool went on meanwhile: yes\n$", result.err)
  end)

  it("gives its functions to workers of every kind", function()
    local result = run.sh(("timeout 60 %s/cmake/functions tests/embed/functions.lua"):format(folder))
    assert.same({ out = "3\n2\n1\n3\n2\n1\n", err = "", code = 0 }, result)
  end)

  it("may have Lua linked in", function()
    local minimal = build("minimal", "$(pkg-config --cflags parhost) " ..
      "-L$(pkg-config --variable=libdir parhost) -lparhost " ..
      "-Wl,--whole-archive -l:liblua5.4.a -Wl,--no-whole-archive -lm -ldl")
    assert.equal("25\t36\n16\n", run.sh(minimal .. " tests/embed/minimal.lua 5").out)
    assert.is_nil(stage.sh(("LD_LIBRARY_PATH=%s/lib ldd %s/minimal"):format(prefix, folder)):find("liblua", 1, true))
  end)

  it("with two copies of Lua is told so", function()
    local two = build("two_luas", "$(pkg-config --cflags lua5.4) -Wl,--exclude-libs,ALL -l:liblua5.4.a -lm -ldl")
    local result = run.sh(two)
    assert.same({ "", 0 }, { result.err, result.code })
    assert.matches("^the state belongs to another copy of Lua %(in [^\n]*two_luas%) than the one that parhost uses "
      .. "%(in [^\n]*liblua5%.4%.so%.0%): link one only\n$", result.out)
  end)
end)
