-- SPDX-License-Identifier: MIT
-- A home is what a pool or a view on it submits with, and what its futures keep of it: the core, the life,
-- the options. It does not hold the pool's handle.
local block = require "parhost.block"
local core_pool = require "parhost.core.pool"
local dispatch = require "futures.dispatch"
local errors = require "futures.error"

local Home = {}
Home.__index = Home

local home = {}

local ID <const> = 6

-- `given`: checked options of pool_options.read_view; `log`: the job log (joblog.lua) or nil. What every submit looks at is
-- false rather than absent.
function home.new(core, life, settings, given, log)
  local self = setmetatable({
    core = core, life = life, given = given, task = given.name,
    inline = settings.inline or false, on_full = settings.on_full, max_queue = settings.max_queue or false,
    take_in_at = settings.max_queue or 0,
    chunk_size = given.chunk_size or 1, buffer_size = given.buffer_size,
    retry_if = given.retries and given.retries > 0 and given.retry_if or false, log = log,
  }, Home)
  self.detour = self.retry_if or log or false
  self.options = self:core_options(given.timeout, given.deadline) or false
  if not (self.detour or self.max_queue or self.inline) then
    self[1], self[2] = core, self.options -- for the short way of submit: src/lib/quick.c
  end
  return self
end

-- Options for the core, nil when there is nothing to say.
function Home:core_options(timeout, deadline)
  local given = self.given
  local retries = given.retries
  if not (timeout or deadline or given.priority or retries or given.name or given.memory_limit) then
    return nil
  end
  return core_pool.options {
    timeout = timeout, deadline = deadline, priority = given.priority, retries = retries, name = given.name,
    memory_limit = given.memory_limit,
  }
end

-- As the SOURCE of a future ---------------------------------------------------------------------------------

function Home:cancel_task(future, id, how)
  local core = self.core
  if core:cancel(id, false, how.reason, nil, "explicit") then
    if not future:_ready() then future:_cancelled(how.reason, "explicit") end
    return true
  end
  block.poll()
  if future:_ready() then return future:cancelled() end
  return core:cancel(future[ID], how.force, how.reason, how.grace, "explicit")
end

function Home:task_state(id)
  return self.core:state(id)
end

function Home:task_name(id)
  return self.task or ("%s#%d"):format(self.life.name, id)
end

-- A full queue ----------------------------------------------------------------------------------------------

-- Ready when the submission has been taken.
local Room = { _lively = true, _for_room = true }
Room.__index = Room

function Room:_ready()
  if self.id == nil then
    self._pool:seek_room()
    self.id = self.submit()
  end
  return self.id ~= nil
end

function Room:_describe() return ('room in the queue of %s "%s"'):format(self.life.kind, self.life.name) end

-- Calls submit() until it gives an id, waiting for room in between.
function Home:when_room(submit)
  local room = setmetatable({ _pool = self.core, life = self.life, submit = submit }, Room)
  block.wait(room)
  return room.id
end

function Home:queue_full()
  local life = self.life
  local limit = self.max_queue
  local message = ('the queue of %s "%s" is full (max_queue = %d)'):format(life.kind, life.name, limit)
  error(errors.new("queue_full", message, { limit = limit }), 0)
end

-- A program that submits and never waits, with workers that keep up: results must not pile up where the queue may not.
function Home:keep_bounded(id)
  if id < self.take_in_at then return end
  self.take_in_at = id + self.max_queue
  self:take_in()
end

-- Takes in what was run in the calling thread.
function Home:take_in()
  core_pool.drain(self.core)
  dispatch.run()
end

return home
