-- SPDX-License-Identifier: MIT
-- The killer's account of one round: which tasks there are, what may become of each, and whether what their futures say
-- is what the marks in the round's file say.
--
-- A record: { id =, kind =, where = "proc", "thread" or "async", future =, settled = n, and what happened to it:
--   retries =     how often it may run again
--   cancelled =   somebody has asked for that; `never` when cancel() said that it will not run
--   timed =       it has a time limit
--   pool =        an entry of the killer's, with `doomed` when the pool was ended while there was work
--   length =      of the text that comes back
--   map =         the record of the map that it is an item of
--   item =        { ok, value, text } of such, which have no future; unset when the map was left before }
local futures = require "futures"

local account = {}

account.MAX_WORKERS = 3 -- of each pool
account.wrong = 0
account.struck = {} -- pid -> the signal, of workers
account.zygote_died = false
account.counts = {} -- outcome -> n, over all rounds
account.total = 0

function account.complain(...)
  account.wrong = account.wrong + 1
  if account.wrong <= 20 then print("killer: " .. string.format(...)) end
end

local Round = {}
Round.__index = Round

function account.new_round(path)
  io.open(path, "w"):close()
  return setmetatable({ path = path, records = {}, open = {}, pending = 0 }, Round)
end

local last_id = 0

function Round:add(record)
  last_id = last_id + 1
  record.id, record.settled = last_id, 0
  self.records[#self.records + 1] = record
  account.total = account.total + 1
  return last_id
end

-- The record's future is there.
function Round:follow(record, future)
  record.future = future
  self.open[record], self.pending = true, self.pending + 1
  future:add_done_callback(function()
    record.settled = record.settled + 1
    self.open[record], self.pending = nil, self.pending - 1
  end)
end

-- The futures that are not settled; at most n.
function Round:unsettled(n)
  local list = {}
  for record in pairs(self.open) do
    if #list == n then break end
    list[#list + 1] = record.future
  end
  return list
end

-- Outcomes --------------------------------------------------------------------------------------------------

local ALWAYS_FAIL <const> = { fail = "failed", exit = true, hog = "memory_limit" }

local may_end = {}

function may_end.done(r, id, text)
  return not ALWAYS_FAIL[r.kind] and (id == r.id or r.kind == "map") and (not r.length or text and #text == r.length)
end

function may_end.failed(r, value) return r.kind == "fail" and value == r.id end

function may_end.memory_limit(r) return r.kind == "hog" end

function may_end.worker_exit(r, err) return r.kind == "exit" and r.where == "thread" and err.exit_code == 3 end

-- Threads do not die; but a task in one may have had a process.
function may_end.worker_died(r, err)
  if r.where == "thread" and r.kind ~= "inner" then return false end
  return r.kind == "exit" and err.exit_code == 3 or account.struck[err.pid] ~= nil or account.zygote_died
    or r.pool and r.pool.doomed
end

function may_end.cancelled(r) return r.cancelled or r.pool and r.pool.doomed end

function may_end.timeout(r) return r.timed end

function may_end.broken_pool(r) return account.zygote_died and (r.where ~= "thread" or r.kind == "inner") end

function may_end.shutdown(r) return r.pool and r.pool.doomed and (r.kind == "nest" or r.kind == "map" or r.map) end

-- The outcome of a map's item that nobody has taken.
function may_end.left() return true end

local function outcome_of(record)
  if record.future then return record.future:outcome(0) end
  if record.item then return table.unpack(record.item, 1, 3) end
  return false, futures.error("left", "its map was left before")
end

local function kind_of(ok, value)
  if ok then return "done" end
  return futures.is(value) and value.kind or "failed"
end

-- Marks -----------------------------------------------------------------------------------------------------

local function read_marks(path)
  local begun, ended = {}, {}
  for line in io.lines(path) do
    local what, id = line:match "^([be]) (%d+)$"
    local count = what == "b" and begun or ended
    id = tonumber(id)
    count[id] = (count[id] or 0) + 1
  end
  return begun, ended
end

local UNMARKED <const> = { map = true }

local function check_marks(record, name, begun, ended, ok)
  local once = record.retries == 0
  if begun > record.retries + 1 then account.complain("%s began %d times", name, begun) end
  if ended > begun then account.complain("%s began %d times, ended %d times", name, begun, ended) end
  if ok and not UNMARKED[record.kind] and (ended < 1 or (once and begun ~= 1)) then
    account.complain("%s began %d times, ended %d times", name, begun, ended)
  end
  if record.never and begun > record.retries then account.complain("%s was cancelled, and began", name) end
end

-- What has happened to it.
local function describe(record)
  local text = ""
  for _, key in ipairs { "cancelled", "never", "timed", "map" } do
    if record[key] then text = text .. ", " .. key end
  end
  return text .. (record.pool and record.pool.doomed and ", its pool was ended" or "")
end

local function check(record, begun, ended)
  local ok, value, extra = outcome_of(record)
  local kind = kind_of(ok, value)
  local name = ("task %d (%s in %s, %s)"):format(record.id, record.kind, record.where, kind)
  if record.future and record.settled ~= 1 then account.complain("%s settled %d times", name, record.settled) end
  if not (may_end[kind] and may_end[kind](record, value, extra)) then
    account.complain("%s should not end so: %s%s", name, tostring(value), describe(record))
  end
  check_marks(record, name, begun, ended, ok)
  account.counts[kind] = (account.counts[kind] or 0) + 1
end

-- All futures have settled, but for those that were complained about.
function Round:check()
  self.begun, self.ended = read_marks(self.path)
  self.left = {}
  for _, record in ipairs(self.records) do
    if record.map and not record.item then self.left[record.id] = record.map end
    if not self.open[record] then check(record, self.begun[record.id] or 0, self.ended[record.id] or 0) end
  end
  self.records = nil
end

-- A round later: nothing has begun since, but for what workers were just beginning when a map was left.
function Round:check_late()
  local late = {}
  for id, n in pairs(read_marks(self.path)) do
    local map = self.left[id]
    if n ~= self.begun[id] and map then late[map] = (late[map] or 0) + 1 end
    if n ~= self.begun[id] and (not map or late[map] > account.MAX_WORKERS) then
      account.complain("task %d began after its future had settled", id)
    end
  end
  os.remove(self.path)
end

function account.summary()
  local text = {}
  for kind, n in pairs(account.counts) do text[#text + 1] = ("%d %s"):format(n, kind) end
  table.sort(text)
  return ("%d tasks: %s"):format(account.total, table.concat(text, ", "))
end

return account
