-- SPDX-License-Identifier: MIT
-- Messages that led astray: of functions of modules that were called with a colon (`unknown option 'as_completed'`), of
-- `all` and `progress` (which named other functions), of words that are near to any other, of files of forms (no name),
-- of modules in `preload` (a place inside of parhost), of items that cannot be compared (likewise).
package.path = "tests/spec/?.lua;" .. package.path
local async = require "async"
local futures = require "futures"
local http = require "http"
local parhost = require "parhost"
local proc_pool = require "proc_pool"
local program = require "support.program"
local run = require "support.run"
local thread_pool = require "thread_pool"

local function message_of(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return (tostring(err):gsub("^[^ ]+:%d+: ", ""))
end

describe("a message about", function()
  it("a call with a colon says so", function()
    local GOT <const> = " expected, got the module itself: call it with a dot)"
    local cases = {
      { "new", "table of options", proc_pool.new, proc_pool, 2 },
      { "new", "table of options", thread_pool.new, thread_pool },
      { "wait", "array", futures.wait, futures, {} },
      { "as_completed", "array", futures.as_completed, futures, {} },
      { "get", "string for the URL", http.get, http, "http://127.0.0.1/" },
      { "session", "table of options", http.session, http },
      { "on_exit", "function", parhost.on_exit, parhost, print },
      { "run", "table of options", async.run, async, print },
      { "sleep", "number", async.sleep, async, 1 },
      { "create_task", "function", async.create_task, async, print },
      { "wait_for", "function or future", async.wait_for, async, print, 1 },
      { "queue", "integer", async.queue, async, 1 },
      { "run_process", "table with a command", async.run_process, async, { "true" } },
      { "gather", "array", async.gather, async, {} },
      { "all", "future or function", async.all, async, print },
    }
    for _, case in ipairs(cases) do
      assert.equal(("bad argument #1 to '%s' (%s%s"):format(case[1], case[2], GOT), message_of(table.unpack(case, 3)))
    end
  end)

  it("an argument names the function that was called", function()
    assert.equal("bad argument #2 to 'all' (future or function expected, got number)",
      message_of(async.run, async.all, print, 1))
    assert.equal("bad argument #1 to 'progress' (item 1: future expected, got string)",
      message_of(parhost.progress, { "a" }))
  end)

  it("a word proposes only one that is near", function()
    assert.matches("unknown option 'new'; there are ", message_of(proc_pool.new, { new = 1 }), 1, true)
    assert.matches("unknown option 'evn'; did you mean 'env'?", message_of(proc_pool.new, { evn = {} }), 1, true)
    if not program.is_stock then
      local said = io.popen(run.parhost .. " -Z 2>&1"):read("l")
      assert.equal("parhost: unrecognized option '-Z'", said)
    end
  end)

  it("a form names the file", function()
    assert.matches("(option 'form': 'f': /tmp: Is a directory)",
      message_of(http.post, "http://127.0.0.1/", { form = { f = { path = "/tmp" } } }), 1, true)
    assert.matches("(option 'form': 'g': string, number, boolean or table expected, got function)",
      message_of(http.post, "http://127.0.0.1/", { form = { { "f", { data = "" } }, { "g", print } } }), 1, true)
  end)

  it("a module of preload has no place inside of parhost", function()
    local pool <close> = proc_pool.new { max_workers = 1, name = "p", preload = { "no.such" } }
    local err = pool:submit(print):error()
    assert.matches("^the initializer of p failed: preload: module 'no%.such' not found:", err.message)
  end)

  it("items that cannot be compared says how they can", function()
    local queue = async.priority_queue()
    queue:put { 1 }
    local HOW <const> = " in a priority_queue without a function 'less'"
    assert.equal("attempt to compare two table values" .. HOW, message_of(queue.put, queue, { 2 }))
    assert.equal("attempt to compare string with table" .. HOW, message_of(queue.put, queue, "x"))
    local point = setmetatable({}, { __lt = function() return true end })
    queue:put(point)
    assert.equal(point, queue:get())
  end)
end)
