-- SPDX-License-Identifier: MIT
-- A seeded walk over groups, scopes, shields, futures and cancellations. Whatever is chosen: every <close> variable is
-- closed exactly once, no task is left, no waiter is stranded, and the run ends.
local async = require "async"
local futures = require "futures"

local walk = {}

-- `steps`: how many operations, over all tasks. Gives what was counted.
function walk.run(seed, steps)
  math.randomseed(seed)
  local random = math.random
  local opened, closed, twice, left = 0, 0, 0, steps
  local finished, cancelled = 0, 0
  local tasks, pending, scopes, generators = {}, {}, {}, {}

  local function guard()
    opened = opened + 1
    local done = false
    return setmetatable({}, { __close = function()
      if done then twice = twice + 1 end
      done = true
      closed = closed + 1
    end })
  end

  local function pick(list)
    return #list > 0 and list[random(#list)] or nil
  end

  local function keep(list, item)
    list[#list < 50 and #list + 1 or random(50)] = item
    return item
  end

  local body

  local function settle_one()
    local i = #pending > 0 and random(#pending)
    local f = i and table.remove(pending, i)
    if f and not f:done() then f:set_result(i) end
  end

  local operations = {
    function() async.checkpoint() end,
    function() async.sleep(random() * 3) end,
    function(depth)
      local tg <close> = async.task_group { on_error = random(4) == 1 and "collect" or "cancel",
                                            max_concurrency = random(4) == 1 and 2 or nil }
      for _ = 1, random(4) do keep(tasks, tg:create_task(body, depth + 1)) end
      if random(3) == 1 then body(depth + 1) end
      if random(5) == 1 then tg:cancel() end
    end,
    function(depth) async.move_on_after(random() * 4, body, depth + 1) end,
    function(depth)
      local _ <close> = async.timeout(random() * 4)
      body(depth + 1)
    end,
    function(depth)
      async.scope(function(scope)
        keep(scopes, scope)
        body(depth + 1)
      end)
    end,
    function(depth) async.shield({ timeout = random() * 2 }, body, depth + 1) end,
    function() keep(tasks, async.create_task(body, 3)) end,
    function()
      local t = pick(tasks)
      if t then t:cancel { reason = "walk" } end
    end,
    function()
      local scope = pick(scopes)
      if scope then scope:cancel() end
    end,
    function()
      local t = pick(tasks)
      if t and t ~= async.current_task() then t:wait(random() * 2) end
    end,
    function()
      local f = futures.new()
      pending[#pending + 1] = f
      f:wait(random() * 5)
    end,
    settle_one,
    function(depth)
      for _ in coroutine.wrap(function()
        local _ <close> = guard()
        body(depth + 1)
        coroutine.yield(1)
      end) do left = left - 1 end
    end,
    function(depth)
      local next_value = coroutine.wrap(function()
        local _ <close> = async.timeout(random() * 4)
        coroutine.yield()
        if random(2) == 1 then
          local _ <close> = async.task_group()
          coroutine.yield()
          body(depth + 1)
        end
        body(depth + 1)
      end)
      keep(generators, next_value)
      pcall(next_value)
    end,
    function()
      local next_value = pick(generators)
      if next_value then pcall(next_value) end
    end,
    function() error("walk", 0) end,
    function(depth) pcall(body, depth + 1) end,
    function(depth) async.catch_cancelled(body, depth + 1) end,
    function(depth)
      async.gather({ function() body(depth + 1) end, async.checkpoint }, { return_errors = true })
    end,
    function(depth) pcall(async.race, { function() body(depth + 1) end, function() async.sleep(random()) end }) end,
    function(depth) pcall(async.wait_for, body, random() * 3, depth + 1) end,
  }

  function body(depth)
    local _ <close> = guard()
    for _ = 1, random(5) do
      if left <= 0 then return end
      left = left - 1
      if depth > 6 then async.checkpoint() else operations[random(#operations)](depth) end
    end
  end

  local rounds = 0
  async.run({ clock = "virtual", slow_step = 30 }, function()
    while left > 0 do
      rounds = rounds + 1
      local t = async.create_task(body, 1)
      t:wait(random() * 6)
      if random(2) == 1 then t:cancel() end
      t:wait()
      if t:cancelled() then cancelled = cancelled + 1 else finished = finished + 1 end
    end
  end)
  collectgarbage()
  collectgarbage()
  return { opened = opened, closed = closed, twice = twice, finished = finished, cancelled = cancelled,
           left = #async.all_tasks() }
end

return walk
