-- SPDX-License-Identifier: MIT
-- How programs end by themselves: errors and os.exit, from everywhere. Of each: the exit code, every byte of stdout, what
-- stderr says; and nothing is left, no process, no file. Signals: exit_signals_spec.lua.
package.path = "tests/spec/?.lua;" .. package.path
local world = require "support.world"

local POOLS <const> = {
  process = [[require("proc_pool").new(1)]], thread = [[require("thread_pool").new(1)]],
  ["inline process"] = [[require("proc_pool").new { inline = true }]],
  ["inline thread"] = [[require("thread_pool").new { inline = true }]],
  ["forked process"] = [[require("proc_pool").new { max_workers = 1, start_method = "fork" }]],
}

local function check(row, text, options)
  local result = world.run { text = text, options = options }
  assert.equal("", result.left)
  assert.equal(row.out or "", result.out, result.err)
  if row.err then assert.matches(row.err, result.err) else assert.equal("", result.err) end
  assert.equal(row.code or 0, result.code)
end

-- Errors ----------------------------------------------------------------------------------------------------

local VALUES <const> = {
  ["a string"] = { [["boom", 0]], "[^\n]*boom\n" }, -- coroutine.wrap adds where it was called
  ["nil"] = { "nil", "%(error object is a nil value%)\n" },
  ["a table"] = { "{}", "%(error object is a table value%)\n" },
  ["a table with __tostring"] = { [[setmetatable({}, { __tostring = function() return "text" end })]], "text\n" },
}

-- %s: the call of error.
local PLACES <const> = {
  ["the main script"] = "%s",
  ["a coroutine"] = "coroutine.wrap(function() %s end)()",
  ["a main task"] = [[require("async").run(function() %s end)]],
  ["a child of a group"] = [[require("async").run(function()
    local list
    local ok, err = pcall(function()
      local tg <close> = require("async").task_group()
      tg:create_task(function() %s end)
    end)
    error(err.errors[1], 0)
  end)]],
  ["a thread worker"] = [[require("thread_pool").new(1):submit(function() %s end):result()]],
  ["a process worker"] = [[require("proc_pool").new(1):submit(function() %s end):result()]],
}

describe("an uncaught error:", function()
  for what, value in pairs(VALUES) do
    for place, text in pairs(PLACES) do
      local travels = not (what:find "__tostring" and place:find "worker") -- classes that are not registered do not
      if travels then
        it(what .. " in " .. place, function()
          check({ code = 1, out = "before\n", err = "^parhost: " .. value[2] },
            [[print "before" ]] .. text:format("error(" .. value[1] .. ")"))
        end)
      end
    end
  end

  it("is reported and goes no further in hooks, callbacks, finalizers and tasks that nobody looks at", function()
    check({ out = "end\n", err = "^Lua warning: parhost: error in on_exit hook: script%.lua:2: oops\n$" },
      [[require("parhost").on_exit(function() error "oops" end) print "end"]])
    check({ err = "^Lua warning: error in __gc %(script%.lua:2: oops%)\n$" },
      [[kept = setmetatable({}, { __gc = function() error "oops" end })]])
    for _, pool in pairs(POOLS) do
      check({ out = "1\n", err = "^Lua warning: parhost: error in a callback of .-: script%.lua:4: oops\n$" }, ([[
        local pool <close> = %s
        local f = pool:submit(math.abs, -1)
        f:add_done_callback(function() error "oops" end)
        print(f:result())]]):format(pool))
      check({ err = "^Lua warning: parhost: nobody looked at the error of a task: oops\n" }, ([[
        local pool <close> = %s
        pool:submit(error, "oops")]]):format(pool))
    end
  end)

  it("comes from options, too", function()
    check({ code = 1, err = "^parhost: %(command line%):1: oops\n" }, nil, { "-e", "error 'oops'" })
    check({ code = 1, err = "^parhost: module 'no%.such' not found:" }, nil, { "-l", "no.such" })
    check({ code = 1, err = "^parhost: cannot open no%-such%-file" }, nil, { "no-such-file" })
  end)
end)

-- os.exit ---------------------------------------------------------------------------------------------------

local CODES <const> = {
  [""] = 0, ["nil"] = 0, ["true"] = 0, ["false"] = 1, ["0"] = 0, ["7"] = 7, ["7.0"] = 7, ["256"] = 0, ["-1"] = 255,
  ["true, true"] = 0, ["false, true"] = 1, ["7, true"] = 7, ["7, false"] = 7,
}

-- %s: the call of os.exit(5, ...).
local EXITS <const> = {
  ["the main script"] = "%s",
  ["pcall"] = "pcall(function() %s end)",
  ["a coroutine in pcall"] = "pcall(coroutine.wrap(function() pcall(function() %s end) end))",
  ["a function that C calls"] = "table.sort({ 2, 1 }, function() %s end)",
  ["a message handler"] = "xpcall(error, function() %s end)",
  ["a finalizer"] = "setmetatable({}, { __gc = function() %s end }) collectgarbage()",
  ["a debug hook"] = [[debug.sethook(function() debug.sethook() %s end, "", 1)]],
  ["a module"] = [[package.preload.m = function() %s end require "m"]],
  ["a main task"] = [[require("async").run(function() %s end)]],
  ["a task beside others"] = [[local async = require "async"
    async.run(function()
      local tg <close> = async.task_group()
      tg:create_task(async.sleep, 100)
      tg:create_task(function() %s end)
    end)]],
  ["a callback in a run"] = [[local async = require "async"
    async.run(function()
      async.create_task(async.sleep, 0):add_done_callback(function() %s end)
      async.sleep(100)
    end)]],
  ["a callback of a process pool"] = [[local f = require("proc_pool").new(1):submit(math.abs, -1)
    f:add_done_callback(function() %s end)
    f:wait()]],
  ["a map of a thread pool"] = [[for _ in require("thread_pool").new(2):map(math.abs, { 1, 2, 3 }) do %s end]],
}

local AROUND <const> = [[
  local closing <close> = setmetatable({}, { __close = function() print "closed" end })
  require("parhost").on_exit(function() print "hook" end)
]]

describe("os.exit", function()
  for arguments, code in pairs(CODES) do
    it("(" .. arguments .. ") gives " .. code, function()
      check({ code = code, out = "hook\n" },
        [[require("parhost").on_exit(function() print "hook" end) os.exit(]] .. arguments .. ") print 'not reached'")
    end)
  end

  for place, text in pairs(EXITS) do
    it("SD-39 in " .. place, function()
      local whole = AROUND .. text .. " print 'not reached'"
      check({ code = 5, out = "hook\n" }, whole:format "os.exit(5)")
      check({ code = 5, out = "hook\n" }, whole:format "os.exit(5, false)")
      check({ code = 5, out = "hook\nclosed\n" }, whole:format "os.exit(5, true)")
    end)
  end

  it("in a hook, and at the end of the state", function()
    check({ code = 5, out = "closed\nhook\n" }, AROUND .. [[require("parhost").on_exit(function() os.exit(5) end)]])
    check({ code = 5 }, [[kept = setmetatable({}, { __gc = function() os.exit(5) end })]])
  end)

  for kind, pool in pairs(POOLS) do
    local dies = kind:find "process" and not kind:find "inline"
    local error_kind = dies and "worker_died" or "worker_exit"

    it("CR-03 in a task of a " .. kind .. " pool ends that task alone", function()
      for _, text in ipairs { "os.exit(5)", "os.exit(5, true)", "coroutine.wrap(function() os.exit(5) end)()",
        [[require("async").run(function() os.exit(5) end)]] } do
        check({ out = ("false\t%s\t5\n"):format(error_kind) }, ([[
          local pool <close> = %s
          local ok, err = pool:submit(function() %s end):outcome()
          print(ok, err.kind, err.exit_code)]]):format(pool, text))
      end
    end)

    it("in the initializer of a " .. kind .. " pool breaks the pool", function()
      check({ out = ("initializer_failed\t%s\t5\n"):format(error_kind) }, ([[
        local options = { max_workers = 1, inline = %s, initializer = function() os.exit(5) end, start_method = %s }
        local pool <close> = require("%s").new(options)
        local _, err = pool:submit(math.abs, -1):outcome()
        print(err.kind, err.cause.kind, err.cause.exit_code)]]):format(
        kind:find "inline" and "true" or "nil", kind:find "forked" and '"fork"' or "nil",
        kind:find "thread" and "thread_pool" or "proc_pool"))
    end)
  end
end)
