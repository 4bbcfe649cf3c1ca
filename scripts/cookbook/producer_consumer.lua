-- SPDX-License-Identifier: MIT
-- Producers and consumers around a channel: who is faster waits; when the last producer is done, the consumers end.
--   parhost scripts/cookbook/producer_consumer.lua [producers = 3] [consumers = 2] [items of each = 4]
local async = require "async"

local function option(i, name, default)
  return assert(math.tointeger(tonumber(arg[i] or default)), name .. ": a whole number expected")
end

local producers, consumers, items = option(1, "producers", 3), option(2, "consumers", 2), option(3, "items", 4)

local function produce(name, sender)
  local mine <close> = sender
  for i = 1, items do
    async.sleep(0.01)
    mine:send { from = name, number = i }
  end
end

local function consume(receiver)
  local mine <close> = receiver
  local eaten = 0
  for item in mine:items() do
    print(("%s has eaten %d of producer %d"):format(async.current_task():name(), item.number, item.from))
    async.sleep(0.02)
    eaten = eaten + 1
  end
  return eaten
end

async.run(function()
  local sender, receiver = async.channel(5) -- five may lie in it
  local total, tasks = 0, {}
  async.group(function(tg)
    for i = 1, producers do tg:create_task(produce, i, sender:clone()) end
    for i = 1, consumers do tasks[i] = tg:with { name = "consumer " .. i }:create_task(consume, receiver:clone()) end
    sender:close() -- the clones keep the channel open
    receiver:close()
  end)
  for _, task in ipairs(tasks) do total = total + task:result() end
  print(("%d items made, %d eaten"):format(producers * items, total))
end)
