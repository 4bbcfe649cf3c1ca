-- SPDX-License-Identifier: MIT
-- The end of a pool. A life belongs to a pool but does not hold its handle, so that a handle can be collected
-- while its work goes on; the exit sequence holds the lives.
local block = require "parhost.block"
local core_pool = require "parhost.core.pool"
local errors = require "futures.error"
local exit = require "parhost.exit"
local host = require "parhost.core.host"

local Life = { _lively = true }
Life.__index = Life

local lifetime = {}

-- All there are; and those whose handle is gone or which nobody waits for, until they are over.
local lives = setmetatable({}, { __mode = "k" })
local leftovers = {}

local function forget_finished()
  for life in pairs(leftovers) do
    if life.core:finished() then life:_over() end
  end
end

local function refuse(when)
  error(errors.new("shutdown", "cannot schedule new futures " .. when), 0)
end

-- At the end of the program no pool can be made any more.
function lifetime.check_program()
  if exit.closing() then refuse("at the end of the program") end
end

-- `settings`: name, kind ("proc_pool"), at_exit, grace, max_workers.
function lifetime.new(core, settings)
  forget_finished()
  local life = setmetatable({
    core = core, _pool = core, name = settings.name, kind = settings.kind, max_workers = settings.max_workers,
    at_exit = settings.at_exit, grace = settings.grace, closed = false, retrying = 0,
    sharing = {
      kind = settings.kind, name = settings.name, max_workers = settings.max_workers, inline = settings.inline,
      on_full = settings.on_full, max_queue = settings.max_queue, capture = settings.capture,
    },
  }, Life)
  lives[life] = true
  exit.add(life)
  if lifetime.watcher then lifetime.watcher(life) end
  return life
end

-- lifetime.watcher(life) is called for every pool that is made. With --progress:
if host.shows_progress() and host.is_program() then require "parhost.progress".whole_program(lifetime) end

-- In a worker that was forked from a state with pools: they stay with the parent.
function lifetime.leave_behind()
  for life in pairs(lives) do
    life.foreign = true
    life:refuse()
    exit.remove(life)
  end
end

-- True for the value that unwinds the program after Ctrl-C.
function lifetime.is_signal(err)
  return host.is_signal(err) and err.source == "signal"
end

function Life:_ready() return self.core:finished() end
function Life:_describe() return ('the workers of %s "%s"'):format(self.kind, self.name) end

-- The core lets go of everything when it is finished and has delivered everything.
function Life:_over()
  core_pool.drain(self.core)
  self.core:finished()
  leftovers[self] = nil
  exit.remove(self)
end

function Life:check_open()
  if self.foreign then
    local message = ('%s "%s" belongs to the parent of this worker'):format(self.kind, self.name)
    error(errors.new("nested", message), 0)
  end
  if self.closed then refuse(('after shutdown of %s "%s"'):format(self.kind, self.name)) end
end

-- Ready when no task is left that may be run again after an error.
local Retries = { _lively = true }
Retries.__index = Retries
function Retries:_ready() return self.life.retrying == 0 end

-- From here on no task is taken.
function Life:refuse()
  self.closed = true
  self.core:refuse()
end

function Life:close(cancel_pending)
  self:refuse()
  leftovers[self] = true
  self.core:close(cancel_pending)
end

-- Waits until the workers are gone; false when the deadline came first.
function Life:join(deadline)
  if not block.wait(self, deadline) then return false end
  self:_over()
  block.poll()
  return true
end

function Life:shutdown(wait, cancel_pending, deadline)
  self:refuse()
  if wait and not cancel_pending and self.retrying > 0 then
    block.wait(setmetatable({ life = self }, Retries), deadline)
  end
  self:close(cancel_pending)
  if wait then return self:join(deadline) end
  return self.core:finished()
end

function Life:terminate()
  self:close(true)
  self.core:terminate()
end

function Life:kill()
  self:close(true)
  self.core:kill()
end

-- Drops what is pending, gives what runs the grace to finish, then kills.
function Life:end_soon()
  self:close(true)
  if not self:join(block.deadline(self.grace)) then
    self:kill()
    self:join()
  end
end

-- The exit sequence: from here on no pool takes tasks. May be called again, when it was interrupted.
function Life:_at_exit(mode)
  for life in pairs(lives) do life:refuse() end
  if self.at_exit == "kill" then
    self:kill()
    self:join()
  elseif mode ~= "normal" then
    self:end_soon()
  else
    self:shutdown(true, self.at_exit == "cancel")
  end
end

-- Leaving the block of the pool because of Ctrl-C.
function Life:interrupted()
  exit.announce()
  self:end_soon()
end

-- For the message of the exit sequence: how many tasks run.
function Life:_count()
  return (self.core:busy())
end

return lifetime
