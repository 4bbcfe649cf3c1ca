-- SPDX-License-Identifier: MIT
-- A thousand URLs: at most 50 at a time, so many a second, two more tries where that may help; what is lost is told.
--   parhost scripts/cookbook/fetch.lua [file of URLs, one a line] [URLs a second = 1000]     without: a server of our own
local async = require "async"
local http = require "http"

local function read_lines(path)
  local list = {}
  for line in io.lines(path) do list[#list + 1] = line end
  return list
end

-- Starts a server on a free port of the loopback interface; gives it and a thousand URLs there.
local function serve()
  local server = async.process {
    "python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "0", stdout = "pipe", stderr = "null",
    cwd = arg[0]:match "^(.*)/" or ".",
  }
  local port = server:read("l"):match "port (%d+)"
  local list = {}
  for i = 1, 1000 do list[i] = ("http://127.0.0.1:%s/README.md?page=%d"):format(port, i) end
  return server, list
end

-- A page that is not there will not be there in a moment either.
local function worth_it(err) return err.code ~= "status" or err.status >= 500 end

local function fetch_all(urls, rate)
  local session <close> = http.session { timeout = 10 }
  local function fetch(url) return session:get(url):raise_for_status() end

  local bytes, failures = 0, 0
  local how = { max_concurrency = 50, rate = rate, retries = 2, retry_if = worth_it }
  local pages <close> = async.map(fetch, urls, how)
  for i, url in ipairs(urls) do
    local ok, why, page = pcall(pages.next, pages) -- an error is raised at its place; the next call goes on behind it
    if ok then
      bytes = bytes + #page.body
    else
      failures = failures + 1
      print(("%d: %s: %s"):format(i, url, why))
    end
  end
  print(("%d pages, %d bytes, %d failures"):format(#urls - failures, bytes, failures))
end

async.run(function()
  local rate = assert(tonumber(arg[2] or 1000), "URLs a second: a number expected")
  if arg[1] then return fetch_all(read_lines(arg[1]), rate) end
  local _ <close>, urls = serve()
  fetch_all(urls, rate)
end)
