-- SPDX-License-Identifier: MIT
-- The executor's contract for threads.
package.path = "tests/spec/?.lua;" .. package.path
local contract = require "support.executor_contract"
local thread_pool = require "thread_pool"

contract.describe("thread_pool", thread_pool.new, { workers = true })
