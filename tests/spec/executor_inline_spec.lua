-- SPDX-License-Identifier: MIT
-- The executor's contract for pools that run every task in the caller.
package.path = "tests/spec/?.lua;" .. package.path
local contract = require "support.executor_contract"
local proc_pool = require "proc_pool"

local function new(options)
  if math.type(options) == "integer" and options > 0 then options = { max_workers = options } end
  if type(options) ~= "table" then return proc_pool.new(options) end
  local copy = {}
  for key, value in pairs(options) do copy[key] = value end
  copy.inline = true
  return proc_pool.new(copy)
end

contract.describe("inline", new, {})
