-- SPDX-License-Identifier: MIT
-- What tests/spec/faults_spec.lua runs: each tries something, and tries it again, and prints what comes of it. A fault hits
-- one of the tries, or is armed in between.
local scripts = {}

-- In front of each.
scripts.prelude = [[
local fault = require "parhost.core.fault"
local function try(f, ...)
  local results = table.pack(pcall(f, ...))
  for i = 1, results.n do results[i] = tostring(results[i]) end
  print(table.concat(results, " ", results[1] == "true" and 2 or 1))
end
-- The name of an armed fault that has not tripped, or nil.
local function missing(...)
  for word in ((os.getenv "PARHOST_FAULT" or "") .. "," .. (... or "")):gmatch "[^,]+" do
    local name = word:gsub("[:=].*", ""):gsub("^.*%.", "")
    if fault.tripped(name) == 0 then return name end
  end
end
]]

-- Behind each.
scripts.epilogue = [[

if missing(...) then print("untripped", missing(...)) end
]]

local POOL <const> = [[
for _ = 1, 2 do
  local made, pool = pcall(require("KIND").new, { max_workers = 2, name = "p" })
  if not made then
    print(pool)
  else
    for _ = 1, 2 do try(function() return pool:submit(math.abs, -1):result(30) end) end
    pool:close()
  end
end]]

scripts.processes = POOL:gsub("KIND", "proc_pool")
scripts.threads = POOL:gsub("KIND", "thread_pool")

-- Submits that wait for room.
scripts.full_queue = [[
local pool = require("thread_pool").new { max_workers = 1, max_queue = 1, name = "p" }
local list = {}
for i = 1, 4 do list[i] = pool:submit(function() require("async").sleep(0.02) return 1 end) end
for i = 1, 4 do print(list[i]:result(30)) end
pool:close()]]

scripts.texts = scripts.processes:gsub("math%.abs, %-1", 'string.upper, "a"') -- results that need memory

-- 300 kB there and back, in pieces; and many small ones.
local MUCH <const> = [[
local pool = require("KIND").new { max_workers = 2, name = "p" }
local text = ("0123456789"):rep(30000)
local function same(a) return a end
print(pool:submit(same, text):result(50) == text)
local sum = 0
for _, n in pool:map(same, { text:byte(1, 500) }) do sum = sum + n end
print(sum)
pool:close()]]

scripts.much_processes = MUCH:gsub("KIND", "proc_pool")
scripts.much_threads = MUCH:gsub("KIND", "thread_pool")

-- Tries until it is in the log; prints what has been recorded. The name of the file is left out of messages.
scripts.joblog = [[
local path = os.tmpname()
local pool = require("proc_pool").new(1)
local function submit()
  local ok, value = pcall(function()
    return pool:with({ joblog = path, key = function() return "1" end }):submit(math.abs, -1):result(30)
  end)
  print(ok and value or "false " .. tostring(value):gsub("'/[^']*'", "'log'"))
  return ok
end
if not submit() then submit() end
local file = io.open(path)
local last = file:read "a":match "[^\n]+\n$"
print("1", last:match("(%d+)\t(%d+)\t[^\t]+\n$") .. "/" .. last:match("\t(%d+)\t[^\t]+\n$"), last:match("([^\t]+)\n$"))
os.remove(path)
pool:close()]]

scripts.inline = [[
local pool = require("proc_pool").new { name = "p", inline = true }
local function spin()
  while true do end
end
for _ = 1, 2 do try(function() return pool:with { timeout = 0.01 }:submit(spin):result() end) end
for _ = 1, 2 do try(function() return pool:submit(math.abs, -1):result() end) end
pool:close()]]

scripts.get = [[
for _ = 1, 2 do try(require("http").get, "http://127.0.0.1:1/") end]]

scripts.cat = [[
for _ = 1, 2 do
  local text = ("0123456789"):rep(2000)
  try(function()
    local result = require("async").run_process { "/bin/cat", input = text }
    return result.stdout == text, result.code
  end)
end]]

scripts.inherit = [[
for _ = 1, 2 do try(function() return require("async").run_process({ "/bin/cat" }).code end) end]]

scripts.wait = [[
for _ = 1, 2 do
  try(function()
    require("async").sleep(0.02)
    return "slept"
  end)
end]]

-- The first wait cannot be over before it has begun.
scripts.wait_for_process = [[
local pool = require("proc_pool").new { max_workers = 1, name = "p" }
local gate = require("tests.spec.support.gate")
local g = gate.new()
local f = pool:submit(gate.pass, g.path)
try(f.result, f, 30)
g:open "open"
try(f.result, f, 30)
pool:close()]]

-- The program computes while a task is under way: the other worker and the dispatcher sleep meanwhile, up to the fault.
local BUSY <const> = [[
local pool = require("KIND").new { min_workers = 2, max_workers = 2, name = "p" }
local gate = require("tests.spec.support.gate")
local now = require("parhost").monotonic
for _ = 1, 2 do
  local g = gate.new()
  local f, limit = pool:submit(gate.pass, g.path), now() + 30
  while missing() and now() < limit do end
  g:open "open"
  print(f:result(30), pool:submit(math.abs, -1):result(30))
end
pool:close()]]

scripts.busy_processes = BUSY:gsub("KIND", "proc_pool")
scripts.busy_threads = BUSY:gsub("KIND", "thread_pool")

scripts.write = [[
local pool = require("proc_pool").new { max_workers = 1, name = "p" }
for i = 1, 2 do try(function() return pool:submit(print, "line", i):result(30) end) end
pool:close()]]

-- The second worker of four.
local SECOND <const> = [[
local pool = require("KIND").new { max_workers = 4, name = "p" }
local gate = require("tests.spec.support.gate")
local g, list = gate.new(), {}
print(pool:submit(math.abs, -1):result(30))
fault.arm(...)
list[1] = pool:submit(gate.pass, g.path)
for i = 2, 6 do list[i] = pool:submit(math.abs, -i) end
for i = 2, 6 do print(list[i]:result(30)) end
g:open "open"
print(list[1]:result(30))
pool:close()]]

scripts.second_process = SECOND:gsub("KIND", "proc_pool")
scripts.second_thread = SECOND:gsub("KIND", "thread_pool")

-- A task that does not stop when its worker cannot be asked to.
scripts.stop = [[
local pool = require("proc_pool").new { max_workers = 1, name = "p" }
local gate = require("tests.spec.support.gate")
local g = gate.new()
local f = pool:submit(function(path)
  local file = io.open(path)
  while true do end
end, g.path)
local open = g:reached()
fault.arm(...)
print(f:cancel { force = true, grace = 0.05 })
open()
print(f:wait(30), f:state())
print(pool:submit(math.abs, -2):result(30))
pool:close()]]

-- A pool inside of a worker, and futures of it elsewhere.
scripts.guest = [[
local pool = require("thread_pool").new { max_workers = 2, name = "p" }
local function inside(p) return p:submit(math.abs, -5):result() end
local function share(f) return f:result() end
local function once()
  local first = pool:submit(math.abs, -7)
  return pool:submit(share, first):result(30), pool:submit(inside, pool):result(30)
end
for _ = 1, 2 do try(once) end
pool:close()]]

return scripts
