-- SPDX-License-Identifier: MIT
-- What goes on, for `.tasks`: the tasks of this state, and each pool with what its workers do.
local function seconds_since(moment, now)
  return ("%.1f s"):format(math.max(0, now - moment))
end

local function worker_line(pool, worker, now)
  local task, site
  if worker.task then task, site = pool.core:about(worker.task) end
  local what = task and task:match("^(.-) %b()$") or task or worker.task and ("task %d"):format(worker.task) or worker.state
  if site then what = ("%s, submitted %s"):format(what, site:match("^(.-:%d+):") or site) end
  local who = worker.tid and ("tid %d"):format(worker.tid) or worker.pid and ("pid %d"):format(worker.pid) or "starting"
  return ("  worker %d (%s): %s, for %s"):format(worker.id, who, what, seconds_since(worker.since, now))
end

local function add_pool(lines, pool, now)
  local stats = pool.core:stats()
  lines[#lines + 1] = ('%s "%s": %d worker%s, %d running, %d queued, %d completed, %d failed'):format(
    pool.kind, pool.name, stats.workers, stats.workers == 1 and "" or "s",
    stats.running, stats.queued, stats.completed, stats.failed)
  for _, worker in ipairs(pool.core:workers()) do lines[#lines + 1] = worker_line(pool, worker, now) end
end

return function(now)
  local lines = {}
  local dump, exit = package.loaded["async.dump"], package.loaded["parhost.exit"]
  lines[1] = dump and dump.text() or "0 tasks"
  for _, object in ipairs(exit and exit.objects() or {}) do
    if object.core then add_pool(lines, object, now) end
  end
  return table.concat(lines, "\n") .. "\n"
end
