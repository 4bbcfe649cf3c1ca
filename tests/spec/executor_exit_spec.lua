-- SPDX-License-Identifier: MIT
-- Pools at the end of a program: each spec runs one in a host of its own.
package.path = "tests/spec/?.lua;" .. package.path
local host = require "support.program"

local name -- of the kind of pool that the programs are run with
local program = {}

function program.run(text, prefix)
  return host.run(text:gsub("proc_pool", name), prefix)
end

local function mark_file()
  local path = os.tmpname()
  os.remove(path)
  return path
end

local function count_lines(path)
  local n = 0
  for _ in io.lines(path) do n = n + 1 end
  os.remove(path)
  return n
end

local function assert_clean(expected, text, prefix)
  local out, err, code = program.run(text, prefix)
  assert.equal("", err)
  assert.equal(0, code)
  assert.equal(expected, out)
end

-- What stock Lua does in its own way: it tells nobody of errors before the state is closed, nor of signals.
local in_host = host.is_stock and pending or it

local function rows(kind)
  setup(function() name = kind end)

  it("SD-07 comes with nothing said when pending work was cancelled", function()
    local out, err, code = program.run [[
      local pool = require("proc_pool").new(1)
      for _ = 1, 5 do pool:submit(print, "apple") end
      pool:shutdown { wait = false, cancel_pending = true }]]
    assert.equal("", err)
    assert.equal(0, code)
    assert.matches("^[aple\n]*$", out)
  end)

  it("SD-13 waits for work that nobody holds any more", function()
    local path = mark_file()
    assert_clean("", ([[
      local function write(path, i)
        local file = io.open(path, "a")
        file:write(i, "\n")
        file:close()
      end
      local paths, numbers = {}, {}
      for i = 1, 8 do paths[i], numbers[i] = %q, i end
      require("proc_pool").new(4):map(write, paths, numbers)
      collectgarbage()
      collectgarbage()]]):format(path))
    assert.equal(8, count_lines(path))
  end)

  it("SD-15 waits for a running task", function()
    assert_clean("apple\n", [[
      local pool = require("proc_pool").new(1)
      pool:submit(function()
        local clock = os.clock()
        while os.clock() < clock + 0.05 do end
        print "apple"
      end)
      pool:shutdown { wait = false }]])
  end)

  it("does with waiting work what at_exit says", function()
    local path = mark_file()
    for policy, expected in pairs { wait = 6, cancel = 1 } do
      assert_clean("", ([[
        local pool = require("proc_pool").new { max_workers = 1, at_exit = %q }
        local function write(path)
          local file = io.open(path, "a")
          file:write("x\n")
          file:close()
          local clock = os.clock()
          while os.clock() < clock + 0.02 do end
        end
        local first = pool:submit(write, %q)
        while not first:running() and not first:done() do end
        for i = 1, 5 do pool:submit(write, %q) end]]):format(policy, path, path))
      assert.equal(expected, count_lines(path), policy)
    end
    assert_clean("", [[
      local pool = require("proc_pool").new { max_workers = 1, at_exit = "kill" }
      local f = pool:submit(function() while true do end end)
      while not f:running() do end]])
  end)

  in_host("SD-37 after an error drops what waits and does not hang", function()
    local out, err, code = program.run [[
      local pool = require("proc_pool").new { max_workers = 1, grace = 0.1 }
      pool:submit(function() while true do end end)
      pool:submit(print, "never")
      error("oh no")]]
    assert.equal(1, code)
    assert.equal("", out)
    assert.equal(1, select(2, err:gsub("oh no", "")))
  end)

  it("SD-39 is the same with os.exit", function()
    local out, err, code = program.run [[
      local pool = require("proc_pool").new(1)
      pool:submit(print, "apple")
      KEPT = setmetatable({}, { __gc = function() print "collected" end })
      os.exit(3, false)]]
    assert.same({ "apple\n", "", 3 }, { out, err, code })
  end)

  it("takes no more work", function()
    assert_clean(("parhost.shutdown: cannot schedule new futures after shutdown of %s \"%s-1\"\n"):format(name, name)
      .. "parhost.shutdown: cannot schedule new futures at the end of the program\n", [[
      local proc_pool = require "proc_pool"
      local pool = proc_pool.new(1)
      pool:submit(function() end):add_done_callback(function()
        print(select(2, pcall(pool.submit, pool, print)))
        print(select(2, pcall(proc_pool.new)))
      end)]])
  end)

  in_host("TR-03 shows an uncaught error of a task once, with where it came from", function()
    local out, err, code = program.run [[
      local pool <close> = require("proc_pool").new { max_workers = 1, name = "p" }
      local function fib(n) return n < 2 and n or fib(n - 1) + fib() end
      pool:submit(fib, 4):result()]]
    assert.same({ "", 1 }, { out, code })
    assert.equal(1, select(2, err:gsub("attempt to compare", "")))
    err = err:gsub("%(%l+ %d+%)", "(ID)"):gsub("after %d+%.%d+ s", "after N s")
    assert.matches("^parhost: SCRIPT:2: attempt to compare nil with number[^\n]*\n"
      .. "  in task 'fib' %(#1%) of " .. name .. " \"p\", worker 1 %(ID%), after N s\n"
      .. "worker stack traceback:\n\tSCRIPT:2: in [^\n]*\n", err)
    assert.matches("\nsubmitted at:\n\tSCRIPT:3: in main chunk\nstack traceback:\n", err)
  end)

  in_host("reports failures that nobody looked at", function()
    local out, err, code = program.run [[
      local pool <close> = require("proc_pool").new(1)
      failed = pool:submit(error, "lost", 0)]]
    assert.same({ "", 0 }, { out, code })
    assert.matches("^Lua warning: parhost: nobody looked at the error of a task: lost\n  in task 'error'", err)
  end)

  it("IN-05 does not hang after a failing initializer", function()
    local out, err, code = program.run [[
      local pool = require("proc_pool").new { max_workers = 2, initializer = function() error("no") end }
      pool:warm_up()
      pool = nil
      collectgarbage()]]
    assert.same({ "", "", 0 }, { out, err, code })
  end)

  it("SD-45 collecting a pool with a stuck task takes no time", function()
    local _, err, code = program.run [[
      local monotonic = require("parhost").monotonic
      local pool = require("proc_pool").new { max_workers = 1, grace = 0.05 }
      local f = pool:submit(function() while true do end end)
      while not f:running() do end
      pool = nil
      local start = monotonic()
      collectgarbage()
      collectgarbage()
      assert(monotonic() - start < 0.5)
      f:cancel { force = true }]]
    assert.same({ "", 0 }, { err, code })
  end)

  it("SD-35 pools may be made in workers, to a depth", function()
    assert_clean("3\nparhost.nested: this worker is 3 pools deep already (PARHOST_MAX_DEPTH = 3)\n", [[
      function nest(n)
        local pool <close> = require("proc_pool").new()
        return n == 1 and pool:submit(math.abs, -3):result() or pool:submit(nest, n - 1):result()
      end
      print(nest(3))
      print(select(2, pcall(nest, 4)))]])
    assert_clean("parhost.nested: this worker is 0 pools deep already (PARHOST_MAX_DEPTH = 0)\n",
      [[print(select(2, pcall(require("proc_pool").new)))]], "PARHOST_MAX_DEPTH=0")
  end)

  in_host("Ctrl-C leaves the block of a pool, saying what it waits for", function()
    local out, err, code = program.run [[
      do
        local pool <close> = require("proc_pool").new { max_workers = 1, grace = 0.1 }
        local f = pool:submit(function() while true do end end)
        while not f:running() do end
        pcall(function()
          io.popen("kill -INT $PPID"):close()
          f:result()
        end)
        print "not reached"
      end]]
    assert.equal("", out)
    assert.equal("parhost: interrupted; waiting for 1 running task (Ctrl-C again to end at once)\n", err)
    assert.equal(130, code < 0 and 128 - code or code)
  end)
end

for _, kind in ipairs { "proc_pool", "thread_pool" } do
  describe("the end of a program with a " .. kind, function() rows(kind) end)
end
