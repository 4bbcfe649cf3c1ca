-- SPDX-License-Identifier: MIT
-- The killer (killer.lua), asked what it does all the time: parhost tests/stress/ps.lua [seed [seconds [asks]]]
-- Nothing it looks at may come out differently, every task must be told in JSON that makes sense, and whoever connects and
-- says nothing is no trouble. Prints how often it was asked, and how long that took.
local async = require "async"
local json = require "http.json"
local parhost = require "parhost"

local seed, seconds, asks = arg[1] or "1", tonumber(arg[2] or 20), tonumber(arg[3] or 1000)
local program = assert(require "parhost.core.host".program_path())
package.cpath = program:gsub("[^/]*$", "") .. "tests/support/?.so;" .. package.cpath
local starter = require "starter"

local ASKERS <const> = 4
local LISTENING <const> = " 00010000 .*@(parhost%%.%d%%..*)$"

local function socket_of(pid)
  for line in io.lines "/proc/net/unix" do
    local name = line:match(LISTENING:format(pid))
    if name then return name end
  end
end

local told = { answers = 0, silent = 0, workers = 0, said = 0, gone = 0 }
local times, worst = {}, 0

-- Looks whether what workers have said makes sense.
local function look_at(state)
  for _, pool in ipairs(state.pools or {}) do
    for _, worker in ipairs(pool.workers or {}) do -- none in a list
      told.workers = told.workers + 1
      if worker.answer then
        told.said = told.said + 1
        look_at(json.decode(worker.answer.text, "worker"))
      end
    end
  end
end

local function ask_in_thread(name, what)
  return require "parhost.core.inspect".ask(name, what, 5)
end

local function ask(name)
  local start = parhost.monotonic()
  local text, why = async.to_thread(ask_in_thread, name, math.random(4) == 1 and "list" or "tree")
  local time = parhost.monotonic() - start
  if text then
    told.answers = told.answers + 1
    times[#times + 1] = time
    worst = math.max(worst, time)
    look_at(json.decode(text, "answer"))
  elseif why == "silent" then
    told.silent = told.silent + 1
  else
    told.gone = told.gone + 1
  end
end

async.run(function()
  math.randomseed(math.tointeger(tonumber(seed)) or 1)
  local killer <close> = async.process { program, "tests/stress/killer.lua", seed, tostring(seconds) }
  local ended = async.create_task(function() return killer:wait() end)
  local held = {}
  local name
  repeat
    name = socket_of(killer:pid())
    async.sleep(0.01)
  until name or ended:done()
  local function keep_asking()
    while not ended:done() do
      ask(name)
      if math.random(10) == 1 then held[#held + 1] = starter.dial(name) end
      if #held > 5 then starter.close(table.remove(held, 1)) end
      async.sleep(seconds / asks * math.random())
    end
  end
  do
    local askers <close> = async.task_group()
    for _ = 1, ASKERS do askers:create_task(keep_asking) end
  end
  for _, fd in ipairs(held) do starter.close(fd) end
  local code = ended:result()
  table.sort(times)
  print(("%d answers, median %.2f ms, longest %.1f ms; %d not within 5 s, %d too late"):format(
    told.answers, (times[#times // 2 + 1] or 0) * 1000, worst * 1000, told.silent, told.gone))
  print(("%d of %d workers had said something"):format(told.said, told.workers))
  if code ~= 0 or told.answers < 20 or told.said == 0 then os.exit(1) end
end)
