-- SPDX-License-Identifier: MIT
-- Handles in other states of this process: the pool belongs to the state that made it, and ends there; here its handle
-- submits, and sees how it goes. A handle that outlives its pool raises `shutdown`.
local core_pool = require "parhost.core.pool"
local errors = require "futures.error"
local executor = require "parhost.executor"

local guest = {}

-- The life of a pool (lua/parhost/lifetime.lua) as a guest sees it.
local Life = { is_guest = true, closed = false }
Life.__index = Life

function Life:check_open()
  if not self.core:open() then
    error(errors.new("shutdown", "cannot schedule new futures after shutdown"), 0)
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

-- What the codec calls for the bytes of a handle.
function guest.__load(data)
  return receive[data.what](data)
end

return guest
