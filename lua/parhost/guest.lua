-- SPDX-License-Identifier: MIT
-- Handles in other states of this process: the pool belongs to the state that made it, and ends there; here its handle
-- submits, and sees how it goes. A handle that outlives its pool raises `shutdown`.
local core_pool = require "parhost.core.pool"
local errors = require "futures.error"
local executor = require "parhost.executor"
local future = require "futures.future"
local station = require "parhost.core.station"

local guest = {}

-- The life of a pool (lua/parhost/lifetime.lua) as a guest sees it.
local Life = { is_guest = true, closed = false }
Life.__index = Life

function Life:check_open()
  if not self.core:open() then
    local message = ('cannot schedule new futures after shutdown of %s "%s"'):format(self.kind, self.name)
    error(errors.new("shutdown", message), 0)
  end
end

local function refuse(name)
  return function(self)
    local message = ('%s: %s "%s" is ended by the state that made it'):format(name, self.kind, self.name)
    error(errors.new("invalid_state", message, { state = "guest" }), 0)
  end
end

for _, name in ipairs { "shutdown", "terminate", "kill", "join" } do Life[name] = refuse(name) end

-- One for each pool that this state has met: number -> life.
local lives = {}

local function forget_finished()
  for number, life in pairs(lives) do
    if life.core:finished() then lives[number] = nil end
  end
end

local function life_of(number, sharing)
  local life = lives[number]
  if life then return life end
  forget_finished()
  life = setmetatable({
    core = core_pool.guest(number, sharing.kind, sharing.capture == "globals"),
    kind = sharing.kind, name = sharing.name, max_workers = sharing.max_workers, sharing = sharing, retrying = 0,
  }, Life)
  lives[number] = life
  return life
end

local receive = {}

function receive.pool(data)
  require(data.pool.kind)
  return executor.guest(life_of(data.number, data.pool), data.given)
end

-- Futures ---------------------------------------------------------------------------------------------------

local cells = setmetatable({}, { __mode = "k" }) -- future -> its cell
local elsewhere = setmetatable({}, { __mode = "k" }) -- future from another state -> its cell
-- cell -> future: held until it is settled
local unsettled = {} -- luacheck: ignore 241

local function settle(cell, f)
  unsettled[cell] = nil
  local ok, err = pcall(cell.settle, cell, f:_status())
  if not ok then cell:settle(false, errors.text(err)) end
end

local Relay = {}
Relay.__index = Relay
function Relay:_settled(f) settle(self.cell, f) end

-- A future that another state settles goes on by the same cell.
local function cell_of(f)
  local cell = cells[f] or elsewhere[f]
  if cell then return cell end
  cell = station.cell(f:_task())
  cells[f], unsettled[cell] = cell, f
  if f:_ready() then
    settle(cell, f)
  else
    f:_watch(setmetatable({ cell = cell }, Relay))
  end
  return cell
end

-- What travels in place of a future.
function guest.dump_future(f)
  local cell = cell_of(f)
  station.hold(cell)
  return { what = "future", number = cell:number(), name = f:name() }
end

-- The SOURCE of a future that another state settles.
local Elsewhere = {}
Elsewhere.__index = Elsewhere
function Elsewhere.cancel_task() return false end
function Elsewhere.task_state() return "pending" end
function Elsewhere:task_name() return self.name end

function receive.future(data)
  local source = setmetatable({ name = data.name }, Elsewhere)
  local f = future.from(source)
  local cell = station.subscribe(data.number, f)
  if cell then
    source.cell, elsewhere[f] = cell, cell
  else
    f:_cancelled("it is gone", "shutdown")
  end
  return f
end

-- What the codec calls for the bytes of a handle.
function guest.__load(data)
  return receive[data.what](data)
end

return guest
