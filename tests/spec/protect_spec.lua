-- SPDX-License-Identifier: MIT
-- The replaced pcall, xpcall, load and coroutine functions: as stock Lua has them, but for the cancellation signal.
local run = require "tests.spec.support.run"

local STOCK = "lua5.4"
local has_stock = run.sh("command -v " .. STOCK).code == 0

-- Runs a script that sends itself SIGINT by calling interrupt(): the signal is there when the call returns.
local function interrupted(text)
  return run.script([[
    local function interrupt() io.popen("kill -INT $PPID"):close() end
    local function closing(name)
      return setmetatable({}, { __close = function(_, e) print(name, type(e) == "table" and e.source or e) end })
    end
  ]] .. text)
end

describe("as stock lua:", function()
  local snippets = {
    "pcall()", "print(pcall(error))", "print(pcall(42))", "print(pcall(error, nil))", "print(pcall(pcall))",
    "xpcall()", "xpcall(print)", "print(pcall(xpcall, print, 1))", "print(xpcall(error, string.upper, 'a'))",
    "print(xpcall(error, function(m) error 'again' end, 'a'))", "print(xpcall(error, function() error() end))",
    "print(xpcall(function() return nil + 1 end, debug.traceback))",
    "print(xpcall(function() return nil + 1 end, function(e) return debug.traceback(e, 2) end))",
    "print(xpcall(function() return nil + 1 end, function(e) return debug.traceback(e) end))",
    "print(xpcall(string.rep, function(m) return m end))", "print(pcall(string.rep))",
    "print(select('#', pcall(table.unpack, {}, 1, 200)))", "print(pcall(pcall, error, 1))",
    "local co = coroutine.wrap(function(...) print(pcall(coroutine.yield, ...)) return 5 end) print(co(1, 2), co(3))",
    [[local co = coroutine.wrap(function(...)
        print(pcall(function(...) print(coroutine.yield(...)) error {} end, ...)) return 5
      end) print(co(1, 2)) print(pcall(co, 3, nil, 4))]],
    [[local co = coroutine.wrap(function(...)
        print(xpcall(function(...) print(coroutine.yield(...)) error 'e' end, string.upper, ...)) return 5
      end) print(co(1, 2)) print(co(3, nil, 4))]],
    [[local f = coroutine.wrap(function() return pcall(pcall, pcall, coroutine.yield, 1) end)
      print(f()) print(f(2, 3))]],
    "local co = coroutine.wrap(function() error 'x' end) print(pcall(co)) print(pcall(co))",
    "local co = coroutine.wrap(function() error({}) end) print(type(select(2, pcall(co))))",
    "coroutine.wrap(function() error 'x' end)()", "print(pcall(coroutine.wrap(function() error(nil) end)))",
    [[local co = coroutine.wrap(function()
        local x <close> = setmetatable({}, { __close = function(_, e) error(e .. '+', 0) end }) error('x', 0)
      end) print(pcall(co))]],
    [[local co = coroutine.create(function()
        local x <close> = setmetatable({}, { __close = function(_, e) print('close', e) end }) coroutine.yield(1)
      end)
      print(coroutine.resume(co)) print(coroutine.close(co)) print(coroutine.status(co)) print(coroutine.resume(co))]],
    [[local co = coroutine.create(function()
        local x <close> = setmetatable({}, { __close = function(_, e) error 'c' end }) coroutine.yield(1)
      end)
      print(coroutine.resume(co)) print(coroutine.close(co)) print(coroutine.close(co))]],
    [[local co = coroutine.create(error)
      print(coroutine.resume(co, 1)) print(coroutine.close(co)) print(coroutine.close(co))]],
    "coroutine.close(coroutine.running())", "coroutine.close(1)", "coroutine.resume()", "coroutine.resume({})",
    "print(coroutine.resume(coroutine.running()))", "coroutine.wrap()", "coroutine.wrap(1)", "coroutine.yield()",
    [[local co co = coroutine.create(function()
        local inner = coroutine.create(function() print(pcall(coroutine.close, co)) print(coroutine.resume(co)) end)
        print(coroutine.resume(inner))
      end) print(coroutine.resume(co))]],
    "print(coroutine.isyieldable(), coroutine.running())",
    "print(coroutine.resume(coroutine.create(function() return coroutine.isyieldable(), coroutine.running() end)))",
    [[local generate = coroutine.wrap(function()
        for i in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do coroutine.yield(i * 2) end
      end) print(generate(), generate(), generate())]],
    "local co = coroutine.create(select) print(pcall(coroutine.resume, co, '#', table.unpack({}, 1, 900000)))",
    [[local co = coroutine.create(table.unpack)
      print(select('#', coroutine.resume(co, {}, 1, 900000)), coroutine.status(co))]],
    "print(pcall(coroutine.wrap(function() return table.unpack({}, 1, 999980) end)))",
    "local function f() return f() + 1 end print(pcall(f))", "local function f() return pcall(f) end print(f())",
    [[local n = 0
      local function f() n = n + 1 local ok, e = pcall(f) if not ok then error(e, 0) end end print(pcall(f), n)]],
    "local n = 0 local function f() n = n + 1 return coroutine.wrap(f)() end print(pcall(f)) print(n)",
    [[local n = 0
      local function f() n = n + 1 return coroutine.resume(coroutine.create(f)) end print(pcall(f)) print(n)]],
    "local n = 0 local function f() n = n + 1 return xpcall(f, function(e) return e end) end print(f()) print(n)",
    "print(load('return 1', 'n', 't', {}))", "print(load 'x x')", "print(load(function() return nil end))", "load()",
    "load(nil)", "load({})", "print(load(function() return {} end))", "print(load(function() error 'r' end))",
    "print(load('return x', 'c', 'b'))", "print(load(string.dump(print and function() end), 'c', 't'))", "load('x', {})",
    "local i = 0 print(load(function() i = i + 1 return ({ 'return', ' ', '...', '+1' })[i] end)(4))",
    "print(load('return x', 'c', nil, { x = 7 })())", "print(pcall(load('return x', 'c', 'bt', nil)))", "load('', 1, 2)",
    "print(pcall(coroutine.wrap(function() return load(function() coroutine.yield() end) end)))",
    [[local ok, e = pcall(string.gsub, 'abc', '.', function() error('in callback', 0) end) print(ok, e)]],
    [[local co = coroutine.create(function() local function f() error 'x' end f() end) coroutine.resume(co)
      print(debug.traceback(co))]],
    [[local n = 0 for _ = 1, 3 do
        local x <close> = setmetatable({}, { __close = function() n = n + 1 end }) pcall(error)
      end print(n)]],
    [[debug.sethook(function() error 'hook' end, 'l')
      local x = 1]],
  }

  local function outcome(program, name)
    local result = run.sh(("timeout 60 %s %s"):format(program, name))
    for _, stream in ipairs { "out", "err" } do
      result[stream] = result[stream]:gsub("0x%x+", "ADDRESS"):gsub("^[%w%.]+:", "PROGRAM:")
    end
    return result
  end

  for _, text in ipairs(snippets) do
    it(text, function()
      if not has_stock then return pending(STOCK .. " is not installed") end
      local name = run.write(text)
      local stock, ours = outcome(STOCK, name), outcome(run.parhost, name)
      os.remove(name)
      assert.same(stock, ours)
    end)
  end
end)

describe("the cancellation signal", function()
  -- Each body runs until it is stopped; `first()` interrupts at its first call.
  local bodies = {
    ["in a loop"] = "first() while true do end",
    ["through pcall"] = "while true do pcall(first) end",
    ["through pcall in pcall"] = "while true do pcall(pcall, pcall, first) end",
    ["through coroutine.resume"] = "while true do coroutine.resume(coroutine.create(first)) end",
    ["through coroutine.wrap"] = "while true do pcall(coroutine.wrap(first)) end",
    ["in a generator"] = "for _ in coroutine.wrap(function() while true do first() coroutine.yield(1) end end) do end",
    ["when switching coroutines"] = [[first() local co = coroutine.wrap(function()
      while true do coroutine.yield() end end) while true do co() end]],
    ["in a gsub callback"] = "while true do string.gsub('abc', '.', first) end",
    ["in a sort comparator"] = "while true do table.sort({ 1, 2, 3 }, function(a, b) first() return a < b end) end",
    ["in a load reader"] = "while true do load(function() first() return ' ' end) end",
    ["in a metamethod"] = [[local t = setmetatable({}, { __index = first })
      while true do pcall(function() return t.x end) end]],
    ["in coroutine.close"] = [[while true do local co = coroutine.create(function()
      local x <close> = setmetatable({}, { __close = function() first() while true do end end }) coroutine.yield() end)
      coroutine.resume(co) coroutine.close(co) end]],
    ["with a hook of the user's"] = "debug.sethook(function() end, 'l') while true do pcall(first) end",
    ["in a message handler"] = "while true do xpcall(error, function() first() while true do end end) end",
  }

  for name, body in pairs(bodies) do
    it("unwinds code " .. name, function()
      local result = interrupted([[
        local called
        local function first() if not called then called = true interrupt() end end
        local c <close> = closing "closed" ]] .. body)
      assert.same({ out = "closed\tsignal\n", err = "", code = 130 }, result)
    end)
  end

  it("runs no message handler of an xpcall on its way", function()
    local result = interrupted([[
      xpcall(function()
        coroutine.wrap(function() xpcall(pcall, function() print "handler" end, interrupt) end)()
      end, function() print "handler" end)
      print "not reached"]])
    assert.same({ out = "", err = "", code = 130 }, result)
  end)

  it("leaves later errors their message handlers", function()
    local result = interrupted([[
      local host = require "parhost.core.host"
      print(xpcall(function()
        print(host.is_signal(select(2, host.catch(interrupt))))
        error("mine", 0)
      end, string.upper))]])
    assert.equal("true\nfalse\tMINE\n", result.out)
  end)

  it("CA-39 closes the variables of nested coroutines, inner ones first", function()
    local result = interrupted([[
      local a <close> = closing "main"
      coroutine.wrap(function()
        local b <close> = closing "outer"
        coroutine.resume(coroutine.create(function()
          local c <close>, _ = closing "inner"
          interrupt()
        end))
      end)()]])
    assert.equal("inner\tsignal\nouter\tsignal\nmain\tsignal\n", result.out)
  end)

  it("CA-41 closes in reverse order, each variable with the signal", function()
    local result = interrupted([[
      local a <close> = closing "a"
      local b <close> = closing "b"
      local c <close> = closing "c"
      interrupt()]])
    assert.equal("c\tsignal\nb\tsignal\na\tsignal\n", result.out)
  end)

  it("lets a __close handler run to its end, however long it is", function()
    local result = interrupted([[
      local x <close> = setmetatable({}, { __close = function()
        local n = 0
        for i = 1, 1000000 do n = n + #tostring(i) end
        print(n, pcall(error, "as ever"))
      end })
      while true do pcall(interrupt) end]])
    assert.equal("5888896\tfalse\tas ever\n", result.out)
  end)

  it("is replaced by an error of a __close handler", function()
    local result = interrupted([[
      print(pcall(coroutine.wrap(function()
        local x <close> = setmetatable({}, { __close = function() error("from closing", 0) end })
        interrupt()
      end)))]])
    assert.match("^false\t.*from closing\n$", result.out)
    assert.equal(130, result.code)
  end)

  it("stops deep recursion at once", function()
    local result = interrupted([[
      local function descend(n) if n == 0 then interrupt() else descend(n - 1) end return n end
      while true do xpcall(descend, function() print "handler" end, 3000) end]])
    assert.same({ out = "", err = "", code = 130 }, result)
  end)

  it("keeps a debugging hook of the user's", function()
    local result = interrupted([[
      local host = require "parhost.core.host"
      debug.sethook(print, "", 1000000)
      host.catch(interrupt)
      print(debug.gethook() == print, select(3, debug.gethook()))]])
    assert.equal("true\t1000000\n", result.out)
  end)

  it("has a text", function()
    local host = require "parhost.core.host"
    assert.equal("parhost.cancelled: cancelled (source: deadline)", tostring(host.signal("deadline")))
    assert.equal("parhost.cancelled: enough (source: explicit)", tostring(host.signal("explicit", "enough")))
  end)

  it("is caught by host.catch alone", function()
    local host = require "parhost.core.host"
    local ok, signal = host.catch(function()
      pcall(function() host.raise_signal(host.signal("group")) end)
    end)
    assert.is_false(ok)
    assert.equal("group", signal.source)
    assert.same({ true, 1, nil, 3, n = 4 }, table.pack(host.catch(function() return 1, nil, 3 end)))
    assert.same({ false, nil, n = 2 }, table.pack(host.catch(error, nil)))
  end)
end)

describe("host.call", function()
  local host = require "parhost.core.host"

  it("gives the traceback of where the error was raised", function()
    local function deepest() error("boom", 0) end
    local ok, err, traceback = host.call(function() deepest() end)
    assert.is_false(ok)
    assert.equal("boom", err)
    assert.match("^stack traceback:\n", traceback)
    assert.match("protect_spec%.lua:%d+: in upvalue 'deepest'", traceback)
  end)

  it("keeps it while __close handlers make calls of their own", function()
    local _, _, traceback = host.call(function()
      local _ <close> = setmetatable({}, { __close = function() host.call(error, "inner") end })
      error "outer"
    end)
    assert.match("protect_spec%.lua", traceback)
  end)

  it("cuts the traceback of a stack overflow", function()
    local function overflow() return 1 + overflow() end
    local ok, err, traceback = host.call(overflow)
    assert.is_false(ok)
    assert.match("stack overflow", err)
    assert.is_true(select(2, traceback:gsub("\n", "\n")) <= 40)
  end)

  it("has no traceback for a signal", function()
    assert.same({ false, host.signal("explicit"), n = 3 },
      table.pack(host.call(host.raise_signal, host.signal("explicit"))))
  end)
end)
