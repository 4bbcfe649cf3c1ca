-- SPDX-License-Identifier: MIT
-- Asking a program what it does, until its workers have said so, too. A program answers at once; its workers write what they
-- do a moment later, and the next answer has it. Theirs come after that.
local host = require "parhost.core.host"
local inspect = require "parhost.core.inspect"
local proc = host.load_built_in("cli.proc")()
local shape = host.load_built_in("cli.shape")()

local ask = {}

local ASLEEP_PATIENCE <const> = 0.3 -- seconds for a worker that sleeps whenever it is looked at,
local ASLEEP_LOOKS <const> = 10 -- which is so often at least: on a busy machine we are late ourselves
local FIRST_PAUSE <const>, PAUSE <const> = 0.001, 0.05

local function thread_of(worker, pid)
  if worker.pid then return proc.stat(worker.pid, worker.pid) end
  return worker.tid and proc.stat(pid, worker.tid) or nil
end

local function is_about(worker, answer)
  for _, task in ipairs(worker.tasks) do
    if task.id == answer.task then return true end
  end
  return false
end

local settle_pools

-- worker.says: what it has told of itself since then; worker.silent: the state of a busy one that has told nothing, as the
-- system has it. Gives how many have not told: that run, and that sleep.
local function settle_worker(worker, pid, since)
  local answer = worker.answer
  worker.answer = nil
  worker.tasks = worker.tasks or {}
  local stat = thread_of(worker, pid)
  worker.rss, worker.cpu = worker.pid and stat and stat.rss or nil, stat and stat.cpu
  if worker.state ~= "busy" then return 0, 0 end
  local fresh = answer and answer.text and (answer.at or 0) >= since and is_about(worker, answer)
  worker.says = fresh and shape.state(answer.text) or nil
  if worker.says then return settle_pools(worker.says.pools, worker.pid or pid, since) end
  worker.silent = stat and stat.state or "?"
  if worker.silent == "R" then return 1, 0 end
  return 0, 1
end

function settle_pools(pools, pid, since)
  local running, asleep = 0, 0
  for _, pool in ipairs(pools or {}) do
    for _, worker in ipairs(pool.workers or {}) do
      local r, a = settle_worker(worker, pid, since)
      running, asleep = running + r, asleep + a
    end
  end
  return running, asleep
end

local function once(name, what, seconds)
  local text, why, state = inspect.ask(name, what, math.max(seconds, 0))
  if not text then return nil, why, state end
  local answer = shape.state(text)
  if not answer then return nil, "nonsense" end
  answer.waits = answer.stack and (answer.stack[1] or ""):find("^%[C%].*'step'$") ~= nil or nil -- in its loop
  return answer
end

-- How many there are of what.
function ask.summary(name, seconds)
  return once(name, "list", seconds)
end

-- What a program does, with what its workers say as far as they do within that time; nil, why, state of its main thread.
function ask.tree(name, pid, seconds)
  local start = host.monotonic()
  local pause, last, looks = FIRST_PAUSE, nil, 0
  while true do
    local left = start + seconds - host.monotonic()
    local answer, why, state = once(name, "tree", left)
    if not answer then
      if last and why == "silent" then return last end
      return nil, why, state
    end
    last, looks = answer, looks + 1
    local running, asleep = settle_pools(answer.pools, pid, start)
    local spent = host.monotonic() - start
    if running + asleep == 0 or spent + pause > seconds then return answer end
    if running == 0 and spent > ASLEEP_PATIENCE and looks >= ASLEEP_LOOKS then return answer end
    inspect.nap(pause)
    pause = math.min(pause * 2, PAUSE)
  end
end

return ask
