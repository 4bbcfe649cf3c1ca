-- SPDX-License-Identifier: MIT
-- A helper that needs nothing but the globals is loaded once per worker; a function that shares its _ENV with it was
-- refused from the second task on ("malformed message: upvalue").
local run = require "tests.spec.support.run"

it("functions share _ENV with a helper that the worker has loaded before", function()
  local result = run.script [[
    local pool <close> = require("proc_pool").new(1)
    local function helper(n) return math.abs(n) end
    local function task(n) return helper(n) + math.abs(n) end
    local function other(n) return math.max(helper(n), n) end
    for i = 1, 3 do print(pool:submit(task, -i):result(), pool:submit(other, -i):result()) end]]
  assert.same({ out = "2\t1\n4\t2\n6\t3\n", err = "", code = 0 }, result)
end)
