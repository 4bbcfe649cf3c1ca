-- SPDX-License-Identifier: MIT
-- Processes, submit and as_completed: the sum of squares below n, several times at once.
--   parhost scripts/cpu.lua [n = 10^6] [tasks = 4]
local proc_pool = require "proc_pool"

local function whole_number(text, default, name)
  local n = text == nil and default or math.tointeger(tonumber(text))
  if not n or n < 1 then
    io.stderr:write(("cpu.lua: %s: a whole number >= 1 expected, got '%s'\n"):format(name, text))
    os.exit(1)
  end
  return n
end

local n = whole_number(arg[1], 1000000, "n")
local tasks = whole_number(arg[2], 4, "tasks")

local function cpu_bound_task(limit)
  local sum = 0
  for i = 0, limit - 1 do sum = sum + i * i end
  return sum
end

do
  local pool <close> = proc_pool.new()
  pool:warm_up()
  print(("启动 %d 个进程处理 %d 个任务..."):format(#pool:workers(), tasks))
  local futures = {}
  for i = 1, tasks do futures[i] = pool:submit(cpu_bound_task, n) end
  for future in proc_pool.as_completed(futures) do
    local ok, result = future:outcome()
    if ok then
      print(("一个任务完成，结果大致为: %.2f 万亿"):format(result / 1e12))
    else
      print("任务执行出错: " .. tostring(result))
    end
  end
end
