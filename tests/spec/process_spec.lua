-- SPDX-License-Identifier: MIT
-- What is started, with what; and the streams to it.
package.path = "tests/spec/?.lua;" .. package.path
local process = require "async.process"
local futures = require "futures"
local run = require "support.run"

local start, run_process = process.process, process.run_process

local function raised_by(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

local function shell(text, options)
  options = options or {}
  options[1], options.shell = text, true
  return run_process(options)
end

local function contents(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

describe("a command", function()
  it("is passed on as it is, without a shell", function()
    local result = run_process { "printf", "[%s][%s][%s][%s]\n", "$HOME; `x` *", "", 7, 1.5 }
    assert.equal("[$HOME; `x` *][][7][1.5]\n", result.stdout)
    assert.equal("ab\n", shell("echo a\\\nb").stdout)
  end)

  it("is checked", function()
    for message, options in pairs {
      ["table with a command expected, got string"] = "ls",
      ["item 1: command expected, got nothing"] = {},
      ["item 2: string expected, got table"] = { "ls", {} },
      ["item 2: has a zero byte in it"] = { "ls", "a\0b" },
      ["unknown option 'evn'; did you mean 'env'%?"] = { "ls", evn = {} },
      ["unknown option %[3%]"] = { "ls", [3] = "a" },
      ["one string expected with option 'shell', got 2"] = { "ls", "-l", shell = true },
      ["option 'stdout': \"pip\" is no such word %(\"pipe\"%?%), and a file of that name is written \"./pip\""] =
        { "ls", stdout = "pip" },
      ["option 'stdin': \"pipe\", \"inherit\", \"null\", a path, a file or a stream expected, got true"] =
        { "ls", stdin = true },
      ["option 'env': string or false expected for A, got table"] = { "ls", env = { A = {} } },
      ["option 'env': names of variables expected, got \"A=B\""] = { "ls", env = { ["A=B"] = "" } },
      ["option 'cwd': path expected, got 5"] = { "ls", cwd = 5 },
      ["option 'grace': number >= 0 expected, got %-1"] = { "ls", grace = -1 },
    } do
      assert.matches("process_spec.lua:%d+: bad argument #1 to 'process' %(" .. message, raised_by(start, options))
    end
    assert.matches("unknown option 'input'", raised_by(start, { "ls", input = "" }))
    assert.matches("option 'input': stdin is not \"pipe\"",
      raised_by(run_process, { "cat", input = "", stdin = "null" }))
  end)

  it("gets a changed environment, or one of its own", function()
    assert.equal("1 none\n", shell("echo $A ${HOME-none}", { env = { A = 1, HOME = false } }).stdout)
    assert.equal("A=x\n", run_process { "/usr/bin/env", env = { A = "x" }, clear_env = true }.stdout)
    assert.equal("", run_process { "/usr/bin/env", clear_env = true }.stdout)
  end)

  it("says what to do when a whole line was given as the command", function()
    assert.equal("cannot start 'no such': No such file or directory (arguments are items of their own, or use shell = true)",
      raised_by(run_process, { "no such" }).message)
    assert.equal("cannot start 'nosuch': No such file or directory", raised_by(run_process, { "nosuch" }).message)
  end)

  it("is looked for in the PATH that it gets", function()
    local dir = os.tmpname()
    os.remove(dir)
    assert(os.execute("mkdir " .. dir .. " && printf '#!/bin/sh\\necho found' >" .. dir .. "/tool && chmod +x " .. dir
      .. "/tool && touch " .. dir .. "/plain"))
    local env = { PATH = "/no/such:" .. dir .. ":/usr/bin:/bin" }
    assert.equal("found\n", run_process { "tool", env = env }.stdout)
    assert.equal("EACCES", raised_by(run_process, { "plain", env = env }).code)
    assert.equal("found\n", run_process { "./tool", cwd = dir }.stdout)
    os.execute("rm -r " .. dir)
    assert.equal("ENOENT", raised_by(run_process, { "tool", env = env }).code)
  end)

  it("runs in its directory", function()
    assert.equal("/\n", run_process { "pwd", cwd = "/" }.stdout)
  end)

  it("starts with default actions and no signal blocked", function()
    local status = run_process { "cat", "/proc/self/status" }.stdout
    assert.equal("0000000000000000", status:match("SigBlk:%s*(%x+)"))
    assert.equal("0000000000000000", status:match("SigIgn:%s*(%x+)"))
  end)

  it("inherits no descriptor but the three", function()
    local path = os.tmpname()
    local ours <close> = assert(io.open(path, "w")) -- luacheck: ignore
    local p <close> = start { "cat", stdin = "pipe", stdout = "pipe" }
    assert.equal("0\n1\n2\n", shell("ls /proc/$$/fd").stdout)
    os.remove(path)
    p:communicate()
  end)
end)

describe("standard input and output", function()
  it("may be files, by name or open", function()
    local path = os.tmpname()
    assert.equal(0, shell("echo one", { stdout = path }).code)
    assert.equal("one\n", contents(path))
    local file = assert(io.open(path, "a"))
    file:write("two\n")
    assert.equal(0, shell("echo three", { stdout = file }).code)
    file:close()
    assert.equal("one\ntwo\nthree\n", contents(path))
    assert.equal("one\ntwo\nthree\n", run_process { "cat", stdin = path }.stdout)
    file = assert(io.open(path))
    assert.equal("one", file:read("l"))
    assert.equal("two\nthree\n", run_process { "cat", stdin = file }.stdout)
    file:close()
    os.remove(path)
    assert.matches("option 'stdin': open file expected, got a closed file", raised_by(run_process, { "cat", stdin = file }))
  end)

  it("may be one for output and errors", function()
    local result = shell("echo out; echo err >&2; echo out", { stderr = "stdout" })
    assert.equal("out\nerr\nout\n", result.stdout)
    assert.is_nil(result.stderr)
  end)

  it("are the program's own by default, in the order of writing", function()
    local script = run.write([[
      local process = require "async.process"
      io.write("first ")
      process.process({ "echo", "second" }):wait()
      io.write("third\n")
      process.process({ "head", "-n", "1" }):wait()
      print(process.process({ "cat", stdin = 0 }):wait())
    ]])
    local result = run.sh(run.parhost .. " " .. script, "input\n")
    os.remove(script)
    assert.same({ out = "first second\nthird\ninput\n0\tnil\n", err = "", code = 0 }, result)
  end)

  it("may be a pipe to another child", function()
    local first <close> = start { "printf 'b\\nc\\na\\n'", shell = true, stdout = "pipe" }
    local second <close> = start { "sort", stdin = first.stdout, stdout = "pipe" }
    local third <close> = start { "tr", "a-z", "A-Z", stdin = second.stdout, stdout = "pipe" }
    assert.equal("A\nB\nC\n", (third:communicate()))
    assert.equal("closed", raised_by(first.read, first).kind)
    local p <close> = start { "cat", stdin = "pipe", stdout = "pipe" }
    assert.matches("stdin of 'cat' is the wrong end of a pipe", raised_by(start, { "cat", stdin = p.stdin }))
    p:write("a\nb\n")
    assert.equal("a", p:read("l"))
    assert.matches("stdout of 'cat' is in use already", raised_by(start, { "cat", stdin = p.stdout }))
  end)
end)

describe("a stream", function()
  it("reads lines, blocks, all, and what there is", function()
    local p <close> = start { "printf 'one\\n\\nthree\\n12345678rest\\nlast'", shell = true, stdout = "pipe" }
    assert.same({ "one", "\n", "three" }, { p:read("l", "L", "l") })
    assert.equal("1234", p:read(4))
    assert.equal("", p:read(0))
    assert.equal("5678", p:read(4))
    assert.equal("rest", p.stdout:read("l"))
    assert.equal("last", p:read("l"))
    assert.is_nil(p:read("l"))
    assert.is_nil(p:read(0))
    assert.is_nil(p:read())
    assert.equal("", p:read("a"))
    assert.same({ nil, n = 1 }, table.pack(p:read(1, "l")))
  end)

  it("iterates over lines", function()
    local seen = {}
    for line in start({ "seq 1 3", shell = true, stdout = "pipe" }):lines() do seen[#seen + 1] = line end
    assert.same({ "1", "2", "3" }, seen)
    local p <close> = start { "echo error >&2; echo second >&2", shell = true, stderr = "pipe" }
    for line in p.stderr:lines("L") do seen[#seen + 1] = line end
    assert.same({ "1", "2", "3", "error\n", "second\n" }, seen)
  end)

  it("finds lines of any length", function()
    local p <close> = start { "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end", shell = true, stdout = "pipe" }
    assert.equal(3000000, #p:read("l"))
    assert.equal("end", p:read("l"))
  end)

  it("is checked", function()
    local p <close> = start { "cat", stdin = "pipe", stdout = "pipe" }
    assert.matches("bad argument #2 to 'read' %(invalid format", raised_by(p.read, p, "l", "n"))
    assert.matches("bad argument #1 to 'read' %(integer >= 0 expected, got %-1%)", raised_by(p.read, p, -1))
    assert.matches("bad argument #1 to 'write' %(string expected, got table%)", raised_by(p.write, p, {}))
    assert.matches("stdin of 'cat' can only be written", raised_by(p.stdin.read, p.stdin))
    assert.matches("stdout of 'cat' can only be read", raised_by(p.stdout.write, p.stdout, "x"))
    local q <close> = start { "true" }
    assert.matches("stdout of 'true' is not a pipe: start it with stdout = \"pipe\"", raised_by(q.read, q))
    assert.matches("stdin of 'true' is not a pipe", raised_by(q.communicate, q, "x"))
    assert.matches("bad argument #1 to 'signal' %(unknown signal 'SIGNO'%)", raised_by(p.signal, p, "SIGNO"))
    p.stdin:close()
    p.stdin:close()
    assert.is_true(futures.is(raised_by(p.write, p, "x"), "closed"))
    assert.matches("^parhost.Stream: stdin of 'cat' %(closed%)$", tostring(p.stdin))
  end)

  it("holds back a child that writes more than is read", function()
    local p <close> = start { "yes", stdout = "pipe" }
    local function ahead_of(total)
      return tonumber(contents(("/proc/%d/io"):format(p:pid())):match("wchar: (%d+)")) - total
    end
    local total = 0
    for i = 1, 20 do
      while total < i * 1000000 do total = total + #p:read() end
      assert.is_true(ahead_of(total) < 2000000) -- a big pipe holds 1 MiB
    end
    assert.is_true(p:running())
  end)

  it("keeps its process", function()
    local out = start({ "cat /dev/zero | head -c 200000", shell = true, stdout = "pipe" }).stdout
    collectgarbage()
    collectgarbage()
    assert.equal(200000, #out:read("a"))
  end)
end)

describe("a signal", function()
  it("goes to the child and to its group", function()
    local p <close> = start {
      "trap 'echo got it; exit 5' HUP; echo ready; read x", shell = true, stdin = "pipe", stdout = "pipe",
    }
    assert.equal("ready", p:read("l"))
    assert.is_true(p:signal("SIGHUP"))
    assert.equal("got it", p:read("l"))
    assert.equal(5, (p:wait()))
    assert.is_false(p:signal(1))
    assert.matches("^parhost.Process: 'trap .* exited with code 5$", tostring(p))
    local q <close> = start { "sleep 1000 & echo ready; wait", shell = true, stdout = "pipe" }
    assert.equal("ready", q:read("l"))
    assert.is_true(q:kill())
    assert.equal("", q:read("a")) -- the end comes when the sleeper is gone, too
    assert.same({ nil, "SIGKILL" }, { q:wait() })
  end)
end)
