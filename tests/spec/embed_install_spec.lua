-- SPDX-License-Identifier: MIT
-- What `cmake --install` puts where, and what the libraries show and need.
package.path = "tests/spec/?.lua;" .. package.path
local run = require "support.run"
local stage = require "support.stage"

local function lines(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = line end
  table.sort(list)
  return list
end

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

describe("cmake --install", function()
  local prefix, version

  setup(function()
    prefix = stage.install()
    version = require "parhost".version
  end)

  teardown(function() stage.remove(prefix) end)

  it("installs program, libraries, header and modules", function()
    local found = lines(stage.sh(("cd %s && find . '(' -path ./share/doc -o -path ./share/parhost ')' -prune "
      .. "-o -type d -o -print"):format(prefix)))
    local expected = {
      "./bin/parhost", "./include/parhost.h",
      "./lib/libparhost.a", "./lib/libparhost.so", "./lib/libparhost.so.0", "./lib/libparhost.so." .. version,
      "./lib/pkgconfig/parhost.pc",
      "./lib/cmake/parhost/parhostConfig.cmake", "./lib/cmake/parhost/parhostConfigVersion.cmake",
      "./lib/lua/5.4/parhost/stock.so",
      "./share/man/man1/parhost.1", "./share/bash-completion/completions/parhost",
      "./share/zsh/site-functions/_parhost", "./share/fish/vendor_completions.d/parhost.fish",
    }
    for _, name in ipairs { "async", "futures", "http", "parhost", "plot", "proc_pool", "thread_pool" } do
      expected[#expected + 1] = ("./share/lua/5.4/%s.lua"):format(name)
    end
    table.sort(expected)
    assert.same(expected, found)
    stage.sh(("cd %s/share && test -f parhost/meta/proc_pool.lua && test -f doc/parhost/embedding.md"):format(prefix))
  end)

  it("heeds DESTDIR", function()
    local root = stage.folder()
    stage.sh(("DESTDIR=%s cmake --install %s --prefix /usr"):format(root, run.quote(stage.build)))
    stage.sh(("test -x %s/usr/bin/parhost && test -f %s/usr/include/parhost.h"):format(root, root))
    stage.remove(root)
  end)

  it("leaves no path of the build tree behind", function()
    for _, name in ipairs { "bin/parhost", "lib/libparhost.so", "lib/lua/5.4/parhost/stock.so" } do
      assert.is_nil(stage.sh(("readelf -d %s/%s"):format(prefix, name)):find("R[UN]*PATH"), name)
    end
    local build = stage.sh(("cd %s && pwd"):format(run.quote(stage.build))):gsub("\n", "")
    local named = run.sh(("grep -rl -F %s %s/lib/cmake %s/lib/pkgconfig %s/share/lua"):format(
      run.quote(build), prefix, prefix, prefix))
    assert.equal("", named.out)
  end)

  it("shows the functions of parhost.h and nothing else", function()
    local declared = {}
    for name in read(prefix .. "/include/parhost.h"):gmatch "\nPARHOST_API [%w_ ]-%*?([%w_]+)%(" do
      declared[#declared + 1] = name
    end
    table.sort(declared)
    local shown = lines(stage.sh(("nm -D --defined-only %s/lib/libparhost.so | sed -n 's/.* T \\(.*\\)@@PARHOST_0/\\1/p'")
      :format(prefix)))
    assert.same(declared, shown)
    assert.is_true(#declared >= 19)
    local all = lines(stage.sh(("nm -D --defined-only %s/lib/libparhost.so"):format(prefix)))
    assert.equal(#declared + 1, #all) -- and the name of the version
    assert.same(declared,
      lines(stage.sh(("nm --defined-only --extern-only %s/lib/libparhost.a | sed -n 's/^[0-9a-f]* . //p'"):format(prefix))))
    assert.same({ "luaopen_parhost_stock" },
      lines(stage.sh(("nm -D --defined-only %s/lib/lua/5.4/parhost/stock.so | sed 's/.* T //'"):format(prefix))))
  end)

  it("has no Lua in the libraries, and asks for none", function()
    for _, name in ipairs { "libparhost.so", "lua/5.4/parhost/stock.so" } do
      local path = prefix .. "/lib/" .. name
      assert.is_nil(stage.sh("readelf -d " .. path):find("NEEDED[^\n]*lua"), name)
      assert.is_truthy(stage.sh("nm -D --undefined-only " .. path):find(" U lua_newuserdatauv\n"), name)
      assert.is_truthy(stage.sh("readelf -d " .. path):find("NODELETE"), name)
    end
  end)

  it("names one version everywhere", function()
    local header = read(prefix .. "/include/parhost.h")
    local parts = {}
    for _, part in ipairs { "MAJOR", "MINOR", "PATCH" } do
      parts[#parts + 1] = header:match("PARHOST_VERSION_" .. part .. " (%d+)")
    end
    assert.equal(version, table.concat(parts, "."))
    local pkg_config = ("PKG_CONFIG_PATH=%s/lib/pkgconfig pkg-config"):format(prefix)
    assert.equal(version .. "\n", stage.sh(pkg_config .. " --modversion parhost"))
  end)
end)
