-- SPDX-License-Identifier: MIT
-- From tasks to threads and processes: to_thread, to_process, with default pools that live as long as a run.
local block = require "parhost.block"
local check = require "parhost.check"
local core = require "parhost.core.task"
local core_pool = require "parhost.core.pool"
local host = require "parhost.core.host"
local options = require "parhost.options"
local scope = require "async.scope"
local task = require "async.task"

local bridge = {}

-- The fork server of process pools can only be there before the loop is.
if not host.worker() then core_pool.prepare() end

-- The pools by module name, made when they are first needed.
local defaults = {}

local function default_pool(module)
  if not defaults[module] then defaults[module] = require(module).new { name = "async-" .. module } end
  return defaults[module]
end

-- Ends the default pools. One that does not end in time is left to itself, with a warning.
function bridge.shutdown(timeout)
  local deadline = block.deadline(timeout)
  for module, pool in pairs(defaults) do
    defaults[module] = nil
    local left = deadline and math.max(deadline - block.now(), 0)
    if not pool:shutdown { timeout = left } then
      warn(("parhost: the tasks of the default %s have not ended within %g s"):format(module, timeout))
    end
  end
end

-- Leaving before the job has ended, because the task was cancelled: the job is stopped and waited for, unless it is to be
-- abandoned.
local stop_job = { __close = function(guard)
  if not guard.abandon then scope.stop(guard.future, "the task that waits for it was cancelled") end
end }

local function run_in(name, pool, abandon, fn, ...)
  if type(fn) ~= "function" then require "parhost.pool_options".check_function(fn, name) end
  core.check_cancelled()
  pool = pool or default_pool(name == "to_thread" and "thread_pool" or "proc_pool")
  local f = pool:submit(fn, ...)
  local _ <close> = setmetatable({ future = f, abandon = abandon }, stop_job)
  return f:result()
end

function bridge.to_thread(fn, ...) return run_in("to_thread", nil, false, fn, ...) end
function bridge.to_process(fn, ...) return run_in("to_process", nil, false, fn, ...) end

-- async.with ------------------------------------------------------------------------------------------------

local View = { __name = "parhost.async.view" }
View.__index = View

function View:create_task(fn, ...)
  return task.start(task.create(nil, self.how, "create_task", fn, ...), self.how)
end

function View:to_thread(fn, ...)
  return run_in("to_thread", self.how.pool, self.how.abandon_on_cancel, fn, ...)
end

function View:to_process(fn, ...)
  return run_in("to_process", self.how.pool, self.how.abandon_on_cancel, fn, ...)
end

local function pool(value)
  if type(value) == "table" and type(value.submit) == "function" then return value end
  return nil, "pool expected, got " .. check.type_name(value)
end

local WITH <const> = {
  pool = { test = pool },
  abandon_on_cancel = { "boolean", default = false },
}
for key, rule in pairs(task.OPTIONS) do WITH[key] = rule end

function bridge.with(given)
  return setmetatable({ how = options.check(WITH, given, 1, "with") }, View)
end

return bridge
