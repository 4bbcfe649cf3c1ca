-- SPDX-License-Identifier: MIT
-- The command line: what stock lua does with the same words, and what parhost adds.
local run = require "tests.spec.support.run"

local STOCK = "lua5.4"
local has_stock = run.sh("command -v " .. STOCK).code == 0

-- Command lines; P is the program. The directory holds the files below.
local files = {
  ["args.lua"] = "print(select('#', ...), ...) for i = -4, #arg do print(i, arg[i] and arg[i]:gsub('.*/', '')) end",
  ["hash.lua"] = "#!/usr/bin/env nonsense\nprint 'after the first line'",
  ["bad.lua"] = "x = = 1",
  ["fails.lua"] = "local function f(t) return t.x.y end\nlocal function g() f({}) end\ng()",
  ["mod.lua"] = "print('mod', ...) return { name = 'mod' }",
  ["init.lua"] = "print 'init file' seen = true",
  ["badinit.lua"] = "error 'init failed'",
  ["compiled.lua"] = "local f = io.open('chunk.luac', 'wb') f:write(string.dump(load 'print(1, ...)')) f:close()",
}

local same = {
  [[P -e 'print(1)']], [[P -e'print(1)']], [[P -e 'print(1)' -e 'print(2)']], [[P -e]], [[P -e -i]], [[P -l]],
  [[P -e 'x =']], [[P -e 'error("boom")' -e 'print "not reached"']],
  [[P -e 'print(#arg, arg[0], arg[1], arg[-1])' args.lua a]], [[P -e 'print(arg[-1], arg[0], arg[1])']],
  [[P -v]], [[P -v -e 'print(1)']], [[P -v args.lua]], [[P -W -e 'warn "w"']],
  [[P -W -e 'warn("@off") warn "w"']], [[P -W args.lua x]], [[P -v -E]], [[P -E -e 'print(package.path)']],
  [[P -E -e 'print(package.cpath)']], [[LUA_PATH='x/?;;' P -e 'print(package.path)']],
  [[LUA_PATH_5_4='y/?;;' LUA_PATH=no P -e 'print(package.path)']],
  [[LUA_CPATH='x/?.so;;' P -e 'print(package.cpath)']], [[LUA_PATH='x/?' P -E -e 'print(package.path)']],
  [[P -l mod -e 'print(mod.name)']], [[P -lmod -e 'print(mod.name)']], [[P -l m=mod -e 'print(m.name, mod)']],
  [[P -lm=mod -e 'print(m.name)']], [[P -l no.such.module]], [[P -l string -e 'print(string.len "x")']],
  [[P -l bad]], [[P args.lua]], [[P args.lua a 'b c' '']], [[P args.lua -v -e --help]], [[P -- args.lua x]],
  [[P -W -- args.lua x]], [[P --]], [[P -- -e]], [[P hash.lua]], [[P bad.lua]], [[P fails.lua]],
  [[P missing.lua]], [[P .]], [[P - a b < args.lua]], [[P - < bad.lua]], [[P < args.lua]],
  [[P -W < hash.lua]], [[P -- - < args.lua]], [[P -e 'x = 1' < args.lua]],
  [[LUA_INIT='print "init"' P -e 'print(1)']], [[LUA_INIT_5_4='print "54"' LUA_INIT='print "no"' P -e '']],
  [[LUA_INIT=@init.lua P -e 'print(seen)']], [[LUA_INIT=@badinit.lua P -e 'print(1)']],
  [[LUA_INIT='x x' P -e 'print(1)']], [[LUA_INIT=@missing.lua P args.lua]],
  [[LUA_INIT='print "init"' P -E -e 'print(1)']], [[LUA_INIT='arg = nil' P args.lua]],
  [[LUA_INIT='arg = { "changed", n = 1 }' P args.lua]], [[P -e 'os.exit(7)']], [[P -e 'os.exit(true)']],
  [[P -e 'os.exit(false)']], [[P -e 'os.exit(3, true)']], [[P -e 'error()']], [[P -e 'error(nil)']],
  [[P -e 'error({})']], [[P -e 'error(42)']], [[P -e 'error("m", 0)']],
  [[P -e 'error(setmetatable({}, { __tostring = function() return "text" end }))']],
  [[P -e 'local x <close> = setmetatable({}, { __close = function() print "closed" end }) error "x"']],
  [[P -e 'local function f() return 1 + f() end f()']], [[P -e 'print(debug.traceback())']],
  [[P compiled.lua && P chunk.luac a]], [[P -e 'io.stdout:write "x" io.stderr:write "y"']],
  [[P -e 'print(io.read("a"))' < hash.lua]], [[P -e 'goto continue']],
  [[P -e 'print(collectgarbage "count" < 100)']], [[P -e 'print(os.getenv "HOME" ~= nil)']],
}

-- At the prompt. Stock lua with readline echoes what it reads from a file, so its output is compared without that.
local same_at_prompt = {
  [[P -i < init.lua]], [[echo 'return 1, 2' | P -i]],
  [[printf '1 + 1\n=2\nx = 5\nx\nfor i = 1, 2 do\nprint(i)\nend\n' | P -i]],
  [[printf 'error("e")\nx x\n' | P -i]], [[printf 'return nil, nil\n' | P -i]],
  [[printf 'print = nil\n5\n' | P -i]], [[printf 'os.exit(4)' | P -i]],
  [[P -i -e 'print(1)' args.lua z < hash.lua]], [[P -i bad.lua < init.lua]],
  [[printf 'local x = 1\nx\n' | P -i]], [[printf 'coroutine.yield()\ncoroutine.isyieldable()\n' | P -i]],
  [[printf 'debug.traceback()\n' | P -i]], [[printf '"no newline at the end"' | P -i]],
  [[P -i fails.lua < init.lua]],
}

describe("command line", function()
  local directory

  setup(function()
    directory = os.tmpname()
    os.remove(directory)
    os.execute("mkdir " .. directory)
    for name, text in pairs(files) do
      local file <close> = assert(io.open(directory .. "/" .. name, "wb"))
      file:write(text)
    end
    local program = run.sh("realpath " .. run.parhost).out:gsub("\n", "")
    os.execute(("ln -s %s %s/parhost"):format(run.quote(program), directory))
  end)

  teardown(function()
    os.execute("rm -r " .. directory)
  end)

  -- Runs a command line with P as the given program; messages begin with the program's name in both.
  local function try(line, program)
    local path = directory .. ":" .. os.getenv("PATH")
    local begin = ("cd %s; PATH=%s; unset LUA_INIT LUA_PATH LUA_CPATH; P() { timeout 60 %s \"$@\"; }; "):format(
      directory, path, program)
    local result = run.sh(begin .. line)
    for _, stream in ipairs { "out", "err" } do
      result[stream] = result[stream]:gsub("0x%x+", "0xADDRESS"):gsub(program:gsub("%p", "%%%0"), "PROGRAM")
    end
    result.err = result.err:gsub("skipping %d+ levels", "skipping many levels")
    -- The two usage texts differ; that there is one must not.
    result.err = result.err:gsub("usage: PROGRAM %[options%].*", "usage\n")
    return result
  end

  for _, line in ipairs(same) do
    it("does as stock lua: " .. line, function()
      if not has_stock then return pending(STOCK .. " is not installed") end
      assert.same(try(line, STOCK), try(line, "parhost"))
    end)
  end

  for _, line in ipairs(same_at_prompt) do
    it("does as stock lua: " .. line, function()
      if not has_stock then return pending(STOCK .. " is not installed") end
      local stock, ours = try(line, STOCK), try(line, "parhost")
      stock.out = stock.out:gsub("(>+ )[^\n]*\n", "%1"):gsub("\n$", "")
      ours.out = ours.out:gsub("\n$", "")
      assert.same(stock, ours)
    end)
  end

  it("says what is missing at the end of the input", function()
    local result = try([[printf 'print(1\n' | P -i]], "parhost")
    assert.equal("stdin:1: ')' expected near <eof>\n", result.err)
    assert.equal(0, result.code)
  end)

  it("asks _PROMPT and _PROMPT2 for the prompts", function()
    local line = [[printf '_PROMPT = "? " _PROMPT2 = 7\nprint(\n5)\n' | P -i]]
    assert.match("\n> %? 75\n%? \n$", try(line, "parhost").out)
  end)

  it("names itself 'parhost' however it was called", function()
    local result = run.sh(directory .. "/parhost -e 'error(\"x\", 0)'")
    assert.equal("parhost: x\nstack traceback:\n\t[C]: in function 'error'\n\t(command line):1: in main chunk\n"
      .. "\t[C]: in ?\n", result.err)
    assert.equal(1, result.code)
  end)

  it("turns warnings on", function()
    assert.equal("Lua warning: heard\n", try("P -e 'warn \"heard\"'", "parhost").err)
    assert.equal("", try("P -e 'warn \"@off\" warn \"not heard\"'", "parhost").err)
  end)

  it("shows help and versions", function()
    for _, option in ipairs { "-h", "--help" } do
      local result = try("P " .. option, "parhost")
      assert.match("^usage: PROGRAM", result.out)
      assert.match("PROGRAM test %[busted arguments%]", result.out)
      assert.equal(0, result.code)
    end
    for _, option in ipairs { "-V", "--version" } do
      local result = try("P " .. option, "parhost")
      assert.match("^PROGRAM %d+%.%d+%.%d+\nLua 5%.4%.%d+\nlibuv 1%.%d+%.%d+\nlibcurl", result.out)
      assert.equal(0, result.code)
    end
  end)

  it("names an unknown option and the nearest known one", function()
    local cases = {
      ["--hlep"] = "unrecognized option '--hlep' (did you mean '--help'?)",
      ["--worker=3"] = "unrecognized option '--worker=3' (did you mean '--workers'?)",
      ["--frobnicate"] = "unrecognized option '--frobnicate'",
      ["-ix"] = "unrecognized option '-ix'",
      ["-vE"] = "unrecognized option '-vE'",
    }
    for option, message in pairs(cases) do
      local result = try("P " .. option .. " -e 'print(1)'", "parhost")
      local first = result.err:match("^[^\n]*")
      if not message:find("did you mean", 1, true) then first = first:gsub(" %(did you mean.*", "") end
      assert.equal("PROGRAM: " .. message, first)
      assert.equal("", result.out)
      assert.equal(1, result.code)
    end
  end)

  it("takes the default number of workers", function()
    local ask = [[ -e 'print(require "parhost.core.host".default_workers())']]
    for line, answer in pairs {
      ["P -j 3"] = "3", ["P -j3"] = "3", ["P --workers 4"] = "4", ["P --workers=5"] = "5",
      ["PARHOST_WORKERS=6 P"] = "6",
      ["PARHOST_WORKERS=6 P -j 2"] = "2", ["PARHOST_WORKERS=6 P -E"] = "", ["PARHOST_WORKERS= P"] = "", ["P"] = "",
    } do
      assert.equal(answer .. "\n", try(line .. ask, "parhost").out)
    end
  end)

  it("refuses a bad number of workers, naming where it came from", function()
    for line, message in pairs {
      ["P -j 0"] = "-j: number of workers expected (an integer from 1 to 10000), got '0'",
      ["P --workers=x"] = "--workers: number of workers expected (an integer from 1 to 10000), got 'x'",
      ["PARHOST_WORKERS=1.5 P"] =
        "PARHOST_WORKERS: number of workers expected (an integer from 1 to 10000), got '1.5'",
    } do
      local result = try(line .. " -e 'print(1)'", "parhost")
      assert.equal("PROGRAM: " .. message .. "\n", result.err)
      assert.equal(1, result.code)
    end
    assert.match("^PROGRAM: '%-j' needs argument\n", try("P -j", "parhost").err)
  end)

  it("finds what is built in before anything of the same name, but not its own command line", function()
    assert.equal("table\n", try([[P -e 'print(type(require "parhost"))']], "parhost").out)
    assert.equal("false\n", try([[P -e 'print((pcall(require, "cli.options")))']], "parhost").out)
    assert.equal("lua/futures/init.lua\n", try([[P -e 'print(select(2, require "futures"))']], "parhost").out)
  end)

  it("loads C modules of the system", function()
    if not pcall(require, "lfs") then return pending("lua-filesystem is not installed") end
    assert.equal("table\n", try([[P -e 'print(type(require "lfs"))']], "parhost").out)
  end)
end)

describe("parhost test", function()
  local function test(spec, args)
    local name = run.write(spec)
    os.rename(name, name .. "_spec.lua")
    local result = run.sh(("timeout 60 %s test -o TAP %s %s_spec.lua"):format(run.parhost, args or "", name))
    os.remove(name .. "_spec.lua")
    return result
  end

  it("runs busted in the program", function()
    local result = test("it('is in the host', function() assert.is_table(require 'parhost') end)")
    assert.match("ok 1 %- is in the host", result.out)
    assert.equal(0, result.code)
  end)

  it("exits as busted does", function()
    assert.equal(1, test("it('a', function() error 'x' end) it('b', function() assert.equal(1, 2) end)").code)
    assert.equal(1, run.sh(run.parhost .. " test --no-such-option").code)
    assert.match("^busted: error: unknown", run.sh(run.parhost .. " test --no-such-option").err)
    assert.match("^%d+%.%d+", run.sh(run.parhost .. " test --version").out)
  end)

  it("passes arguments on, and shows specs the arguments of the run", function()
    local result = test("it('x', function() end) it('y', function() end)", "--filter=y")
    assert.equal("ok 1 - y\n1..1\n", result.out)
  end)

  it("says which package is missing", function()
    local result = run.sh(run.parhost .. " -E -e 'package.path = \"\" package.cpath = \"\"' test")
    assert.match("^parhost: test: busted is not installed %(Debian: apt%-get install lua%-busted", result.err)
    assert.equal(1, result.code)
  end)
end)
