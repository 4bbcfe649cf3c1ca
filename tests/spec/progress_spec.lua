-- SPDX-License-Identifier: MIT
-- Progress on a terminal: the line, what is printed above it, and how it goes; --progress.
package.path = "tests/spec/?.lua;" .. package.path
local gate = require "tests.spec.support.gate"
local run = require "tests.spec.support.run"
local terminal = require "tests.spec.support.terminal"
local world = require "tests.spec.support.world"

-- In front of each script: tasks that stand at a gate until it is opened; a worker that prints.
local PRELUDE <const> = [[
local parhost, proc_pool = require "parhost", require "proc_pool"
local function pass(path, text)
  local file <close> = assert(io.open(path, "r"))
  file:read "a"
  if text == "error" then error("refused", 0) end
  if text then print(text) end
  return text
end
]]

-- test(name, options, script, fn(t, gates)): the script finds the paths of three gates in `gates`.
local function test(name, options, text, fn)
  it(name, function()
    if not terminal.available then return pending("tmux is not installed") end
    local gates, words = {}, {}
    for i = 1, 3 do
      gates[i] = gate.new()
      words[i] = ("%q"):format(gates[i].path)
    end
    local script = run.write(PRELUDE .. ("local gates = { %s }\n"):format(table.concat(words, ", ")) .. text)
    options.arguments = ("%s %s"):format(options.options or "", script)
    local t <close> = terminal.start(options)
    fn(t, gates)
    os.remove(script)
  end)
end

-- The line, whatever the clock says. "N" stands for numbers of time.
local function plain(screen)
  return (screen:gsub("%d+:%d%d", "N"):gsub("%d+%.%d/s", "N/s"):gsub("%d+%.%d s each", "N/s"):gsub("%d+/s", "N/s"))
end

local function expect_end(t, text)
  return t:await(function(screen) return plain(screen):sub(-#text) == text end, text .. " (at the end)")
end

local MAP <const> = [[
local pool <close> = proc_pool.new(3)
local texts = { "one", "two", "three" }
for i, text in parhost.progress(pool:map(pass, gates, texts), { label = "work" }) do print("main", i, text) end
print "over"]]

describe("progress on a terminal", function()
  test("is a line below all that is printed, and what is left of it says how it went", {}, MAP, function(t, gates)
    expect_end(t, "work  0/3  0%  3/3 busy")
    gates[1]:open()
    expect_end(t, "one\nmain    1       one\nwork  1/3  33%  N/s  ETA N  2/3 busy")
    gates[3]:open()
    expect_end(t, "one\nmain    1       one\nthree\nwork  2/3  66%  N/s  ETA N  1/3 busy")
    gates[2]:open()
    expect_end(t, "\nthree\ntwo\nmain    2       two\nmain    3       three\nwork  3/3  100%  in N  N/s\nover\n"
      .. "EXIT 0\nicanonecho")
  end)

  test("goes on while the program waits for something else", {}, [[
    local pool <close> = proc_pool.new(3)
    local futures = { pool:submit(pass, gates[1]), pool:submit(pass, gates[2], "error"), pool:submit(pass, gates[3]) }
    local it = parhost.progress(futures)
    futures[3]:result()
    it:close()]], function(t, gates)
    expect_end(t, "0/3  0%  3/3 busy")
    gates[1]:open()
    expect_end(t, "1/3  33%  N/s  ETA N  2/3 busy")
    gates[2]:open()
    expect_end(t, "2/3  66%  N/s  ETA N  1/3 busy  1 failed")
    gates[3]:open()
    assert.equal(0, (t:ended()))
    assert.is_nil(t:screen():find "busy")
  end)

  test("is taken off when the loop is left", {}, [[
    local pool <close> = proc_pool.new(3)
    for i in parhost.progress(pool:map_unordered(pass, gates)) do break end
    pool:terminate()
    print "left"]], function(t, gates)
    expect_end(t, "0/3  0%  3/3 busy")
    gates[2]:open()
    local screen = t:await(function(screen) return screen:match "^(.*)EXIT 0" end, "the end")
    assert.equal("left\n", screen)
  end)

  test("is taken off by an error", {}, [[
    local pool <close> = proc_pool.new { max_workers = 3, on_error_exit = "kill" }
    for i in parhost.progress(pool:map(pass, gates, { "error" })) do end]], function(t, gates)
    expect_end(t, "0/1  0%  1/3 busy")
    gates[1]:open()
    local screen = t:await(function(screen) return screen:match "^(.*)EXIT 1" end, "the end")
    assert.matches("^parhost: refused\n", screen)
    assert.is_nil(screen:find "busy")
  end)

  for name, how in pairs { ["the end of the program"] = "os.exit(3)", ["abort"] = "parhost.abort(3)" } do
    test("is taken off by " .. name, {}, ([[
      local pool = proc_pool.new { max_workers = 3, at_exit = "kill" }
      for i in parhost.progress(pool:map(pass, gates)) do %s end]]):format(how), function(t, gates)
      expect_end(t, "0/3  0%  3/3 busy")
      gates[1]:open()
      assert.equal("", (t:await(function(screen) return screen:match "^(.*)EXIT 3" end, "the end")))
    end)
  end

  test("is taken off by Ctrl-C", {}, MAP, function(t, gates)
    expect_end(t, "work  0/3  0%  3/3 busy")
    t:key "C-c"
    t:expect "parhost: interrupted; waiting for 3 running tasks (Ctrl-C again to end at once)"
    for i = 1, 3 do gates[i]:open() end
    assert.same({ 130, true }, { t:ended() })
    assert.is_nil(t:screen():find "busy")
  end)

  test("is taken off by the second Ctrl-C", { options = "--progress" }, MAP, function(t)
    expect_end(t, "work  0/3  0%  3/3 busy")
    t:key "C-c"
    t:expect "(Ctrl-C again to end at once)"
    t:key "C-c"
    assert.same({ 130, true }, { t:ended() })
    assert.is_nil(t:screen():find "busy")
  end)

  test("fits into the terminal, and follows its size", { width = 60, height = 10 }, [[
    local pool <close> = proc_pool.new(3)
    local it = parhost.progress(pool:map(pass, gates), { label = "图表图表图表图表图表图表 and a long label \27[31m" })
    for _ in it do end]], function(t, gates)
    expect_end(t, "图表图表图表图表图  0/3  0%  3/3 busy")
    t:tmux "resize-window -x 30 -y 10"
    t:await(function(screen) return plain(screen) == "图表图表  0/3  0%  3/3 busy" end, "a narrow line")
    t:tmux "resize-window -x 20 -y 10"
    t:await(function(screen) return plain(screen) == "图表图表  0/3  0%" end, "a very narrow line")
    t:tmux "resize-window -x 4 -y 10"
    t:await(function(screen) return plain(screen) == "0/3" end, "next to nothing")
    t:tmux "resize-window -x 120 -y 10"
    expect_end(t, "图表图表图表图表图表图表 and a long lab  0/3  0%  3/3 busy")
    for i = 1, 3 do gates[i]:open() end
    t:expect "EXIT 0"
  end)

  test("waits while the program asks something", {}, [[
    local pool <close> = proc_pool.new(3)
    local it = parhost.progress(pool:map(pass, gates))
    it:next()
    io.write "Name? "
    print("Hello " .. io.read())
    it:next()
    io.write("a", "b")
    io.stdout:flush()
    it:next()
    print "c"
    it:close()]], function(t, gates)
    expect_end(t, "0/3  0%  3/3 busy")
    gates[1]:open()
    t:expect_end "Name?"
    t:enter "x"
    expect_end(t, "Name? x\nHello x\n1/3  33%  N/s  ETA N  2/3 busy")
    gates[2]:open()
    t:expect_end "Hello x\nab"
    gates[3]:open()
    t:expect_end "Name? x\nHello x\nabc\nEXIT 0\nicanonecho"
  end)

  test("stays below what workers write to standard error", {}, [[
    local pool <close> = proc_pool.new(3)
    local function complain(path, text) pass(path) io.stderr:write("to ", "stderr: ", text, "\n") end
    for i in parhost.progress(pool:map(complain, gates, { "1", "2", "3" })) do
      if i == 2 then warn "mine" end
    end]], function(t, gates)
    expect_end(t, "0/3  0%  3/3 busy")
    gates[1]:open()
    expect_end(t, "to stderr: 1\n1/3  33%  N/s  ETA N  2/3 busy")
    gates[2]:open()
    expect_end(t, "to stderr: 2\nLua warning: mine\n2/3  66%  N/s  ETA N  1/3 busy")
    gates[3]:open()
    t:expect "EXIT 0"
  end)

  it("leaves what goes to a file alone", function()
    if not terminal.available then return pending("tmux is not installed") end
    local script, out = run.write(PRELUDE .. [[
      local pool <close> = proc_pool.new(1)
      local function half(i) io.write("no newline;") end
      for i in parhost.progress(pool:map(half, { 1, 2, 3 })) do io.write(i, ";") end]]), os.tmpname()
    local t <close> = terminal.start { command = ("%s %s > %s"):format(terminal.program, script, out) }
    t:expect_end("3/3  100%  in 0:01  " .. t:expect("EXIT 0"):match("in 0:01  (%g+)") .. "\nEXIT 0\nicanonecho")
    local text = io.open(out):read "a"
    assert.equal(0, select(2, text:gsub("\n", "")))
    assert.equal(3, select(2, text:gsub("no newline;", "")))
    os.remove(script)
    os.remove(out)
  end)

  test("is at the bottom while a prompt evaluates, and away while one types", { options = "-i" }, [[
    pool = proc_pool.new(3)
    function go() for i in parhost.progress(pool:map(pass, gates), { label = "at the prompt" }) do end return "gone" end
  ]], function(t, gates)
    t:expect_end "\n>"
    t:enter "go()"
    expect_end(t, "at the prompt  0/3  0%  3/3 busy")
    for i = 1, 3 do gates[i]:open() end
    expect_end(t, "> go()\nat the prompt  3/3  100%  in N  N/s\ngone\n>")
    t:enter "futures = { pool:submit(math.abs, 1) } bar = require 'parhost'.progress(futures)"
    t:expect_end "\n>"
    t:enter "bar:close()"
    t:expect_end "bar:close()\n>"
  end)
end)

describe("the line", function()
  local ESCAPE <const> = "\27[?7l" -- each drawing begins with it

  -- What a script with tasks that end all the time writes to its terminal, and how many seconds it says that it took.
  local function heard(text)
    local program = world.start { terminal = true, env = { TERM = "screen" }, text = ([[
      local parhost = require "parhost"
      local pool <close> = require "proc_pool".new(2)
      local start, n = parhost.monotonic(), 0
      local function spend() local stop = os.clock() + 0.001 while os.clock() < stop do end end
      local function work() n = n + 1 if n <= 400 then return n end end
      %s
      print(("took %%.3f"):format(parhost.monotonic() - start))]]):format(text) }
    local result = program:finish()
    assert.same({ 0, "" }, { result.code, result.left })
    return result.out, tonumber(result.out:match "took (%d+%.%d+)")
  end

  it("is drawn ten times a second at the most", function()
    local out, seconds = heard [[for _ in parhost.progress(pool:with { buffer_size = 4 }:map_unordered(spend, work)) do end]]
    local _, drawn = out:gsub("%f[\27]" .. ESCAPE:gsub("%p", "%%%0"), "")
    assert.is_true(drawn >= 1 and drawn <= seconds * 10 + 1, ("%d times in %.3f s"):format(drawn, seconds))
  end)

  it("leaves a terminal without it as it is", function()
    local out = heard [[for _ in pool:map_unordered(spend, { 1, 2 }) do end]]
    assert.is_nil(out:find "\27")
  end)
end)

describe("--progress", function()
  test("counts the tasks of all pools", { options = "--progress" }, [[
    local a <close> = proc_pool.new(2)
    local b <close> = require "thread_pool".new(3)
    do
      local gone <close> = proc_pool.new(1)
      for _ = 1, 4 do gone:submit(math.abs, 1) end
      gone:with { chunk_size = 3 }:map(math.abs, { 1, 2, 3 }):collect()
    end
    local f = a:submit(pass, gates[1], "error")
    b:submit(pass, gates[2], "text")
    f:wait()
    print((f:error()))]], function(t, gates)
    expect_end(t, "7/9  77%  N/s  ETA N  2/5 busy")
    gates[1]:open()
    expect_end(t, "refused\n8/9  88%  N/s  ETA N  1/5 busy  1 failed")
    gates[2]:open()
    expect_end(t, "refused\ntext\n9/9  100%  in N  N/s  1 failed\nEXIT 0\nicanonecho")
  end)

  test("says nothing where there is no pool", { options = "--progress" }, [[print "x"]], function(t)
    t:expect_end "x\nEXIT 0\nicanonecho"
    assert.equal("x\nEXIT 0\nicanonecho", t:screen())
  end)
end)
