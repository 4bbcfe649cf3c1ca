-- SPDX-License-Identifier: MIT
-- The contract of executors: submitting, results, errors.
local assert = require "luassert"
local busted = require "busted"
local common = require "support.contract.common"
local futures = require "futures"

local it = busted.it
local power, add, same, fail = common.power, common.add, common.same, common.fail
local fail_here, raised_by, assert_kind = common.fail_here, common.raised_by, common.assert_kind

return function(new)
  it("EX-01 runs a function elsewhere and gives its result", function()
    local pool <close> = new(2)
    local f = pool:submit(power, 2, 8)
    assert.equal(256.0, f:result())
    assert.is_true(f:done())
    assert.equal(256.0, f:result())
  end)

  it("EX-03 refuses what is no function, and stays usable", function()
    local pool <close> = new(1)
    assert.matches("bad argument #1 to 'submit' %(function expected.*got nil%)", raised_by(pool.submit, pool))
    assert.matches("bad argument #1 to 'submit' %(function expected.*got number%)", raised_by(pool.submit, pool, 42))
    assert.matches("bad argument #1 to 'submit' %(function expected.*got \"x\"%)", raised_by(pool.submit, pool, "x"))
    assert.equal(3, pool:submit(add, 1, 2):result())
  end)

  it("takes C functions by name and functions of modules", function()
    local pool <close> = new(1)
    assert.equal("XY", pool:submit(string.upper, "xy"):result())
    assert.equal("XY", pool:submit("string:upper", "xy"):result())
    local ok, err = pool:submit("string:no_such"):outcome()
    assert.is_false(ok)
    assert.matches("^module 'string' has no function 'no_such'$", tostring(err))
  end)

  it("FU-27 TH-09 keeps all values and takes many arguments", function()
    local pool <close> = new(1)
    assert.same({ n = 3, 1 }, table.pack(pool:submit(same, 1, nil, nil):result()))
    assert.same({ n = 0 }, table.pack(pool:submit(same):result()))
    local args = {}
    for i = 1, 250 do args[i] = i end
    assert.same(args, { pool:submit(same, table.unpack(args)):result() })
  end)

  it("raises not_serializable at the call, with the path", function()
    local pool <close> = new(1)
    local err = raised_by(pool.submit, pool, same, 1, { conn = io.stdout })
    assert_kind("not_serializable", err)
    assert.equal("args[2].conn", err.path)
    assert.equal(1, pool:submit(same, 1):result())
  end)

  it("EX-45 TR-07 gives the error of a task unchanged, and goes on", function()
    local pool <close> = new(1)
    for _, value in ipairs { "a\nb\0c", 42, true } do
      local f = pool:submit(fail, value)
      assert.is_true(rawequal(value, raised_by(f.result, f)))
      assert.is_true(rawequal(value, raised_by(f.result, f)))
    end
    assert.same({ n = 3, false, nil, "string" }, (function(ok, err, tb)
      return { n = 3, ok, err, type(tb) }
    end)(pool:submit(fail, nil):outcome()))
    assert.same({ 1, 2 }, raised_by(function() pool:submit(fail, { 1, 2 }):result() end))
    assert.equal(3, pool:submit(add, 1, 2):result())
  end)

  it("TR-01 keeps the traceback of the worker", function()
    local pool <close> = new { max_workers = 1, name = "P" }
    local f = pool:submit(fail_here)
    local ok, err, traceback = f:outcome()
    assert.is_false(ok)
    assert.matches("[%w_]+.lua:%d+: here$", err)
    assert.matches("[%w_]+.lua:%d+: in", traceback)
    assert.equal(traceback, f:traceback())
    assert.equal(traceback, futures.traceback_of(err))
    local text = futures.describe(err)
    assert.matches("in task 'fail_here' %(#%d+%) of [%w_]+ \"P\"", text)
    assert.matches("worker stack traceback:\n\t", text)
    assert.matches("submitted at:\n\t[^\n]*[%w_]+.lua:%d+: in ", text)
  end)

  it("names tasks", function()
    local pool <close> = new { max_workers = 1, name = "P" }
    assert.equal("P#1", pool:submit(same):name())
    local f = pool:with { name = "special" }:submit(fail, "named")
    assert.equal("special", f:name())
    f:outcome()
    assert.matches("in task 'special'", futures.describe("named"))
  end)

  it("EX-41 does not mix the results of pools", function()
    local a <close> = new(2)
    local b <close> = new(2)
    local list = {}
    for i = 1, 40 do list[i] = (i % 2 == 0 and a or b):submit(add, i, 0) end
    for i = 40, 1, -1 do assert.equal(i, list[i]:result()) end
  end)

  it("EX-43 can submit from callbacks, in chains", function()
    local pool <close> = new(2)
    local order = { {}, {}, {} }
    local function continue(chain, i)
      pool:submit(same, i):add_done_callback(function(f)
        table.insert(order[chain], (f:result()))
        if i < 100 then continue(chain, i + 1) end
      end)
    end
    for chain = 1, 3 do continue(chain, 1) end
    while #order[1] + #order[2] + #order[3] < 300 do assert.is_true(pool:drain(20)) end
    for chain = 1, 3 do
      for i = 1, 100 do assert.equal(i, order[chain][i]) end
    end
  end)

  it("EX-67 does not run a task again after an error, unless told to", function()
    local pool <close> = new(1)
    local asked = 0
    assert.equal("no", raised_by(function() pool:with { retries = 3 }:submit(fail, "no"):result() end))
    local view = pool:with { retries = 3, retry_if = function(err)
      asked = asked + 1
      return err == "again" and asked < 3
    end }
    local f = view:submit(fail, "again")
    assert.equal("again", raised_by(f.result, f))
    assert.equal(3, asked)
    assert.equal("other", raised_by(function() view:submit(fail, "other"):result() end))
    assert.equal(4, asked)
    assert.equal(7, view:submit(same, 7):result())
  end)

  it("EX-33 keeps no reference to arguments", function()
    local pool <close> = new(1)
    local weak = setmetatable({ {} }, { __mode = "v" })
    pool:submit(same, weak[1])
    pool:drain()
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
  end)
end
