-- SPDX-License-Identifier: MIT
-- parhost tests/stress/joblog_kill.lua [seed [programs]]: programs with a job log, killed by SIGKILL at random moments and
-- started again until all is done. tests/spec/joblog_kill_spec.lua calls it for a few of them.
--
-- Tasks leave a line in a file. After a kill, when the last worker is gone, the log is compared with that file: what is
-- recorded as done is so once, has left its line, and never again later; and of what has left one but is not recorded there
-- is no more than the workers could have had at hand. After half of the kills the next program begins at once instead.
package.path = "tests/spec/?.lua;tests/spec/support/?.lua;" .. package.path
require "support.hostile" -- where C modules are
local core = require "parhost.core.joblog"
local run = require "support.run"
local starter = require "starter"

local kill = {}

local SCRIPT <const> = [[
local kind, how, workers, items, path, effects = ...
local function task(n)
  local file <close> = assert(io.open(effects, "a"))
  file:write(n, "\n")
  for i = 1, n %% 7 * 3000 do end
  return n
end
local pool = require(kind).new(math.tointeger(workers))
local view = pool:with { joblog = path, key = function(n) return n end, chunk_size = how == "chunks" and 8 or 1 }
local list = {}
for i = 1, items do list[i] = i end
if how == "submit" then
  for i = 1, items do list[i] = view:submit(task, i) end
  for _, f in ipairs(list) do f:result() end
else
  local map = how == "map_unordered" and view.map_unordered or view.map
  for i, v in map(view, task, list) do assert(i == v) end
end
os.exit(0, true)]]

local WORKERS <const>, ITEMS <const> = 3, 1500
local WAYS <const> = { "map", "chunks", "map_unordered", "submit" }

local function lines_of(path)
  local file = io.open(path, "rb")
  if not file then return {} end
  local list = {}
  for line in file:lines() do list[#list + 1] = line end
  file:close()
  return list
end

-- Key -> how often: recorded as done; left a line.
local function recorded(path)
  local counts, lines = {}, lines_of(path)
  for i = 2, #lines do
    local key = lines[i]:match("^%d+\t:\t[^\t]+\t[^\t]+\t%d+\t%d+\t0\t0\t(%d+)$")
    if key then counts[tonumber(key)] = (counts[tonumber(key)] or 0) + 1 end
  end
  return counts, lines
end

local function effects_of(path)
  local counts = {}
  for _, line in ipairs(lines_of(path)) do counts[tonumber(line)] = (counts[tonumber(line)] or 0) + 1 end
  return counts
end

-- As the next program would: until the workers of the last one are gone.
local function await_end_of_workers(path)
  local limit = os.time() + 30
  while true do
    local log, err = core.open(path)
    if log then break end
    assert(err.code == "EBUSY" and os.time() < limit, tostring(err))
    starter.nap(0.001)
  end
  collectgarbage()
  collectgarbage()
end

local Life = {}
Life.__index = Life

-- Starts the program, kills it after so many seconds; true: it has come to its end before.
local function live(self, seconds)
  self.lives = self.lives + 1
  local pid = starter.start({ "env", "--default-signal=HUP,INT,QUIT,PIPE,TERM", run.path, self.script, self.kind, self.how,
    tostring(WORKERS), tostring(ITEMS), self.log, self.effects }, "/dev/null", self.out, self.out)
  local napped, step, code = 0, 0.0005, starter.over(pid)
  while not code and napped < seconds do
    starter.nap(step)
    napped, code = napped + step, starter.over(pid)
  end
  if not code then starter.kill(pid, 9) end
  while not code do
    starter.nap(step)
    code = starter.over(pid)
  end
  if code ~= 0 and code ~= -9 then
    local file <close> = io.open(self.out)
    error(("the program ended with %s: %s"):format(code, file:read "a"))
  end
  return code == 0
end

-- What has changed since the last look keeps to the rules.
local function compare(self)
  local done, lines = recorded(self.log)
  local effects = effects_of(self.effects)
  local open = 0
  for n = 1, ITEMS do
    local was, is = self.effects_before[n] or 0, effects[n] or 0
    assert(not self.done_before[n] or is == was, ("%d was done, and has run again"):format(n))
    assert(is - was <= self.lives, ("%d has run %d times in %d programs"):format(n, is - was, self.lives))
    assert((done[n] or 0) <= 1, ("%d is done %s times"):format(n, done[n]))
    assert(not done[n] or is > 0, ("%d is done, and has not run"):format(n))
    open = open + is - was - (done[n] and not self.done_before[n] and 1 or 0)
  end
  assert(open <= WORKERS * self.lives, ("%d tasks have run and are not recorded"):format(open))
  self.lives = 0
  self.again = self.again + open
  self.done_before, self.effects_before = done, effects
  return lines
end

-- One log from its beginning to its end; gives how many kills that took, and how often something ran again.
function kill.run(kind, how, random)
  local self = setmetatable({
    kind = kind, how = how, script = run.write(SCRIPT:format()), log = os.tmpname(), effects = os.tmpname(),
    out = os.tmpname(), done_before = {}, effects_before = {}, again = 0, lives = 0,
  }, Life)
  local kills, longest, before = 0, 0.08, 0
  while not live(self, random() * longest + 0.002) do
    kills = kills + 1
    if random() < 0.5 then
      await_end_of_workers(self.log)
      local n = #compare(self)
      if n == before then longest = longest * 1.5 end -- too short for this build, or on this machine, to get anywhere
      before = n
    end
    assert(kills < 1000, "it never ends")
  end
  local lines = compare(self)
  for n = 1, ITEMS do assert(self.done_before[n] == 1, ("%d is lost"):format(n)) end
  assert(#lines == ITEMS + 1, "the log has other lines")
  for _, file in ipairs { self.script, self.log, self.effects, self.out } do os.remove(file) end
  return kills, self.again
end

function kill.run_some(seed, programs)
  math.randomseed(seed)
  local kills, again = 0, 0
  for i = 1, programs do
    local kind, how = i % 2 == 0 and "thread_pool" or "proc_pool", WAYS[(i - 1) // 2 % #WAYS + 1]
    local k, a = kill.run(kind, how, math.random)
    kills, again = kills + k, again + a
  end
  return kills, again
end

if ... ~= nil and not tostring(...):find "^%d+$" then return kill end
local seed, programs = math.tointeger(tonumber((...)) or os.time()), math.tointeger(tonumber((select(2, ...))) or 40)
print("seed " .. seed)
print(("%d programs: %d kills, %d tasks ran a second time"):format(programs, kill.run_some(seed, programs)))
