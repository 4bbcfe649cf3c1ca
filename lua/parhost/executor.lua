-- SPDX-License-Identifier: MIT
-- The executor, for every kind of worker: handles of pools and views on them.
--
--   pool:submit -> future (the sink) -> core:submit: encoded, queued, run somewhere else
--   block.poll or a wait -> drain -> future:_deliver -> callbacks
local block = require "parhost.block"
local check = require "parhost.check"
local core_pool = require "parhost.core.pool"
local future = require "futures.future"
local home = require "parhost.home"
local lifetime = require "parhost.lifetime"
local options = require "parhost.options"
local pool_options = require "parhost.pool_options"
local errors = require "futures.error"

local PENDING <const> = 1
local SOURCE <const> = 5
local ID <const> = 6
local Future <const> = future.Future
local core_submit <const> = core_pool.submit
local setmetatable, type = setmetatable, type

local executor = {}

-- Submitting ------------------------------------------------------------------------------------------------

local function home_of(self, name)
  local h = type(self) == "table" and self._home
  if not h then check.bad_self(name, "pool", self) end
  return h
end

local function submit_to_full(h, options_of_task, f, ...)
  if h.on_full == "error" then h:queue_full() end
  if h.on_full == "caller_runs" then
    f[ID] = h.core:run_here(f, 0, options_of_task, ...)
    h:take_in()
    return f
  end
  local args = table.pack(...)
  f[ID] = h:when_room(function()
    h.life:check_open()
    return h.core:submit(f, 0, options_of_task, table.unpack(args, 1, args.n))
  end)
  return f
end

local function submit_with_retry(h, options_of_task, f, ...)
  local r = require "parhost.retry".new(h, f, options_of_task, ...)
  local ok, err = pcall(r.submit, r)
  if not ok then
    r:withdraw()
    error(err, 0)
  end
  if h.inline then h:take_in() end
  return f
end

local function submit_at_once(h, options_of_task, f, ...)
  local id = core_submit(h.core, f, 0, options_of_task, ...)
  if not id then return submit_to_full(h, options_of_task, f, ...) end
  f[ID] = id
  if h.max_queue then h:keep_bounded(id) end
  if h.inline then h:take_in() end
  return f
end

-- With a job log, or with retries after errors. A task that the log has as done is a future without values.
local function submit_by_detour(h, f, fn, ...)
  local options_of_task = h.options
  if h.log then options_of_task = h.log:admit(options_of_task, ...) end
  if options_of_task == nil then
    f[SOURCE] = nil
    future.settle.done(f)
    return f
  end
  local submit_one = h.retry_if and submit_with_retry or submit_at_once
  return submit_one(h, options_of_task, f, fn, ...)
end

-- A future's slots are described in futures/future.lua. What is not out of the ordinary is done by src/lib/quick.c.
local submit = core_pool.quick_submit(Future, function(self, fn, ...)
  local h = type(self) == "table" and self._home or home_of(self, "submit")
  if type(fn) ~= "function" then pool_options.check_function(fn, "submit") end
  if h.life.closed then h.life:check_open() end
  local f = setmetatable({ PENDING, nil, nil, nil, h, false }, Future)
  if h.detour then return submit_by_detour(h, f, fn, ...) end
  local id = core_submit(h.core, f, 0, h.options, fn, ...)
  if not id then return submit_to_full(h, h.options, f, fn, ...) end
  f[ID] = id
  if h.max_queue then h:keep_bounded(id) end
  if h.inline then h:take_in() end
  return f
end)

local function start_map(self, name, fn, lists, how)
  local h = home_of(self, name)
  pool_options.check_function(fn, name)
  h.life:check_open()
  how.pool = self._pool or self
  return require "parhost.map".start(h, name, fn, lists, how)
end

local View = { __name = "parhost.view", submit = submit }
View.__index = View

function View:map(fn, ...)
  return start_map(self, "map", fn, table.pack(...), {})
end

function View:starmap(fn, list)
  return start_map(self, "starmap", fn, { list, n = 1 }, { star = true })
end

function View:map_unordered(fn, ...)
  return start_map(self, "map_unordered", fn, table.pack(...), { unordered = true })
end

function View:with(given)
  local h = home_of(self, "with")
  local o = pool_options.read_view(given, h.given)
  local log = h.log
  if given.joblog ~= nil or given.key ~= nil or given.joblog_sync ~= nil then log = require "parhost.joblog".open(o) end
  return setmetatable({ _home = home.new(h.core, h.life, h, o, log), _pool = self._pool or self }, View)
end

-- The handle ------------------------------------------------------------------------------------------------

local Pool = { submit = submit, map = View.map, starmap = View.starmap, map_unordered = View.map_unordered,
               with = View.with }

local function life_of(self, name)
  return home_of(self, name).life
end

local SHUTDOWN <const> = {
  wait = { "boolean", default = true },
  cancel_pending = { "boolean", default = false },
  timeout = { "number" },
}

function Pool:shutdown(given)
  local life = life_of(self, "shutdown")
  local how = options.check(SHUTDOWN, given == nil and {} or given, 1, "shutdown")
  return life:shutdown(how.wait, how.cancel_pending, block.deadline(how.timeout, 1, "shutdown"))
end

function Pool:close()
  life_of(self, "close"):shutdown(true, false)
end

function Pool:terminate()
  life_of(self, "terminate"):terminate()
end

function Pool:kill()
  life_of(self, "kill"):kill()
end

function Pool:join(timeout)
  local life = life_of(self, "join")
  local deadline = block.deadline(timeout, 1, "join")
  if not life.closed and not life.is_guest then
    error(errors.new("invalid_state", "pool is still accepting tasks", { state = "open" }), 0)
  end
  return life:join(deadline)
end

-- Ready when nothing is queued or running, nor to be run again.
local Idle = { _lively = true }
Idle.__index = Idle
function Idle:_ready() return self.life.retrying == 0 and self.life.core:idle() end
function Idle:_describe() return ('the tasks of %s "%s"'):format(self.life.kind, self.life.name) end

function Pool:drain(timeout)
  local life = life_of(self, "drain")
  local deadline = block.deadline(timeout, 1, "drain")
  local idle = block.wait(setmetatable({ life = life, _pool = life.core }, Idle), deadline)
  block.poll()
  return idle
end

function Pool:warm_up(n)
  local life = life_of(self, "warm_up")
  if n ~= nil then n = check.integer(n, 1, "warm_up", 1) end
  life:check_open()
  life.core:warm_up(math.min(n or life.max_workers, life.max_workers))
end

function Pool:stats()
  return life_of(self, "stats").core:stats()
end

function Pool:workers()
  return life_of(self, "workers").core:workers()
end

function Pool:name()
  return life_of(self, "name").name
end

-- Leaving the block. After an error, on_error_exit decides; after a signal, as at the end of the program.
local function close_variable(self, err)
  local life = self._home.life
  if life.is_guest then return end
  if err == nil or self._on_error_exit == "wait" then
    life:shutdown(true, false)
  elseif self._on_error_exit == "kill" then
    life:kill()
    life:join()
  elseif lifetime.is_signal(err) then
    life:interrupted()
  else
    life:shutdown(true, true)
  end
end

local function collect(self)
  local life = self._home.life
  if not life.closed and not life.is_guest then life:close(false) end
end

local function describe(self)
  local life = self._home.life
  return ('%s: "%s" (%d workers at most%s)'):format(
    getmetatable(self).__name, life.name, life.max_workers, life.closed and ", shut down" or "")
end

-- In other states of this process -----------------------------------------------------------------------------

-- What travels in place of a handle or view; lua/parhost/guest.lua makes one of it again.
local function dump(self)
  local h = self._home
  return { what = "pool", number = h.life.core:number(), pool = h.life.sharing, given = h.given }
end

View.__parhost_module, View.__dump = "parhost.guest", dump

local handles = {} -- name of the kind -> metatable

-- A handle (or view, with `given`) in a state that did not make the pool.
function executor.guest(life, given)
  local log = given.joblog and require "parhost.joblog".open(given)
  local h = home.new(life.core, life, life.sharing, given, log)
  if next(given) then return setmetatable({ _home = h }, View) end
  return setmetatable({ _home = h }, handles[life.kind])
end

-- Gives the function `new` of a kind of pool: { name =, backend =, default_workers =, nested = message | nil
-- }.
function executor.constructor(kind)
  local Handle = {
    __name = "parhost." .. kind.name, __index = Pool, __close = close_variable, __gc = collect,
    __tostring = describe, __parhost_nested = kind.nested, __parhost_module = "parhost.guest", __dump = dump,
  }
  handles[kind.name] = Handle
  return function(given)
    local settings = pool_options.read(kind, given)
    pool_options.check_depth()
    lifetime.check_program()
    local core = core_pool.new(pool_options.core_config(kind, settings))
    local life = lifetime.new(core, settings)
    local h = home.new(core, life, settings, {})
    return setmetatable({ _home = h, _on_error_exit = settings.on_error_exit }, Handle)
  end
end

return executor
