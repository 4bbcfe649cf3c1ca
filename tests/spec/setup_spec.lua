-- SPDX-License-Identifier: MIT
-- `parhost setup`: what it writes, what it leaves alone, what it says.
package.path = "tests/spec/?.lua;" .. package.path
local json = require "http.json"
local run = require "support.run"
local stage = require "support.stage"

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read("a")
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

describe("parhost setup", function()
  local folder, project, stubs

  before_each(function()
    folder = stage.folder()
    project, stubs = folder .. "/project", folder .. "/data/parhost/meta"
    stage.sh("mkdir " .. project)
  end)
  after_each(function() stage.remove(folder) end)

  local function setup_program(arguments, program)
    local command = ("exec env XDG_DATA_HOME=%s/data %s setup %s"):format(
      folder, program or run.parhost, arguments or project)
    return run.sh(command)
  end

  -- What becomes of a file.
  local function merged(text)
    write(project .. "/.luarc.json", text)
    local result = setup_program()
    assert.equal("", result.err)
    return read(project .. "/.luarc.json"), result.out
  end

  it("writes .luarc.json and the stubs, and tells so", function()
    local result = setup_program()
    assert.same({ code = 0, err = "" }, { code = result.code, err = result.err })
    assert.same({ ["runtime.version"] = "Lua 5.4", ["workspace.library"] = { stubs } },
      json.decode(read(project .. "/.luarc.json"), ".luarc.json"))
    for _, line in ipairs { " files written", 'runtime.version is "Lua 5.4"', "workspace.library has " .. stubs } do
      assert.truthy(result.out:find(line, 1, true), result.out)
    end
    for name in stage.sh("ls lua/meta"):gmatch("%S+") do
      assert.equal(read("lua/meta/" .. name), read(stubs .. "/" .. name))
    end
  end)

  it("has nothing to do the second time", function()
    setup_program()
    local before = read(project .. "/.luarc.json")
    local result = setup_program()
    assert.equal(("parhost: setup: %s/.luarc.json: nothing to change\n"):format(project), result.out)
    assert.equal(before, read(project .. "/.luarc.json"))
  end)

  it("takes away stubs of modules that are no more, and renews others", function()
    setup_program()
    write(stubs .. "/gone.lua", "---@meta gone")
    write(stubs .. "/http.lua", "---@meta http")
    assert.truthy(setup_program().out:find(": 1 files written", 1, true))
    assert.is_nil(read(stubs .. "/gone.lua"))
    assert.equal(read("lua/meta/http.lua"), read(stubs .. "/http.lua"))
  end)

  it("adds to a file and leaves the rest as it is, comments and all", function()
    local text, told = merged('{\n    // mine\n    "diagnostics.globals": ["vim"], /* and */\n'
      .. '    "workspace.library": [\n        "/other", // there\n    ],\n    "hint.enable": true\n}')
    assert.equal('{\n    // mine\n    "diagnostics.globals": ["vim"], /* and */\n'
      .. '    "workspace.library": [\n        "/other",\n        "' .. stubs .. '", // there\n    ],\n'
      .. '    "hint.enable": true,\n    "runtime.version": "Lua 5.4"\n}', text)
    assert.truthy(told:find("workspace.library has " .. stubs, 1, true))
  end)

  local L <const> = '"LIB"'
  for given, expected in pairs {
    ["{}"] = '{\n  "runtime.version": "Lua 5.4",\n  "workspace.library": [LIB]\n}',
    ["{ }\n"] = '{\n  "runtime.version": "Lua 5.4",\n  "workspace.library": [LIB]\n}\n',
    [""] = '{\n  "runtime.version": "Lua 5.4",\n  "workspace.library": [LIB]\n}\n',
    ['{"runtime":{"version":"Lua 5.4"},"workspace":{}}'] =
      '{"runtime":{"version":"Lua 5.4"},"workspace":{\n  "library": [LIB]\n}}',
    ['{"Lua":{"runtime.version":"Lua 5.4","workspace":{"library":[]}}}'] =
      '{"Lua":{"runtime.version":"Lua 5.4","workspace":{"library":[LIB]}}}',
    ['{"Lua.runtime.version":"Lua 5.4","Lua.workspace.library":["/a"]}'] =
      '{"Lua.runtime.version":"Lua 5.4","Lua.workspace.library":["/a", LIB]}',
    ['{"runtime.version":"Lua 5.4","workspace.library":["/a","/old/parhost/meta"]}'] =
      '{"runtime.version":"Lua 5.4","workspace.library":["/a",LIB]}',
    ['{"runtime.version":"LuaJIT","workspace.library":["/\\u0061"]}'] =
      '{"runtime.version":"LuaJIT","workspace.library":["/\\u0061", LIB]}',
  } do
    it("makes of " .. given, function()
      assert.equal((expected:gsub("LIB", function() return (L:gsub("LIB", stubs)) end)), (merged(given)))
    end)
  end

  it("keeps another version of Lua, and says so", function()
    local _, told = merged('{"runtime.version":"LuaJIT"}')
    assert.truthy(told:find('runtime.version stays "LuaJIT"; parhost is "Lua 5.4"', 1, true), told)
  end)

  it("adds to .luarc.jsonc when that is the one", function()
    write(project .. "/.luarc.jsonc", "{} // mine")
    setup_program()
    assert.is_nil(read(project .. "/.luarc.json"))
    assert.truthy(read(project .. "/.luarc.jsonc"):find(stubs, 1, true))
  end)

  for given, message in pairs {
    ['{\n  "a": tru\n}'] = "line 2, column 8: a value expected", ["{"] = "line 1, column 2: a name in quotes expected",
    ["[]"] = "an object expected", ['{"a":1} x'] = "line 1, column 9: the end of the file expected",
    ['{"workspace.library": "/a"}'] = "workspace.library: an array expected", ['{"a" 1}'] = "line 1, column 6: ':' expected",
    ['{"a": [1 2]}'] = "line 1, column 10: ',' or ']' expected", ["{ /* "] = "line 1, column 3: this comment has no end",
    ['{"a\n": 1}'] = "line 1, column 2: this text has no end", [("["):rep(1e6)] = "line 1, column 201: nested too deeply",
  } do
    it("does not touch what it does not understand: " .. given:sub(1, 30):gsub("\n", " "), function()
      write(project .. "/.luarc.json", given)
      local result = setup_program()
      assert.equal(1, result.code)
      assert.truthy(result.err:find("/.luarc.json: " .. message, 1, true), result.err)
      assert.truthy(result.err:find("(nothing was changed)\n", 1, true))
      assert.equal(given, read(project .. "/.luarc.json"))
      assert.is_nil(read(stubs .. "/futures.lua"))
    end)
  end

  it("shows with --print and writes nothing", function()
    local result = setup_program("--print " .. project)
    assert.same({ stubs }, json.decode(result.out, "output")["workspace.library"])
    assert.equal("project\n", stage.sh("cd " .. folder .. " && find . -mindepth 1 -printf '%P\\n'"))
  end)

  it("writes .luacheckrc with --luacheck, where there is none", function()
    assert.equal(0, setup_program("--luacheck " .. project).code)
    local text = read(project .. "/.luacheckrc")
    assert.truthy(text:find('std = "lua54"', 1, true))
    assert.truthy(load(text))
    write(project .. "/.luacheckrc", "std = 'max'")
    assert.truthy(setup_program("--luacheck " .. project).out:find("stays as it is", 1, true))
    assert.equal("std = 'max'", read(project .. "/.luacheckrc"))
    assert.is_nil(read(project .. "/.luarc.json"))
  end)

  it("names what is wrong with its arguments", function()
    for arguments, message in pairs {
      ["--nonsense"] = "unrecognized option '--nonsense'", ["a b"] = "one directory expected, got 'a' and 'b'",
      [folder .. "/nowhere"] = folder .. "/nowhere/.luarc.json",
    } do
      local result = setup_program(arguments)
      assert.equal(1, result.code)
      assert.truthy(result.err:find("parhost: setup: " .. message, 1, true), result.err)
    end
    assert.truthy(setup_program("--help").out:find("usage: parhost setup", 1, true))
    local result = run.sh(("exec env -u HOME -u XDG_DATA_HOME %s setup %s"):format(run.parhost, project))
    assert.truthy(result.err:find("neither HOME nor XDG_DATA_HOME is set", 1, true))
  end)

  it("names the stubs that are installed with the program", function()
    local prefix = folder .. "/prefix"
    stage.sh(("mkdir -p %s/bin %s/share/parhost && cp %s %s/bin && cp -r lua/meta %s/share/parhost"):format(
      prefix, prefix, run.parhost, prefix, prefix))
    local result = setup_program(project, prefix .. "/bin/parhost")
    local text = read(project .. "/.luarc.json")
    assert.equal(0, result.code)
    assert.truthy(text:find(prefix .. "/share/parhost/meta", 1, true))
    assert.is_nil(read(stubs .. "/futures.lua"))
  end)
end)
