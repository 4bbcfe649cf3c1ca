-- SPDX-License-Identifier: MIT
-- What the system knows of processes and threads.
local host = require "parhost.core.host"
local inspect = require "parhost.core.inspect"

local proc = {}

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read("a") or nil
end

proc.STATES = {
  R = "runs", S = "sleeps", D = "waits for a device", T = "is stopped", t = "is stopped by a debugger", Z = "is over",
  X = "is over",
}

-- Of a process, or of one of its threads: { name, state, parent, cpu, age (s), rss (bytes), threads }, nil: there is none.
function proc.stat(pid, tid)
  local text = read(tid and ("/proc/%d/task/%d/stat"):format(pid, tid) or ("/proc/%d/stat"):format(pid))
  local name, rest = (text or ""):match("^%d+ %((.*)%) (.*)$")
  if not name then return nil end
  local values = {}
  for word in rest:gmatch("%S+") do values[#values + 1] = word end -- values[1] is field 3 of proc(5)
  local function number(field) return math.tointeger(tonumber(values[field - 2])) or 0 end
  local uptime = tonumber((read "/proc/uptime" or "0"):match("^%S+"))
  return {
    name = name, state = values[1], parent = number(4), cpu = (number(14) + number(15)) / inspect.ticks,
    threads = number(20), age = math.max(0, uptime - number(22) / inspect.ticks), rss = number(24) * inspect.page,
  }
end

-- The user that a process belongs to; nil: there is no such process, or it is over.
function proc.user(pid)
  local text = read(("/proc/%d/status"):format(pid))
  if not text or text:find "\nState:%s+[ZX]" then return nil end
  return math.tointeger(tonumber(text:match("\nUid:%s+%d+%s+(%d+)")))
end

local function numbers_in(path)
  local list = {}
  for _, entry in ipairs(host.list_directory(path)) do
    local n = entry.name:match("^%d+$")
    if n then list[#list + 1] = math.tointeger(n) end
  end
  table.sort(list)
  return list
end

function proc.threads(pid)
  return numbers_in(("/proc/%d/task"):format(pid))
end

-- All processes: pid -> its children.
function proc.children()
  local children = {}
  for _, pid in ipairs(numbers_in "/proc") do
    local stat = proc.stat(pid)
    if stat then
      local list = children[stat.parent] or {}
      children[stat.parent] = list
      list[#list + 1] = pid
    end
  end
  return children
end

-- A line of /proc/net/unix: ... flags type state inode name. A connection bears the name of where it came in, too.
local LISTENING <const> = " 00010000 %x+ %x+ +%d+ @(parhost%.(%d+)%.%d+%.%d+%.%x+)\n"

-- The sockets by which programs are asked: pid -> their names.
function proc.sockets()
  local found = {}
  for name, pid in (read "/proc/net/unix" or ""):gmatch(LISTENING) do
    pid = math.tointeger(pid)
    if pid then
      local list = found[pid] or {}
      found[pid] = list
      list[#list + 1] = name
    end
  end
  return found
end

return proc
