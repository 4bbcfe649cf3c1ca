-- SPDX-License-Identifier: MIT
-- The synchronisation primitives as they stand in module `async`.
local barrier = require "async.barrier"
local event = require "async.event"
local lock = require "async.lock"
local semaphore = require "async.semaphore"

return {
  lock = lock.lock,
  condition = lock.condition,
  event = event.event,
  semaphore = semaphore.semaphore,
  bounded_semaphore = semaphore.bounded_semaphore,
  barrier = barrier.barrier,
}
