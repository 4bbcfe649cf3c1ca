-- SPDX-License-Identifier: MIT
-- parhost.progress where standard error is no terminal: what it lets through, what it counts, and its plain lines. And the
-- tags of workers' lines.
package.path = "tests/spec/?.lua;" .. package.path
local raised_by = require "support.contract.common".raised_by
local run = require "support.run"

-- Runs a script; gives its output and, with numbers of time as "N", what it wrote to standard error.
local function output_of(text, prefix, options)
  local name = run.write(text)
  local result = run.sh(("%s timeout 60 %s %s %s"):format(prefix or "", run.parhost, options or "", name))
  os.remove(name)
  local err = result.err:gsub("%d+:%d%d", "N"):gsub("%d+%.%d/s", "N/s"):gsub("%d+%.%d s each", "N/s"):gsub("%d+/s", "N/s")
    :gsub(name:gsub("%p", "%%%0"), "script.lua")
  return result.out, err, result.code
end

local POOL <const> = [[
local parhost, async, futures = require "parhost", require "async", require "futures"
local pool <close> = require "proc_pool".new(2)
local function work(n) if n == 0 then error("none", 0) end return n, n * 10 end
]]

-- wrapped iterator, what it prints, what it says at its end
local ROWS <const> = {
  map = { "pool:map(work, { 1, 2, 3 })", "1 1 10\n2 2 20\n3 3 30\n", "progress  3/3  100%  in N  N/s\n" },
  starmap = { "pool:starmap(math.max, { { 1, 2 }, {} and { 5 } })", "1 2\n2 5\n", "progress  2/2  100%  in N  N/s\n" },
  ["map_unordered, one worker"] = { "require 'thread_pool'.new(1):map_unordered(work, { 1, 2 })", "1 1 10\n2 2 20\n",
    "progress  2/2  100%  in N  N/s\n" },
  ["map with a buffer, of an iterator"] = {
    "pool:with { buffer_size = 2 }:map(work, (string.gmatch('1 2 3', '%d')))",
    "1 1 10\n2 2 20\n3 3 30\n", "progress  3/3  100%  in N  N/s\n" },
  ["map, inline"] = { "require 'proc_pool'.new { inline = true }:map(work, { 1, 2 })", "1 1 10\n2 2 20\n",
    "progress  2/2  100%  in N  N/s\n" },
  ["map of nothing"] = { "pool:map(work, {})", "", "progress  0/0  in N\n" },
  futures = { "{ pool:submit(work, 1) }, { label = 'one' }", "FUTURE\n", "one  1/1  100%  in N  N/s\n" },
  as_completed = { "futures.as_completed { pool:submit(work, 1) }, { total = 4 }", "FUTURE\n",
    "progress  1/4  25%  in N  N/s\n" },
  ["async.map"] = { "async.map(work, { 1, 2, 3 })", "1 1 10\n2 2 20\n3 3 30\n", "progress  3/3  100%  in N  N/s\n" },
  ["any iterator"] = { "(string.gmatch('a b', '%a')), { label = 'letters', total = 2 }", "a\nb\n",
    "letters  2/2  100%  in N  N/s\n" },
  ["any iterator without a total"] = { "(string.gmatch('a b', '%a'))", "a\nb\n", "progress  2  in N  N/s\n" },
}

describe("parhost.progress lets through", function()
  for name, row in pairs(ROWS) do
    it(name, function()
      local script = POOL .. ([[
        for a, b, c in parhost.progress(%s) do
          print((table.concat({ tostring(a), b, c }, " "):gsub("^parhost%%.Future.*", "FUTURE")))
        end]]):format(row[1])
      assert.same({ row[2], row[3], 0 }, { output_of(script) })
    end)
  end

  it("errors, and goes on behind them", function()
    local script = POOL .. [[
      local it = parhost.progress(pool:map(work, { 1, 0, 3, 0 }), { label = "some" })
      while true do
        local ok, i, value = pcall(it.next, it)
        if i == nil then break end
        print(ok, i, value)
      end
      print(select("#", it:next()), select("#", it()))]]
    assert.same({ "true\t1\t1\nfalse\tnone\tnil\ntrue\t3\t3\nfalse\tnone\tnil\n0\t0\n",
      "some  4/4  100%  in N  N/s  2 failed\n", 0 }, { output_of(script) })
  end)

  it("nil, several values and none; collect, add and close", function()
    local script = POOL .. [[
      local function some(n) if n == 1 then return nil, 2 end end
      for i, a, b in parhost.progress(pool:map(some, { 1, 2 })) do print(i, a, b) end
      local list = parhost.progress(pool:map(work, { 5, 6 })):collect()
      print(list.n, list[1], list[2])
      local it = parhost.progress { pool:submit(work, 1) }
      it:add(pool:submit(work, 2))
      print(it:next() ~= nil, it:next() ~= nil, it:next())
      it:close()
      it = parhost.progress(pool:map(work, { 1, 2 }))
      it:close()
      it:close()
      print((it:next()))]]
    local out, err = output_of(script)
    assert.equal("1\tnil\t2\n2\tnil\tnil\n2\t5\t6\ntrue\ttrue\nnil\n", out)
    assert.matches("^progress  2/2  100%%  in N  N/s\nprogress  2/2  100%%  in N  N/s\nprogress  2/2  100%%  in N  N/s\n"
      .. "progress  [012]/2  %d+%%  stopped after N[^\n]*\n$", err)
  end)

  it("the end of a loop to what it has wrapped", function()
    local script = POOL .. [[
      local closed
      local Endless = { __call = function() return 1 end, __close = function(_, err) closed = err or "closed" end }
      local inner = setmetatable({}, Endless)
      for _ in parhost.progress(inner) do break end
      print(closed)
      print(pcall(function() for _ in parhost.progress(inner) do error("out", 0) end end))
      print(closed)
      local it = pool:map(work, { 1, 2, 3 })
      for _ in parhost.progress(it) do break end
      print((it:next()))]]
    assert.equal("closed\nfalse\tout\nout\nnil\n", (output_of(script)))
  end)

  it("what has been skipped, as done", function()
    local script = POOL .. [[
      local path = os.tmpname()
      local function view() return pool:with { joblog = path } end
      view():map(work, { 1, 2 }):collect()
      for i in parhost.progress(view():map(work, { 1, 2, 3, 4 })) do print(i) end
      os.remove(path)]]
    assert.same({ "3\n4\n", "progress  4/4  100%  in N  N/s  2 skipped\n", 0 }, { output_of(script) })
  end)

  it("values in tasks of workers and of a run", function()
    local script = POOL .. [[
      local function inside(list)
        local sum = 0
        for i, n in require "parhost".progress(require "thread_pool".new(1):map(math.abs, list)) do sum = sum + n end
        return sum
      end
      print(pool:submit(inside, { -1, -2 }):result())
      print(async.run(inside, { -3 }))]]
    assert.same({ "3\n3\n", "progress  1/1  100%  in N  N/s\n", 0 }, { output_of(script) })
  end)
end)

describe("plain lines of progress", function()
  it("come now and then while the program waits, and at the end", function()
    local script = POOL .. [[
      require "parhost.progress".plain_every = 0.02
      local held, gate = os.tmpname(), nil
      os.remove(held)
      os.execute("mkfifo " .. held)
      local function pass(path) local file <close> = io.open(path) return file:read "a" end
      local f = pool:submit(pass, held)
      local it = parhost.progress({ pool:submit(work, 0), f }, { label = "two" })
      print(it:next():error())
      pcall(f.result, f, 0.2)
      gate = io.open(held, "w")
      gate:close()
      it:next()
      it:next()
      os.remove(held)]]
    local _, err = output_of(script)
    local lines = {}
    for line in err:gmatch "[^\n]+" do lines[#lines + 1] = line end
    assert.is_true(#lines >= 3 and #lines < 20, err)
    assert.equal("two  1/2  50%  N/s  ETA N  1/2 busy  1 failed", lines[#lines - 1])
    assert.equal("two  2/2  100%  in N  N/s  1 failed", lines[#lines])
  end)

  it("of the whole program", function()
    assert.same({ "", "progress  3/3  100%  in N  N/s\n", 0 }, { output_of([[
      local pool <close> = require "thread_pool".new(1)
      pool:map(math.abs, { 1, 2, 3 }):collect()]], "", "--progress") })
    assert.same({ "", "", 0 }, { output_of("local x = 1", "", "--progress") })
    local _, err, code = output_of([[
      local pool <close> = require "thread_pool".new(1)
      pool:submit(math.abs, 1):result()
      error "x"]], "", "--progress")
    assert.matches("^parhost: script.lua:3: x\nstack traceback:.*\nprogress  1/1  100%%  stopped after N  N/s\n$", err)
    assert.equal(1, code)
  end)

  it("need arguments that make sense", function()
    local parhost = require "parhost"
    local function refused(...) return raised_by(parhost.progress, ...) end
    assert.matches("bad argument #1 to 'progress' %(iterator or array of futures expected, got nil%)", refused())
    assert.matches("bad argument #1 to 'progress' %(iterator or array of futures expected, got number%)", refused(1))
    assert.matches("bad argument #1 to 'progress' %(item 1: future expected, got number%)", refused { 1 })
    assert.matches("bad argument #2 to 'progress' %(unknown option 'lable'; did you mean 'label'%?%)",
      refused(print, { lable = "x" }))
    assert.matches("bad argument #2 to 'progress' %(option 'total': integer >= 0 expected, got %-1%)",
      refused(print, { total = -1 }))
  end)
end)

describe("tags", function()
  local SCRIPT <const> = [[
    local pool <close> = require(KIND).new { max_workers = 1, name = "p", tag_output = TAG }
    pool:submit(function() print "one" io.write("two", "\n\n", "three") end):result()
    pool:submit(function() print("four", 5) end):result()]]
  local function lines_of(kind, tag, options)
    return (output_of(SCRIPT:gsub("KIND", ("%q"):format(kind)):gsub("TAG", tag), "", options))
  end

  for _, kind in ipairs { "proc_pool", "thread_pool" } do
    it("stand in front of each line of the workers of a " .. kind, function()
      local tagged = "[p/1] one\n[p/1] two\n[p/1] \n[p/1] threefour\t5\n"
      assert.equal(tagged, lines_of(kind, "true"))
      assert.equal(tagged, lines_of(kind, "nil", "--tag"))
      assert.equal("one\ntwo\n\nthreefour\t5\n", lines_of(kind, "false", "--tag"))
      assert.equal("one\ntwo\n\nthreefour\t5\n", lines_of(kind, "nil"))
    end)
  end
end)
