-- SPDX-License-Identifier: MIT
-- What cannot travel: kind, path and type of the error, wherever the value lies.
package.path = "tests/spec/?.lua;" .. package.path
local parhost = require "parhost"
local proc_pool = require "proc_pool"
local compile = require("support.ways").compile

local thread = coroutine.create(function() end)
local A_COROUTINE <const> = "a coroutine cannot travel"

local function echo(...) return ... end

local function here() return debug.getinfo(2, "l").currentline end

-- The error that fn raises is not_serializable, with this path, type and reason.
local function assert_refused(path, type, why, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.equal("not_serializable", err.kind)
  assert.equal(path, err.path)
  assert.equal(type, err.type)
  assert.equal(path .. ": " .. why, err.message)
end

describe("a value that cannot travel is named", function()
  local pool
  before_each(function() pool = proc_pool.new(1) end)
  after_each(function() pool:close() end)

  it("SE-07 in arguments", function()
    local cases = {
      { "args[1]", thread },
      { "args[1].a.b.c", { a = { b = { c = thread } } } },
      { 'args[1][2][true][1.5]["a b"]', { 1, { [true] = { [1.5] = { ["a b"] = thread } } } } },
      { "args[1]: a key", { [thread] = 1 } },
      { "args[1]: a key.x", { [{ x = thread }] = 1 } },
      { "args[1][3]", { 1, nil, thread } },
      { "args[1][4]", { 1, 2, 3, thread, 5, 6 } },
      { "args[1][40].x", table.move({ { x = thread } }, 1, 1, 40, table.pack(("x"):rep(39):byte(1, -1))) },
      { "args[1].x", { 1, 2, 3, 4, 5, 6, x = thread } },
    }
    for _, case in ipairs(cases) do
      assert_refused(case[1], "thread", A_COROUTINE, pool.submit, pool, echo, case[2])
    end
    assert_refused("args[3].conn", "thread", A_COROUTINE, pool.submit, pool, echo, 1, nil, { conn = thread })
  end)

  it("SE-07 in upvalues", function()
    local object = { x = { thread } }
    local line = here() + 1
    local function task() return object end
    for _, args in ipairs { { task }, { echo, task }, { echo, 1, { { task } } } } do
      local ok, err = pcall(pool.submit, pool, table.unpack(args))
      assert.is_false(ok)
      assert.matches(("^upvalue 'object' of function .*codec_errors_spec.lua:%d%%.x%%[1%%]$"):format(line), err.path)
      assert.equal("thread", err.type)
      assert.equal(err.path .. ": " .. A_COROUTINE, err.message)
    end
  end)

  it("SE-07 in what maps are given", function()
    assert_refused("item 2: args[1]", "thread", A_COROUTINE, pool.map, pool, echo, { 1, thread })
    assert_refused("item 2: args[2].x", "thread", A_COROUTINE, pool.map, pool, echo, { 1, 2 }, { 1, { x = thread } })
    assert_refused("item 1: args[2][1]", "thread", A_COROUTINE, pool.starmap, pool, echo, { { 1, { thread } } })
    local chunks = pool:with { chunk_size = 3 }
    assert_refused("item 5: args[1]", "thread", A_COROUTINE, chunks.map, chunks, echo, { 1, 2, 3, 4, thread, 6 })
    assert_refused("item 4: args[2]", "thread", A_COROUTINE, chunks.starmap, chunks, echo,
      { { 1 }, { 2 }, { 3 }, { 4, thread } })
    assert.equal(7, pool:submit(echo, 7):result())
  end)

  it("SE-07 in results", function()
    local task = compile [[function(where)
      if where == 1 then return { x = { coroutine.create(print) } } end
      return 1, { io.stdout }
    end]]
    assert_refused("result[1].x[1]", "thread", A_COROUTINE, function() pool:submit(task, 1):result() end)
    assert_refused("result[2][1]", "FILE*", "a userdata (FILE*) cannot travel", function() pool:submit(task, 2):result() end)
  end)

  it("SE-07 in error values", function()
    local f = pool:submit(compile "function() error { deep = { coroutine.create(print) } } end")
    local ok, err, traceback = f:outcome()
    assert.is_false(ok)
    assert.same({ "not_serializable", "error.deep[1]", "thread" }, { err.kind, err.path, err.type })
    assert.equal("the task raised an error value that cannot travel: error.deep[1]: a coroutine cannot travel", err.message)
    assert.is_string(traceback)
  end)

  it("SE-07 in what initializers are given", function()
    assert_refused("init_args[2].x", "thread", A_COROUTINE, proc_pool.new,
      { initializer = echo, init_args = { 1, { x = thread } } })
  end)

  it("SE-07 in dump_value", function()
    assert_refused("value", "thread", A_COROUTINE, parhost.dump_value, thread)
    assert_refused("value.x[1]", "thread", A_COROUTINE, parhost.dump_value, { x = { thread } })
  end)

  it("for userdata, C closures and light userdata", function()
    assert_refused("args[1]", "FILE*", "a userdata (FILE*) cannot travel", pool.submit, pool, echo, io.stdout)
    local why = "a C function that no loaded module holds by name cannot travel"
    assert_refused("args[1]", "function", why, pool.submit, pool, echo, coroutine.wrap(echo))
    assert_refused("function", "function", why, pool.submit, pool, string.gmatch("a", "a"))
  end)

  it("SE-23 for light userdata", function()
    local light = debug.upvalueid(assert_refused, 1)
    assert_refused("args[1]", "userdata", "a light userdata means nothing to another process", pool.submit, pool, echo,
      light)
    assert_refused("value[1]", "userdata", "a light userdata means nothing to another process", parhost.dump_value,
      { light })
  end)

  it("and nothing of it is left behind", function()
    for _ = 1, 100 do
      assert.is_false(pcall(pool.submit, pool, echo, { {}, { thread } }))
      assert.is_false(pcall(parhost.dump_value, { "text", { thread } }))
    end
    assert.same({ { 1 } }, { pool:submit(echo, { 1 }):result() })
  end)
end)
