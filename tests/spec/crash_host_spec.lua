-- SPDX-License-Identifier: MIT
-- The end of the host, and of the zygote, by force; and what workers do to the host's output.
package.path = "tests/spec/?.lua;" .. package.path
local hostile = require "support.hostile"
local run = require "support.run"

-- A program that prints pids and is then killed.
local ORPHANS <const> = [[
  local proc_pool, parhost = require "proc_pool", require "parhost"
  local pool = proc_pool.new { max_workers = 2, start_method = arg[1] }
  local function start()
    local pipe = io.popen("sleep 100 >/dev/null & echo $!")
    return parhost.worker().pid, pipe:read("n")
  end
  print(pool:submit(start):result())
  for _ = 1, 2 do pool:submit(function() while true do end end) end
  while pool:stats().running < 2 do end
  for _, w in ipairs(pool:workers()) do print(w.pid) end
  local zygotes = io.popen("ps -o pid=,comm= --ppid $PPID | awk '/zygote/ { print $1 }'")
  io.write(zygotes:read("a"))
  io.stdout:flush()
]]

local function pids_of(text)
  local pids = {}
  for pid in text:gmatch("%d+") do pids[#pids + 1] = pid end
  return pids
end

describe("SIGKILL of the host", function()
  it("SD-43 takes everything with it", function()
    for _, method in ipairs { "forkserver", "fork" } do
      local result = run.script(ORPHANS .. 'os.execute("kill -KILL $PPID")', method)
      assert.equal(137, result.code)
      local pids = pids_of(result.out)
      assert.is_true(#pids >= 5, result.out .. result.err)
      assert.is_true(hostile.gone(pids), method)
    end
  end)

  it("SD-43 and so does that of its process group", function()
    local name = run.write(ORPHANS .. 'os.execute("kill -KILL -$(ps -o pgid= -p $PPID | tr -d \' \')")')
    local result = run.sh(("setsid --wait timeout 60 %s %s"):format(run.parhost, name))
    os.remove(name)
    local pids = pids_of(result.out)
    assert.is_true(#pids >= 5, result.out .. result.err)
    assert.is_true(hostile.gone(pids))
  end)
end)

describe("SIGKILL of the zygote", function()
  it("fails everything, and hangs nothing", function()
    local result = run.script [[
      local proc_pool = require "proc_pool"
      local pool = proc_pool.new { max_workers = 1, name = "p" }
      local f = pool:submit(function() while true do end end)
      local waiting = pool:submit(math.abs, -1)
      while not f:running() do end
      os.execute("kill -KILL $(ps -o pid=,comm= --ppid $PPID | awk '/zygote/ { print $1 }')")
      local _, err = f:outcome(20)
      print(err.kind, err.signal)
      print(waiting:outcome(20))
      print(pcall(pool.submit, pool, math.abs, -1))
      pool:close()
      local function try() return proc_pool.new(1):submit(math.abs, -1):result(20) end
      print(select(2, pcall(try)).kind) -- the control socket may close a little later than the pool's
      while pcall(proc_pool.new, 1) do end
      print(pcall(proc_pool.new, 1))]]
    assert.same({
      out = "worker_died\tSIGKILL\n"
        .. "false\tparhost.broken_pool: p is broken: the fork server of the pool died\tnil\n"
        .. "false\tparhost.broken_pool: p is broken: the fork server of the pool died\n"
        .. "broken_pool\n"
        .. "false\tparhost.broken_pool: the fork server died: no worker can be started\n",
      err = "", code = 0,
    }, result)
  end)

  it("does not stop a program that only ends", function()
    local result = run.script [[
      local pool = require("proc_pool").new(2)
      print(pool:submit(math.abs, -1):result())
      os.execute("kill -KILL $(ps -o pid=,comm= --ppid $PPID | awk '/zygote/ { print $1 }')")]]
    assert.same({ out = "1\n", err = "", code = 0 }, result)
  end)

  it("with tasks waiting, retries and callbacks settles each future once", function()
    local result = run.script [[
      local pool = require("proc_pool").new(2)
      local counts, n = {}, 0
      local view = pool:with { retries = 3 }
      for i = 1, 200 do
        counts[i] = 0
        view:submit(function(k) if k % 10 == 0 then while true do end end return k end, i)
          :add_done_callback(function() counts[i] = counts[i] + 1 end)
      end
      while pool:stats().running < 2 do end
      os.execute("kill -KILL $(ps -o pid=,comm= --ppid $PPID | awk '/zygote/ { print $1 }')")
      pool:close()
      for i = 1, 200 do n = n + (counts[i] == 1 and 1 or 0) end
      print(n)
      os.exit(0)]]
    assert.equal("200\n", result.out)
    assert.equal(0, result.code)
  end)
end)

describe("stdout", function()
  it("takes whole lines of several workers", function()
    local result = run.script [[
      local pool <close> = require("proc_pool").new(3)
      local function flood(letter, length)
        local line = letter:rep(length) .. "\n"
        for _ = 1, 2000 do io.write(line) end
      end
      for i, letter in ipairs { "a", "b", "c" } do pool:submit(flood, letter, i * 700) end]]
    assert.same({ "", 0 }, { result.err, result.code })
    local counts = {}
    for line in result.out:gmatch("[^\n]+") do counts[line] = (counts[line] or 0) + 1 end
    assert.same({ [("a"):rep(700)] = 2000, [("b"):rep(1400)] = 2000, [("c"):rep(2100)] = 2000 }, counts)
  end)

  it("closed by its reader ends the host as stock lua, and its workers with it", function()
    local text = [[
      for i = 1, 100000 do print(i, ("x"):rep(100)) end
      io.stderr:write "not reached"]]
    local pool = [[
      local pool = require("proc_pool").new(1)
      io.stderr:write(pool:submit(function() return require("parhost").worker().pid end):result(), "\n")
    ]]
    local name = run.write(text)
    local stock = run.sh(("{ lua5.4 %s; echo $? >&2; } | head -1"):format(name))
    os.remove(name)
    name = run.write(pool .. text)
    local ours = run.sh(("{ %s %s; echo $? >&2; } | head -1"):format(run.parhost, name))
    os.remove(name)
    assert.equal(stock.out, ours.out)
    local pid, code = ours.err:match("^(%d+)\n(%d+)\n$")
    assert.equal(stock.err, code .. "\n")
    assert.is_true(hostile.gone { pid })
  end)

  it("closed by its reader does not fail a task that prints", function()
    local name = run.write [[
      local pool <close> = require("proc_pool").new(1)
      local f = pool:submit(function()
        for i = 1, 100000 do print(i, ("x"):rep(100)) end
        return "printed"
      end)
      io.stderr:write(f:result(), "\n")]]
    local result = run.sh(("%s %s | head -1"):format(run.parhost, name))
    os.remove(name)
    assert.equal("printed\n", result.err)
  end)

  it("of a program that a task starts works as in a shell", function()
    local result = run.script [[
      local pool <close> = require("proc_pool").new(1)
      print(pool:submit(function()
        local pipe = io.popen("exec 2>&1; yes | head -2")
        return pipe:read("a")
      end):result())]]
    assert.is_nil(result.out:find("roken pipe", 1, true))
    assert.equal("", result.err)
  end)

  it("and all descriptors closed by a task: its result still comes", function()
    local result = run.script(hostile.prelude .. [[
      local pool <close> = require("proc_pool").new(1)
      for i = 1, 10 do
        print(pool:submit(function(k)
          require("crash").close_from(0, 100)
          return k
        end, i):result())
        print(pool:submit(math.abs, -i):result())
      end]])
    local expected = {}
    for i = 1, 10 do expected[i] = ("%d\n%d\n"):format(i, i) end
    assert.same({ out = table.concat(expected), err = "", code = 0 }, result)
  end)
end)
