-- SPDX-License-Identifier: MIT
-- A pool core without workers: tasks run one at a time when somebody waits. For specs of the Lua side alone.
local Error = {}
local now = 0
package.preload["parhost.core.host"] = function()
  return {
    error_metatable = function() return Error end,
    monotonic = function() return now + os.clock() end,
    default_workers = function() return 2 end,
    cpu_count = function() return 2 end,
    set_worker = function() end,
    pid = function() return 1 end,
    is_signal = function() return false end,
  }
end
package.preload["parhost.exit"] = function()
  return { add = function() end, remove = function() end, closing = function() return false end }
end

local deliver
local cores = {}
local Core = {}
Core.__index = Core
local last_id = 0

local function enqueue(self, task)
  if self.closed then error(setmetatable({ kind = "shutdown", message = "closed" }, Error), 0) end
  if self.max_queue and #self.queue >= self.max_queue + 1 then return nil, "full" end
  last_id = last_id + 1
  task.id = last_id
  self.queue[#self.queue + 1] = task
  self.tasks[last_id] = task
  if self.backend == "inline" then self:run_one() end
  return last_id
end

local function outcome(fn, ...)
  if type(fn) == "string" then
    local m, f = fn:match("^(.*):(.*)$")
    fn = require(m)[f]
  end
  local r = table.pack(xpcall(fn, function(e) return { e, debug.traceback("", 2):sub(2) } end, ...))
  if r[1] then return r end
  return { false, r[2][1], r[2][2],
    { task = "f (x.lua:1)", id = 1, pool = "p", backend = "proc_pool", worker = 2, pid = 4711, seconds = 1.204,
      submitted = "main.lua:3: in main chunk" }, n = 4 }
end

function Core:run_one()
  local t = table.remove(self.queue, 1)
  if not t then return false end
  for k = t.first, t.last do
    self.ready[#self.ready + 1] = { t.sink, k, outcome(t.fn, t.args(k)) }
  end
  self.tasks[t.id] = nil
  return true
end

function Core:submit(sink, tag, _, fn, ...)
  local a = table.pack(...)
  return enqueue(self, { sink = sink, first = tag, last = tag, fn = fn, args = function() return table.unpack(a, 1, a.n) end })
end

function Core:submit_chunk(sink, tag, _, fn, lists, first, last, star)
  local items = {}
  for k = first, last do
    if star then
      items[k - first + tag] = lists[1][k]
    else
      local a = { n = #lists }
      for j = 1, #lists do a[j] = lists[j][k] end
      items[k - first + tag] = a
    end
  end
  return enqueue(self, { sink = sink, first = tag, last = tag + last - first, fn = fn,
    args = function(k) return table.unpack(items[k], 1, items[k].n or #items[k]) end })
end

function Core:run_here(sink, tag, _, fn, ...)
  last_id = last_id + 1
  self.ready[#self.ready + 1] = { sink, tag, outcome(fn, ...) }
  return last_id
end

function Core:cancel(id)
  local task = self.tasks[id]
  if not task then return false end
  for i, t in ipairs(self.queue) do if t == task then table.remove(self.queue, i) end end
  self.tasks[id] = nil
  for k = task.first, task.last do
    self.ready[#self.ready + 1] = { task.sink, k,
      { "cancelled", setmetatable({ kind = "cancelled", message = "c" }, Error), n = 2 } }
  end
  return true
end

function Core:state() return "pending" end
function Core:close(cancel)
  self.closed = true
  while cancel and self.queue[1] do self:cancel(self.queue[1].id) end
end
function Core:terminate() end
function Core:kill() end
function Core:finished() return self.closed and #self.queue == 0 end
function Core:idle() return #self.queue == 0 end
function Core:warm_up() end
function Core:stats() return {} end
function Core:workers() return {} end
function Core:busy() return 0, math.max(#self.queue - 1, 0) end

local function drain()
  local n = 0
  for _, c in ipairs(cores) do
    while c.ready[1] do
      local r = table.remove(c.ready, 1)
      n = n + 1
      deliver(r[1], r[2], table.unpack(r[3], 1, r[3].n))
    end
  end
  return n
end

package.preload["parhost.core.pool"] = function()
  return {
    new = function(config)
      local c = setmetatable({ queue = {}, ready = {}, tasks = {} }, Core)
      for k, v in pairs(config) do c[k] = v end
      cores[#cores + 1] = c
      return c
    end,
    options = function(t) return t end,
    drain = drain,
    environment = function() return "/", {} end,
    set_deliver = function(fn) deliver = fn end,
  }
end
package.preload["parhost.core.loop"] = function()
  return {
    step = function(deadline)
      for _, c in ipairs(cores) do
        if c:run_one() then return drain() end
      end
      if deadline then now = math.max(now, deadline - os.clock()) end
      drain()
    end,
    alive = function()
      for _, c in ipairs(cores) do
        if #c.queue > 0 or #c.ready > 0 then return true end
      end
      return false
    end,
  }
end
return cores
