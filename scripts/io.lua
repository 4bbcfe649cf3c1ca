-- SPDX-License-Identifier: MIT
-- Threads, and map in input order over HTTP.
--   parhost scripts/io.lua [url...]     without arguments: four sites, twice
local thread_pool = require "thread_pool"
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
  local pool <close> = thread_pool.new { max_workers = 10 }
  print(("启动线程池处理 %d 个URL..."):format(#urls))
  for _, line in pool:map(io_bound_task, urls) do print(line) end
end
