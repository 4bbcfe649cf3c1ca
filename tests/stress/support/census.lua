-- SPDX-License-Identifier: MIT
-- What this process holds: memory, descriptors, threads, children. For programs that must give all of it back.
local program = assert(require "parhost.core.host".program_path())
package.cpath = program:gsub("[^/]*$", "") .. "tests/support/?.so;" .. package.cpath

local async = require "async"
local crash = require "crash"
local lfs = require "lfs"
local monotonic = require("parhost").monotonic

local census = {}

crash.trim()

local function read(path)
  local file <close> = io.open(path)
  return file and file:read "a" or ""
end

-- Bytes of memory that are in use, of this process or another; nil: there is none.
function census.rss(pid)
  local pages = read(("/proc/%s/statm"):format(pid or "self")):match "^%d+ (%d+)"
  return pages and tonumber(pages) * require("parhost.core.inspect").page
end

local function count(path)
  local n = 0
  for name in lfs.dir(path) do
    if name:find "^%d" then n = n + 1 end
  end
  return n
end

-- Pids, of this process or another.
function census.children(pid)
  local list, path = {}, ("/proc/%s/task"):format(pid or "self")
  if not lfs.attributes(path) then return list end
  for thread in lfs.dir(path) do
    for child in read(path .. "/" .. thread .. "/children"):gmatch "%d+" do list[#list + 1] = tonumber(child) end
  end
  return list
end

-- The pid of the fork server, or nil.
function census.zygote()
  for _, pid in ipairs(census.children()) do
    if read(("/proc/%d/comm"):format(pid)):find "zygote" then return pid end
  end
end

-- What there is now, but for memory: { descriptors =, threads =, children =, workers = }
function census.take()
  local zygote = census.zygote()
  return {
    descriptors = count "/proc/self/fd", threads = count "/proc/self/task", children = #census.children(),
    workers = zygote and #census.children(zygote) or 0,
  }
end

-- Names what is more than it was, or nil.
local function excess(before, now)
  local text = {}
  for _, name in ipairs { "descriptors", "threads", "children", "workers" } do
    if now[name] > before[name] then text[#text + 1] = ("%d %s, %d before"):format(now[name], name, before[name]) end
  end
  return text[1] and table.concat(text, "; ")
end

-- Waits until there is no more than there was before; gives what is still there after so many seconds, or nil.
function census.left(before, seconds)
  local limit = monotonic() + seconds
  local left
  repeat
    left = excess(before, census.take())
    if left then async.sleep(0.02) end
  until not left or monotonic() > limit
  return left
end

-- How much memory may grow: ThreadSanitizer's own, for what has ever been touched, is counted with it.
function census.bound(bytes)
  return read("/proc/self/maps"):find("libtsan", 1, true) and math.huge or bytes
end

-- Memory after everything that nobody needs has been collected, and given back: what is free in the arenas of malloc
-- depends on which threads there were.
function census.collected()
  collectgarbage()
  collectgarbage()
  crash.trim()
  return census.rss()
end

function census.mb(bytes) return ("%.1f MB"):format(bytes / (1 << 20)) end

return census
