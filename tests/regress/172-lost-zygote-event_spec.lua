-- SPDX-License-Identifier: MIT
-- An event that the fork server could neither send nor keep, for want of memory, was lost: the pool waited for the end of a
-- worker that had ended. Now the connection ends, and the pool is told by that.
package.path = "tests/spec/?.lua;" .. package.path
local has_faults, fault = pcall(require, "parhost.core.fault")
local futures = require "futures"
local gate = require "support.gate"
local hostile = require "support.hostile"
local proc_pool = require "proc_pool"

;(has_faults and describe or pending)("a fork server without memory for an event", function()
  after_each(function() fault.arm "" end)

  it("breaks the pool, which does not wait for ever", function()
    local pool <close> = proc_pool.new(1)
    local g = gate.new()
    local pid = pool:submit(hostile.pid):result(30)
    local f = pool:submit(gate.pass, g.path)
    local open = g:reached()
    fault.arm "zygote.send:1,zygote.alloc:1"
    require("crash").kill(pid, 9)
    local ok, err = f:outcome(20)
    open()
    assert.is_false(ok)
    assert.is_true(futures.is(err, "worker_died"), tostring(err))
    assert.equal(1, fault.tripped "alloc")
    ok, err = pcall(function() return pool:submit(hostile.pid):result(20) end)
    assert.is_false(ok)
    assert.is_true(futures.is(err, "broken_pool"), tostring(err))
    local other <close> = proc_pool.new(1)
    assert.equal("number", type(other:submit(hostile.pid):result(20)))
  end)
end)
