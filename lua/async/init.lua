-- SPDX-License-Identifier: MIT
-- The module `async`: tasks on coroutines. Each part gives the functions of one subject.
local core = require "parhost.core.task"
local loop = require "parhost.core.loop"
local futures = require "futures"
local task = require "async.task"
local scope = require "async.scope"
local group = require "async.group"
local combine = require "async.combine"
local bridge = require "async.bridge"
local dump = require "async.dump"
local run = require "async.run"

core.set_policy(task.policy)

local async = {
  run = run.run, runner = run.runner,
  create_task = core.create_task, with = bridge.with,
  current_task = task.current, all_tasks = core.all, checkpoint = core.checkpoint,
  sleep = core.sleep, sleep_until = task.sleep_until, sleep_forever = task.sleep_forever, time = loop.now,
  cancelled = core.cancelled, catch_cancelled = scope.catch_cancelled, shield = scope.shield,
  timeout = scope.timeout, timeout_at = scope.timeout_at, move_on_after = scope.move_on_after,
  scope = scope.scope, wait_for = scope.wait_for,
  task_group = group.task_group, group = group.group, started = group.started,
  gather = combine.gather, all = combine.all, race = combine.race, any = combine.any,
  staggered = combine.staggered, map = require "async.map".map,
  to_thread = bridge.to_thread, to_process = bridge.to_process,
  dump = dump.dump,
  wait = futures.wait, as_completed = futures.as_completed,
}

-- Further parts: module name -> its functions become those of this module.
local PARTS <const> = {
  "async.sync",
  "async.queue",
  "async.channel",
  "async.process",
}

for _, name in ipairs(PARTS) do
  for key, value in pairs(require(name)) do async[key] = value end
end

return async
