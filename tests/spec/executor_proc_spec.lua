-- SPDX-License-Identifier: MIT
-- The executor's contract for processes.
package.path = "tests/spec/?.lua;" .. package.path
local contract = require "support.executor_contract"
local proc_pool = require "proc_pool"

contract.describe("proc_pool", proc_pool.new, { workers = true })
