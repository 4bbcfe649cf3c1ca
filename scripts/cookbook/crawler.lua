-- SPDX-License-Identifier: MIT
-- A polite crawler: follows the links of one site, four pages at a time, so many a second, and tells which are broken.
--   parhost scripts/cookbook/crawler.lua [URL] [pages a second = 50]     without: the pages in docs/, served by python3
local async = require "async"
local http = require "http"

-- A link of the page `base` as a URL; nil for what is elsewhere.
local function resolve(base, link)
  local site, path = base:match "^(%a+://[^/]+)([^?]*)"
  link = link:gsub("#.*", ""):gsub("^" .. site:gsub("%p", "%%%0") .. "/", "/")
  if link == "" or link:find "^//" or link:find "^%a[%w+.-]*:" then return nil end
  if link:sub(1, 1) ~= "/" then link = path:gsub("[^/]*$", "") .. link end
  local steps = {}
  for step in link:gmatch "[^/]+" do
    if step == ".." then table.remove(steps) elseif step ~= "." then steps[#steps + 1] = step end
  end
  return site .. "/" .. table.concat(steps, "/") .. (#steps > 0 and link:match "/$" or "")
end

local function visit(url)
  local ok, response = pcall(http.get, url, { timeout = 10 })
  if not ok then return url, response.message, {} end
  if response.status >= 400 then return url, ("%d %s"):format(response.status, response.reason), {} end
  local links = {}
  for _, pattern in ipairs { 'href="([^"]+)"', "%]%(([^)%s]+)%)" } do -- HTML, Markdown
    for link in response.body:gmatch(pattern) do links[#links + 1] = resolve(response.url, link) end
  end
  return url, nil, links
end

local function crawl(start, rate)
  local queue, linked_by = async.queue(), { [start] = "the command line" }
  local waiting, pages, broken = 1, 0, 0
  queue:put(start)
  for _, url, trouble, links in async.map(visit, queue:items(), { max_concurrency = 4, rate = rate, ordered = false }) do
    pages, waiting = pages + 1, waiting - 1
    if trouble then
      broken = broken + 1
      print(("%s: %s (linked by %s)"):format(url, trouble, linked_by[url]))
    end
    for _, link in ipairs(links) do
      if not linked_by[link] then
        linked_by[link], waiting = url, waiting + 1
        queue:put(link)
      end
    end
    if waiting == 0 then queue:shutdown() end -- that was the last
  end
  print(("%d pages, %d broken links"):format(pages, broken))
end

async.run(function()
  local rate = assert(tonumber(arg[2] or 50), "pages a second: a number expected")
  if arg[1] then return crawl(arg[1], rate) end
  local folder = (arg[0]:match "^(.*)/" or ".") .. "/../.."
  local server <close> = async.process {
    "python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "0", cwd = folder, stdout = "pipe", stderr = "null",
  }
  crawl(("http://127.0.0.1:%s/docs/"):format(server:read("l"):match "port (%d+)"), rate)
end)
