-- SPDX-License-Identifier: MIT
-- A big read-only table for all workers without sending it: they are forked from this process when it is there already.
--   parhost scripts/cookbook/shared_table.lua [entries = 500000] [tasks = 100]
local proc_pool = require "proc_pool"

local entries = assert(math.tointeger(tonumber(arg[1] or 500000)), "entries: a whole number expected")
local tasks = assert(math.tointeger(tonumber(arg[2] or 100)), "tasks: a whole number expected")

local squares = {}
for i = 1, entries do squares[i] = i * i end

-- An upvalue like any other. Since it was there at the fork, and has a thousand entries or more, tasks find it, and only
-- its number travels.
local function sum_of_slice(first, last)
  local sum = 0
  for i = first, last do sum = sum + squares[i] end
  return sum
end

local firsts, lasts = {}, {}
for k = 1, tasks do
  firsts[k], lasts[k] = entries * (k - 1) // tasks + 1, entries * k // tasks
end

local total = 0
do
  local pool <close> = proc_pool.new { start_method = "fork" }
  for _, sum in pool:map(sum_of_slice, firsts, lasts) do total = total + sum end
end
print(("the sum of %d squares is %d"):format(entries, total))
