-- SPDX-License-Identifier: MIT
-- A task that was cancelled while wait_for stopped a future whose time was up got the time-out.
local async = require "async"
local virtual = require "tests.spec.support.virtual"

it("the outer cancellation goes before the time-out of a future", virtual.it(function()
  local waiter = async.create_task(function()
    async.wait_for(async.create_task(async.sleep, 5), 1)
  end)
  async.checkpoint() -- so that its limit comes first
  async.sleep(1)
  assert.is_true(waiter:running())
  waiter:cancel { reason = "enough" }
  local ok, err = waiter:outcome()
  assert.is_false(ok)
  assert.equal("cancelled", err.kind)
  assert.equal("enough", err.reason)
end))
