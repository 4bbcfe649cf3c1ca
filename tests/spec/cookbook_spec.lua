-- SPDX-License-Identifier: MIT
-- The programs in scripts/cookbook do what they show, each with arguments of its own; a row for each, and each has a row.
package.path = "tests/spec/?.lua;" .. package.path
local async = require "async"
local http = require "http"
local run = require "support.run"
local servers = require "support.servers"

local FOLDER <const> = "scripts/cookbook/"

-- A shell runs `text` with P for the program and its arguments to come: P files.lua x.
local function shell(text, input)
  return run.sh(("P() { script=$1; shift; timeout 60 %s %s$script \"$@\"; }; %s"):format(run.parhost, FOLDER, text), input)
end

local function sorted_lines(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  table.sort(lines)
  return lines
end

-- The output of a command that must succeed, and complain of nothing.
local function output(text, input)
  local result = shell(text, input)
  assert.same({ "", 0 }, { result.err, result.code })
  return result.out
end

local function folder_with(files)
  local folder = os.tmpname()
  os.remove(folder)
  for name, text in pairs(files) do
    assert(os.execute(("mkdir -p $(dirname %s/%s)"):format(folder, name)))
    local file <close> = assert(io.open(folder .. "/" .. name, "w"))
    file:write(text)
  end
  return setmetatable({ path = folder }, { __close = function() os.execute("rm -r " .. folder) end })
end

-- A result with the folder's path as "$".
local function in_folder(result, folder)
  local path = folder.path:gsub("%p", "%%%0")
  return { out = result.out:gsub(path, "$"), err = result.err:gsub(path, "$"), code = result.code }
end

local function numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = ("%d\n"):format(i) end
  return table.concat(list)
end

-- name -> what to show, and the check.
local programs = {}

programs["files.lua"] = { "counts as wc does, and goes on behind what it cannot read", function()
  local folder <close> = folder_with { a = "one two\nthree\n", b = "", c = "no newline" }
  assert.same({
    out = "       2        3       14  $/a\n       0        0        0  $/b\n       0        2       10  $/c\n",
    err = "files.lua: $/missing: No such file or directory\nfiles.lua: $: Is a directory\n", code = 1,
  }, in_folder(shell(("F=%s; P files.lua $F/a $F/missing $F/b $F $F/c"):format(folder.path)), folder))
  assert.matches("  " .. FOLDER .. "files%.lua\n", output "P files.lua")
end }

programs["word_count.lua"] = { "ranks the words of files", function()
  local folder <close> = folder_with { a = ("b a c "):rep(50000), b = "A a, D-a" }
  assert.equal("  50003 a\n  50000 b\n  50000 c\n      1 d\n",
    output(("P word_count.lua %s/a %s/b"):format(folder.path, folder.path)))
  assert.matches("^ 150%d%d%d word1\n", output "P word_count.lua")
end }

programs["lines.lua"] = { "transforms lines, in order, and ends when nobody reads on", function()
  local doubled = {}
  for i = 1, 20000 do doubled[i] = ("%d\n"):format(2 * i) end
  assert.equal(table.concat(doubled), output("P lines.lua 'math.tointeger(line) * 2'", numbers(1, 20000)))
  assert.equal("olleh\n", output("P lines.lua", "hello\n"))
  assert.equal("", output("P lines.lua", ""))
  assert.equal("Y\nY\n", output "yes | P lines.lua 'line:upper()' | head -n 2")
  assert.same({ out = "", err = "lines.lua: expression:1: unexpected symbol near ')'\n", code = 1 },
    shell "P lines.lua ')'")
end }

programs["monte_carlo.lua"] = { "gives the same for the same seed, with any number of workers", function()
  local one, two = output "P monte_carlo.lua 7 0.1", output "P monte_carlo.lua 8 0.1"
  local pi = one:match "^1 workers: pi is about (3%.[01]%d+)\n"
  assert.equal(("1 workers: pi is about %s\n2 workers: pi is about %s\n4 workers: pi is about %s\n"):format(pi, pi, pi), one)
  assert.equal(one, output "P monte_carlo.lua 7 0.1")
  assert.not_equal(one, two)
end }

programs["progress.lua"] = { "tells how far it is, on stderr", function()
  local result = shell "P progress.lua 10 0.1"
  assert.same({ 0, true }, { result.code, result.out:find "^10 tasks, %d+ steps\n$" ~= nil })
  assert.matches("^pieces  10/10  100%%  in %d:%d%d  %g+\n$", result.err)
end }

programs["speedup.lua"] = { "measures both pools with 1, 2, 4 workers", function()
  local lines = {}
  for line in output("P speedup.lua 5 0.02"):gmatch "[^\n]+" do lines[#lines + 1] = line end
  assert.equal(7, #lines)
  for i, kind in ipairs { "thread_pool", "thread_pool", "thread_pool", "proc_pool", "proc_pool", "proc_pool" } do
    assert.matches(("^%s +%d +%%d+%%.%%d%%d%%d +%%d+%%.%%d%%d +%%d+%%%%$"):format(kind, 1 << (i - 1) % 3), lines[i + 1])
  end
  assert.matches("^thread_pool +1 .* 1%.00 +100%%$", lines[2])
end }

programs["timeout.lua"] = { "gives up what takes too long, and nothing else", function()
  assert.equal("168 primes below 1000\nbelow 1000000000000000: given up after 1.0 s\n25 primes below 100\n",
    output "P timeout.lua 1 1000 1000000000000000 100")
end }

programs["watchdog.lua"] = { "finds the worker that is stuck", function()
  local lines = sorted_lines(output "P watchdog.lua 2 5")
  local stuck = table.remove(lines)
  assert.matches("^worker [12] is stuck in task 3$", stuck)
  assert.same({ "4 completed, 1 cancelled", "task 1: 1", "task 2: 4", "task 3: stuck", "task 4: 16", "task 5: 25" }, lines)
end }

programs["shared_table.lua"] = { "adds up a table that was there before", function()
  assert.equal("the sum of 5000 squares is 41679167500\n", output "P shared_table.lua 5000 7")
end }

programs["database.lua"] = { "asks a database in each worker; says which module is missing", function()
  local result = shell "LUA_CPATH=/nowhere/?.so LUA_PATH=/nowhere/?.lua P database.lua"
  assert.same({ out = "", code = 1,
    err = "database.lua: the module luasql.sqlite3 is missing (Debian: apt-get install lua-sql-sqlite3)\n" }, result)
  if not pcall(require, "luasql.sqlite3") then return pending "lua-sql-sqlite3 is not installed" end
  local lines = {}
  for customer = 1, 10 do
    local sum = customer == 1 and 50050 or 49950 + 10 * (customer - 1)
    lines[customer] = ("customer %2d: 1000 orders, %10.2f\n"):format(customer, sum)
  end
  assert.equal(table.concat(lines), output "P database.lua")
end }

programs["c_module.lua"] = { "compiles a C module, and calls it in workers", function()
  assert.equal("from 27 to 1: 111 steps\nup to 1000, 871 has the longest way: 178 steps\n", output "P c_module.lua 1000")
  local result = shell "CC=/nowhere/cc P c_module.lua"
  assert.matches("^parhost: parhost%.os: cannot start '/nowhere/cc': No such file or directory", result.err)
  assert.equal(1, result.code)
end }

programs["commands.lua"] = { "shows outputs in order, and fails when one does", function()
  assert.same({ err = "", code = 1, out =
    "$ sleep 0.1; echo one\none\n$ echo two >&2\ntwo\n$ exit 3\n(ended by exit code 3)\n"
      .. "$ kill -9 $$\n(ended by SIGKILL)\n$ echo five\nfive\n",
  }, shell "P commands.lua 'sleep 0.1; echo one' 'echo two >&2' 'exit 3' 'kill -9 $$' 'echo five'")
  assert.matches("\n$ seq 3\n1\n2\n3\n$", output "P commands.lua")
end }

programs["fetch.lua"] = { "gets a thousand pages, tries again, tells what is lost", function()
  local server <close> = servers.bad()
  local urls, lost = {}, {}
  for i = 1, 1000 do
    local path = i % 100 == 0 and "/status?code=404&id=%d" or i % 2 == 0 and "/flaky?id=%d" or "/echo?%d"
    urls[i] = server.url .. path:format(i)
    if i % 100 == 0 then lost[#lost + 1] = ("%d: %s: "):format(i, urls[i]) end
  end
  local folder <close> = folder_with { urls = table.concat(urls, "\n") .. "\n" }
  local i = 0
  for line in output(("P fetch.lua %s/urls 5000"):format(folder.path)):gmatch "[^\n]+" do
    i = i + 1
    if i <= 10 then
      assert.equal(lost[i], line:sub(1, #lost[i]))
      assert.matches("status 404 Reason$", line)
    else
      assert.matches("^990 pages, %d+ bytes, 10 failures$", line)
    end
  end
  assert.equal(11, i)
  assert.is_true(http.get(server.url .. "/counts"):json().accepted <= 51)
end }

programs["crawler.lua"] = { "visits each page of a site once, and tells broken links", function()
  local folder <close> = folder_with {
    ["index.html"] = '<a href="a.html">a</a> <a href="b/">b</a> <a href="http://example.com/">elsewhere</a> <a href="#top">',
    ["a.html"] = '<a href="../index.html">up</a> <a href="b/c.html#part">c</a> <a href="gone.html">gone</a>',
    ["b/index.html"] = '<a href="c.html">c</a> <a href="../a.html">a</a> <a href="/b/d.md">d</a>',
    ["b/c.html"] = '<a href="/a.html">a</a> <a href="mailto:x@example.com">mail</a> <a href="//example.com/a.html">x</a>',
    ["b/d.md"] = "[c](c.html#part) and [nothing](./nothing)",
  }
  local server <close> = async.process {
    "python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "0", cwd = folder.path, stdout = "pipe", stderr = "null",
  }
  local site <const> = ("http://127.0.0.1:%s/"):format(server:read("l"):match "port (%d+)")
  assert.same({
    "7 pages, 2 broken links",
    site .. "b/nothing: 404 File not found (linked by " .. site .. "b/d.md)",
    site .. "gone.html: 404 File not found (linked by " .. site .. "a.html)",
  }, sorted_lines(output(("P crawler.lua %sindex.html 1000"):format(site))))
  assert.matches("^http://127%.0%.0%.1:1/: GET http://127%.0%.0%.1:1/: failed to connect .*\n1 pages, 1 broken links\n$",
    output "P crawler.lua http://127.0.0.1:1/")
end }

programs["retry.lua"] = { "tries again what is worth it", function()
  local busy = "parhost.http: busy, come back later"
  assert.equal(("try 1 of 5: %s\ntry 2 of 5: %s\nanswered at call 3\n"):format(busy, busy), output "P retry.lua")
  local server <close> = servers.bad()
  assert.matches("^try 1 of 5: parhost%.http: .*: status 503 Busy\n7 bytes\n$",
    output(("P retry.lua '%s/flaky?id=1'"):format(server.url)))
  local result = shell(("P retry.lua '%s/status?code=404'"):format(server.url))
  assert.same({ "", 1 }, { result.out, result.code })
  assert.matches("status 404 Reason", result.err)
end }

programs["first_answer.lua"] = { "takes numbers apart, whichever way is faster", function()
  assert.equal("4611685975477714963 = 2147483629 * 2147483647, found by squares\n", output "P first_answer.lua")
  assert.equal("2147490089450941 = 1000003 * 2147483647, found by division\n", output "P first_answer.lua 2147490089450941")
  assert.matches("an odd integer from 3 to 2^62 expected", shell("P first_answer.lua 10").err, 1, true)
end }

programs["fail_fast.lua"] = { "stops the other jobs", function()
  local lines = sorted_lines(output "P fail_fast.lua 1")
  assert.equal("1 failed, 9 cancelled", lines[1])
  assert.equal("failed: job 1: the disk is full", lines[2])
  for i = 3, #lines do assert.matches("^job %d+ cleans up$", lines[i]) end
end }

programs["pipeline.lua"] = { "finds the longest lines of all files", function()
  local files, expected = {}, {}
  for i = 1, 30 do files["f" .. i] = ("short\n%s\nmiddle\n"):format(("x"):rep(100 + i)) end
  local folder <close> = folder_with(files)
  for i = 1, 30 do expected[i] = ("%d in %s/f%d: %s"):format(100 + i, folder.path, i, ("x"):rep(100 + i)) end
  assert.same(expected, sorted_lines(output("P pipeline.lua " .. folder.path)))
end }

programs["producer_consumer.lua"] = { "gives each item to one consumer, and ends", function()
  local expected = { "20 items made, 20 eaten" }
  for item = 1, 5 do
    for producer = 1, 4 do expected[#expected + 1] = ("has eaten %d of producer %d"):format(item, producer) end
  end
  local lines = output("P producer_consumer.lua 4 3 5"):gsub("consumer [1-3] ", "")
  assert.same(expected, sorted_lines(lines))
end }

programs["ctrl_c.lua"] = { "keeps what is done, and dies of the signal", function()
  local line = "env --default-signal=INT timeout --foreground 60 %s %sctrl_c.lua 1000 0.02 >$out & pid=$!; "
    .. "until grep -q '[.]' $out; do sleep 0.02; done; kill -INT $pid; wait $pid; echo $?; cat $out; rm $out"
  local result = run.sh("out=$(mktemp); " .. line:format(run.parhost, FOLDER))
  local code, done = result.out:match "^(%d+)\n%.+\ninterrupted %(signal%): (%d+) of 1000 are done and saved\n$"
  assert.equal("130", code, result.out .. result.err)
  assert.is_true(tonumber(done) >= 1 and tonumber(done) < 1000)
  assert.equal("...\nall 3 done\n", output "P ctrl_c.lua 3 0")
end }

describe("scripts/cookbook/", function()
  for name, program in pairs(programs) do
    it(name .. " " .. program[1], program[2])
  end

  it("has a test and a line in its README for each program, and heads that say how to run it", function()
    local files = run.sh("ls " .. FOLDER).out
    local readme <close> = assert(io.open(FOLDER .. "README.md"))
    local text = readme:read "a"
    local count = 0
    for name in files:gmatch "[%w_]+%.lua" do
      assert.is_truthy(programs[name], name .. " has no test here")
      assert.is_truthy(text:find(("| [%s](%s) | "):format(name, name), 1, true), name .. " has no line in README.md")
      local file <close> = assert(io.open(FOLDER .. name))
      assert.is_truthy(file:read("a"):find(" parhost " .. FOLDER .. name, 1, true), name .. " does not say how to run it")
      count = count + 1
    end
    for name in pairs(programs) do assert.is_truthy(files:find(name, 1, true), name .. " is gone") end
    for name in text:gmatch "| %[([%w_]+%.lua)%]" do assert.is_truthy(programs[name], name .. " is gone") end
    assert.equal(20, count)
  end)

  it("names the number that is none", function()
    for command, message in pairs {
      ["timeout.lua x"] = "seconds: a number expected", ["progress.lua 1.5"] = "tasks: a whole number expected",
      ["producer_consumer.lua 1 x"] = "consumers: a whole number expected",
    } do
      local result = shell("P " .. command)
      assert.equal(message, result.err:match "^parhost: [%w/_.]+:%d+: ([^\n]*)")
      assert.equal(1, result.code)
    end
  end)
end)
