-- SPDX-License-Identifier: MIT
-- The same rows in plain code, in workers, and in tasks.
package.path = "tests/spec/?.lua;" .. package.path
local rows = require "support.process_rows"

describe("a process started by plain code", function()
  for _, name in ipairs(rows.names) do it(name, rows[name]) end
end)

for module, size in pairs { proc_pool = 1, thread_pool = 2 } do
  local has_it, executor = pcall(require, module)
  if has_it then
    describe("a process started by a worker of " .. module, function()
      local pool
      setup(function() pool = executor.new(size) end)
      teardown(function() pool:close() end)
      for _, name in ipairs(rows.names) do
        it(name, function() assert.equal("done", pool:submit("support.process_rows:run", name):result(60)) end)
      end
    end)
  end
end

local has_async, async = pcall(require, "async")
if has_async then
  describe("a process started by a task", function()
    for _, name in ipairs(rows.names) do
      it(name, function() async.run(rows[name]) end)
    end
  end)
end
