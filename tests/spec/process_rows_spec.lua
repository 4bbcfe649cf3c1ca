-- SPDX-License-Identifier: MIT
-- The same rows in plain code, in workers, and in tasks.
package.path = "tests/spec/?.lua;" .. package.path
local rows = require "support.process_rows"
local proc_pool = require "proc_pool"

describe("a process started by plain code", function()
  for _, name in ipairs(rows.names) do it(name, rows[name]) end
end)

describe("a process started by a worker process", function()
  local pool
  setup(function() pool = proc_pool.new(1) end)
  teardown(function() pool:close() end)
  for _, name in ipairs(rows.names) do
    it(name, function() assert.equal("done", pool:submit("support.process_rows:run", name):result(60)) end)
  end
end)

local has_threads, thread_pool = pcall(require, "thread_pool")
if has_threads then
  describe("a process started by a worker thread", function()
    local pool
    setup(function() pool = thread_pool.new(2) end)
    teardown(function() pool:close() end)
    for _, name in ipairs(rows.names) do
      it(name, function() assert.equal("done", pool:submit("support.process_rows:run", name):result(60)) end)
    end
  end)
end

local has_async, async = pcall(require, "async")
if has_async then
  describe("a process started by a task", function()
    for _, name in ipairs(rows.names) do
      it(name, function() async.run(rows[name]) end)
    end
  end)
end
