-- SPDX-License-Identifier: MIT
-- C code that closes descriptors wholesale, and whose numbers are something else's at once: nobody noticed, a wait for a
-- pool was one on somebody else's epoll, or never came to an end, or libuv aborted. Who has waited in vain for a second
-- looks now.
package.path = "tests/spec/?.lua;" .. package.path
local hostile = require "support.hostile"
local run = require "support.run"

local LOST <const> = "parhost.os: the event loop cannot wait: something in this process has closed its descriptors"
local BROKEN <const> = "parhost.broken_pool: p is broken: something in this process has closed its descriptors"

-- What the program prints; the end of the pool may be reported, too.
local function output(kind, what, text)
  local result = run.script(hostile.prelude .. ([[
    local KIND, WHAT = %q, %q
    local cpath = package.cpath
    local crash = require "crash"
    local function compute(seconds)
      local limit = os.clock() + seconds
      while os.clock() < limit do end
      return "computed"
    end
    local function replace_here(what)
      package.cpath = cpath
      require "async" -- files that it needs
      compute(0.1)
      require("crash").replace(3, 500, what)
      return "replaced"
    end
    local first <const> = require(KIND) and crash.first_free()
    local pool = require(KIND).new { max_workers = 1, name = "p" }
    ]]):format(kind, what) .. text)
  assert.equal(0, result.code, result.err)
  -- The fork server ends the workers of a connection that is closed; the pool may hear of that before it looks.
  return (result.out:gsub("parhost%.worker_died: worker 1 %(pid %d+%) was ended by SIGKILL [^\n]*", BROKEN))
end

local function one_of(text, ...)
  for _, expected in ipairs { ... } do
    if text == expected then return end
  end
  assert.equal((...), text)
end

for i, what in ipairs { "epoll", "eventfd", "socket" } do
  describe("numbers that are taken by " .. what .. "s", function()
    it("end the wait for processes by an error: the loop is not there yet", function()
      one_of(output("proc_pool", what, [[
        local f = pool:submit(compute, 0.2)
        crash.replace(3, 500, WHAT)
        print(select(2, pcall(f.result, f)))]]), BROKEN .. "\n", "computed\n")
    end)

    it("are a worker's own business: another one goes on", function()
      assert.equal("replaced\n2\n", output("proc_pool", what, [[
        print(pool:submit(replace_here, WHAT):result())
        print(pool:submit(math.abs, -2):result())]]))
    end)

    if i > 1 then return end -- the rest is the same

    it("end the wait for processes by an error: the dispatcher drives", function()
      assert.equal(BROKEN .. "\n", output("proc_pool", what, [[
        local f = pool:submit(compute, 0.3)
        compute(0.05)
        crash.replace(3, 500, WHAT)
        print(select(2, pcall(f.result, f)))]]))
    end)

    for _, kind in ipairs { "proc_pool", "thread_pool" } do
      it("end the wait by an error: the loop is among them, " .. kind, function()
        assert.equal(LOST .. "\n", output(kind, what, [[
          pool:submit(math.abs, -1):result()
          require("async").sleep(0.001)
          local f = pool:submit(compute, 0.3)
          compute(0.05)
          crash.replace(3, 500, WHAT)
          print(select(2, pcall(f.result, f)))]]))
      end)
    end

    it("do not keep results of threads from who waits", function()
      assert.equal("computed\n", output("thread_pool", what, [[
        local f = pool:submit(compute, 0.2)
        crash.replace(3, 500, WHAT)
        print(f:result())]]))
    end)

    it("do not keep results from who waits: a task in a thread does it", function()
      one_of(output("thread_pool", what, [[
        local f = pool:submit(replace_here, WHAT)
        print(select(2, pcall(f.result, f)))]]), "replaced\n", LOST .. "\n")
    end)

    it("do not keep a task in a process from the end of its own wait", function()
      local text = output("proc_pool", what, [[
        print(select(2, pool:submit(pcall, function(replace, how)
          local own <close> = require("proc_pool").new { max_workers = 1, name = "p" }
          local f = own:submit(math.abs, -3)
          f:result()
          replace(how)
          return own:submit(math.abs, -4):result()
        end, replace_here, WHAT):result()))]])
      one_of(text, LOST .. "\n", BROKEN .. "\n")
    end)
  end)
end

describe("a pool that got the numbers of one before", function()
  it("is left alone by that one, which is broken", function()
    assert.equal(BROKEN .. "\n3\n", output("proc_pool", "eventfd", [[
      local f = pool:submit(compute, 0.2)
      crash.close_from(first, 500) -- the way to the fork server stays
      local second = require("proc_pool").new { max_workers = 1, name = "second" }
      local g = second:submit(function() return 3 end)
      print(select(2, pcall(f.result, f)))
      print(g:result())]]))
  end)
end)
