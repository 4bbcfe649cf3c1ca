-- SPDX-License-Identifier: MIT
-- As io.lua, in processes: map in input order over HTTP.
--   parhost scripts/io_processes.lua [url...]     without arguments: four sites, twice
local proc_pool = require "proc_pool"
local http = require "http"

local SITES <const> = {
  "https://www.python.org", "https://www.google.com", "https://www.github.com", "https://www.baidu.com",
}

local urls = table.move(arg, 1, #arg, 1, {})
if #urls == 0 then
  table.move(SITES, 1, #SITES, 1, urls)
  table.move(SITES, 1, #SITES, #SITES + 1, urls)
end

local function io_bound_task(url)
  local ok, response = pcall(http.get, url, { timeout = 5 })
  if not ok then return ("URL: %s, 错误: %s"):format(url, response) end
  return ("URL: %s, Status: %d, Length: %d"):format(url, response.status, #response.body)
end

do
  local pool <close> = proc_pool.new { max_workers = 10 }
  print(("启动进程池处理 %d 个URL..."):format(#urls))
  for _, line in pool:map(io_bound_task, urls) do print(line) end
end
