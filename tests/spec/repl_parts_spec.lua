-- SPDX-License-Identifier: MIT
-- The prompt's parts without a terminal: what is a chunk, what completes, what is remembered.
local host = require "parhost.core.host"
local run = require "tests.spec.support.run"

local chunk = host.load_built_in("cli.chunk")()
local complete = host.load_built_in("cli.complete")()
local commands = host.load_built_in("cli.commands")()

describe("chunk", function()
  it("takes an expression before a statement, and says what is only a beginning", function()
    assert.equal(3, chunk.compile("1 + 2")())
    assert.equal(3, chunk.compile("=1 + 2")())
    assert.same({ 1, 2 }, { chunk.compile("1, 2")() })
    assert.is_function(chunk.compile(""))
    assert.is_function(chunk.compile("-- nothing"))
    for text, incomplete in pairs {
      ["for i = 1, 2 do"] = true, ["print("] = true, ["x ="] = true, ["[[text"] = true, ["f = function()"] = true,
      ["x x"] = false, ["1 +"] = false, [")"] = false, ["'open"] = true, ["goto nowhere"] = false,
    } do
      local fn, message, is_incomplete = chunk.compile(text)
      assert.is_nil(fn, text)
      assert.is_string(message)
      assert.equal(incomplete, is_incomplete, text)
    end
  end)

  -- Lines as an array; false: interrupted.
  local function reader(lines)
    local i = 0
    return function(again)
      i = i + 1
      assert(again == (i > 1))
      if lines[i] == false then return nil, "interrupted" end
      return lines[i], lines[i] == nil and "end" or nil
    end
  end

  it("reads on until something is complete", function()
    local fn, text = chunk.read(reader { "return function(n)", "return n + 1", "end", "not read" })
    assert.equal(6, fn()(5))
    assert.equal("return function(n)\nreturn n + 1\nend", text)
    assert.same({ false, "stdin:1: syntax error near 'x'", "x x" }, { chunk.read(reader { "x x" }) })
    assert.same({ false, "stdin:2: unexpected symbol near '='", "f(\n=)" }, { chunk.read(reader { "f(", "=)" }) })
    assert.is_nil((chunk.read(reader {})))
    assert.is_nil((chunk.read(reader { "f(", false })))
    local done, message = chunk.read(reader { "f(" })
    assert.is_false(done)
    assert.match("<eof>", message)
  end)

  it("splits what was pasted, if all of it can be run", function()
    local values = {}
    for _, fn in ipairs(chunk.split("local a = 1\nfor i = 1, 2 do\nend\n7\n'x'")) do values[#values + 1] = fn() end
    assert.same({ 7, "x" }, values)
    assert.is_nil(chunk.split("1\nx x\n2"))
    assert.is_nil(chunk.split(("1\n"):rep(1000)))
  end)
end)

describe("completion", function()
  local class = { __index = { method = print, constant = 1 } }
  local globals = {
    alpha = 1, alphabet = 2, _hidden = 3, ["not a name"] = 4, string = string, text = "abc",
    object = setmetatable({ member = 1, method_own = print }, class),
    dynamic = setmetatable({}, { __index = function() error "called" end, __pairs = function() error "called" end }),
    nested = { ["end"] = 1, inner = { deep = { deepest = true } } },
    number = 5,
  }
  globals._G = globals
  local files = {
    ["/lua/"] = { { name = "one.lua" }, { name = "pack", directory = true }, { name = "x.txt" } },
    ["/lua/pack/"] = { { name = "two.lua" }, { name = "init.lua" } },
  }
  local sources = {
    names = { "proc_pool", "thread_pool", "string" },
    path = "/lua/?.lua;/lua/?/init.lua;no template", commands = commands.names,
    list_directory = function(path) return files[path] or {} end,
  }

  local function candidates(before)
    local part, list, after = complete.candidates(before, globals, sources)
    return table.concat(list, " "), part, after
  end

  for before, expected in pairs {
    ["alp"] = "alpha alphabet", ["x = alphab"] = "alphabet", ["f(alph"] = "alpha alphabet", ["_h"] = "_hidden", ["zz"] = "",
    ["el"] = "else elseif", ["for i in obj"] = "object", ["object."] = "constant member method method_own",
    ["object:"] = "method method_own", ["object:method_"] = "method_own", ["object.me"] = "member method method_own",
    ["nested."] = "inner", ["nested.inner.deep.d"] = "deepest", ["nested . inner . de"] = "deep", ["nested:inner.d"] = "",
    ["text:up"] = "upper", ["string.form"] = "format", ["_G._G.alphab"] = "alphabet", ["dynamic."] = "",
    ["dynamic.x.y"] = "",
    ["number."] = "", ["none.x"] = "", ["f().x"] = "", ["a[1].x"] = "", ["12"] = "", ["1.st"] = "", ["not"] = "not",
    ['"alp'] = "", ["'it\\'s alp"] = "", ["-- alp"] = "", ['"x" .. alphab'] = "alphabet", ["'--' .. alphab"] = "alphabet",
    ['require "'] = "one pack proc_pool string thread_pool", ["require('pro"] = "proc_pool",
    ['require "pack.'] = "pack.init pack.two",
    ['local x = require "pa'] = "pack", ['required "pa'] = "", [".t"] = ".tasks .time", [".load"] = ".load", ["x.t"] = "",
    ["x =\nalphab"] = "alphabet",
  } do
    it(("of %q"):format(before), function()
      assert.equal(expected, (candidates(before)))
    end)
  end

  it("closes the string of a module, and puts a blank behind a command", function()
    assert.same({ "c_pool\"" }, { complete.tab('require "pro', 80, globals, sources) })
    assert.same({ "_pool'" }, { complete.tab("require 'thread", 80, globals, sources) })
    assert.same({ "ad " }, { complete.tab(".lo", 80, globals, sources) })
  end)

  it("inserts what all have in common, then shows them, in columns", function()
    assert.same({ "ha" }, { complete.tab("alp", 80, globals, sources) })
    local insert, show = complete.tab("alpha", 80, globals, sources)
    assert.is_nil(insert)
    assert.equal("alpha     alphabet\n", show)
    assert.equal("  ", (complete.tab("  ", 80, globals, sources)))
    assert.equal("a  c  e\nb  d\n", complete.columns({ "a", "b", "c", "d", "e" }, 10))
    assert.equal("a\nb\n", complete.columns({ "a", "b" }, 1))
  end)
end)

describe("the history file", function()
  local core = require "parhost.core.history"
  local directory

  before_each(function()
    directory = os.tmpname()
    os.remove(directory)
  end)

  after_each(function()
    os.execute("rm -rf " .. directory)
  end)

  it("is made with all directories above it, and grows at its end", function()
    assert.is_true(core.make_directory(directory .. "/a/b"))
    assert.is_true(core.make_directory(directory .. "/a/b"))
    assert.is_true(core.append(directory .. "/a/b/f", "one\n"))
    assert.is_true(core.append(directory .. "/a/b/f", "two\n"))
    assert.equal("one\ntwo\n", io.open(directory .. "/a/b/f"):read("a"))
    assert.same({ nil, "Not a directory" }, { core.make_directory(directory .. "/a/b/f/c") })
    assert.same({ nil, "No such file or directory" }, { core.append(directory .. "/none/f", "x") })
  end)

  it("keeps whole lines when it is made shorter", function()
    assert.is_true(core.make_directory(directory))
    local path = directory .. "/f"
    for i = 1, 5000 do core.append(path, ("line %d\n"):format(i)) end
    assert.is_true(core.trim(path, 1 << 20))
    assert.equal(48893, #io.open(path):read("a"))
    assert.is_true(core.trim(path, 40000))
    local text = io.open(path):read("a")
    assert.is_true(#text <= 20000 and #text > 19980)
    assert.match("^line %d+\nline %d+\n.*line 5000\n$", text)
    assert.equal("600 " .. path .. "\n", run.sh("stat -c '%a %n' " .. directory .. "/*").out)
  end)

  it("loses nothing when several add to it and make it shorter", function()
    assert.is_true(core.make_directory(directory))
    local path = directory .. "/f"
    local script = run.write(([[
      local core = require "parhost.core.history"
      for i = 1, 300 do
        assert(core.append(%q, ("%%s %%d\n"):format(arg[1], i)))
        if i %% 50 == 0 then assert(core.trim(%q, 1 << 20)) end
      end]]):format(path, path))
    local line = {}
    for i = 1, 4 do line[i] = ("%s %s w%d &"):format(run.parhost, script, i) end
    assert.equal(0, run.sh(table.concat(line, " ") .. " wait").code)
    local seen = {}
    for who, i in io.open(path):read("a"):gmatch("(w%d) (%d+)\n") do
      seen[who] = (seen[who] or 0) + 1
      assert.equal(seen[who], tonumber(i))
    end
    assert.same({ w1 = 300, w2 = 300, w3 = 300, w4 = 300 }, seen)
    os.remove(script)
  end)
end)
