-- SPDX-License-Identifier: MIT
-- error(nil) in the function of async.group was taken for the end of a function: its tasks were waited for instead of
-- cancelled, and the error came out bare. (A block with <close> cannot tell: Lua gives both as nil.)
local async = require "async"
local virtual = require "tests.spec.support.virtual"

local error = error -- busted has an environment of its own

it("a group whose function raises nil cancels its tasks and raises a group", virtual.it(function()
  local child
  local begun = async.time()
  local ok, err = pcall(async.group, function(tg)
    child = tg:create_task(async.sleep, 100)
    async.checkpoint()
    error(nil)
  end)
  assert.is_false(ok)
  assert.equal("group", err.kind)
  assert.matches("1 error in a task group: nil", err.message)
  assert.equal("cancelled", child:state())
  assert.is_true(async.time() - begun < 1)
end))
