-- SPDX-License-Identifier: MIT
-- The options of pools and of views on them: rules, defaults, and what the core is told.
local check = require "parhost.check"
local core_pool = require "parhost.core.pool"
local environment = require "parhost.environment"
local host = require "parhost.core.host"
local errors = require "futures.error"
local options = require "parhost.options"
local worker = require "parhost.worker"

local pool_options = {}

-- A function, or "module:function".
local function task_function(value)
  if type(value) == "function" then return value end
  if type(value) == "string" and value:find("^[^:]+:[^:]+$") then return value end
  return nil, "function or \"module:function\""
end

local function module_names(value)
  if type(value) ~= "table" then return nil, "array of module names" end
  for i = 1, #value do
    if type(value[i]) ~= "string" then
      return nil, ("array of module names expected, got %s at [%d]"):format(check.type_name(value[i]), i)
    end
  end
  return value
end

local MOST <const> = 0x7fffffff -- what the core counts in 32 bits

local POOL <const> = {
  max_workers = { "integer", min = 1, max = 10000 },
  min_workers = { "integer", min = 0, default = 0 },
  idle_timeout = { "number", min = 0 },
  max_tasks_per_worker = { "integer", min = 1 },
  initializer = { test = task_function },
  init_args = { "table" },
  preload = { test = module_names },
  name = { "string" },
  max_queue = { "integer", min = 1 },
  on_full = { "one_of", "block", "error", "caller_runs", default = "block" },
  capture = { "one_of", "globals", "none", default = "globals" },
  on_worker_death = { "one_of", "replace", "break" },
  max_restarts = { "integer", min = 0, max = MOST },
  on_error_exit = { "one_of", "wait", "cancel", "kill", default = "cancel" },
  at_exit = { "one_of", "wait", "cancel", "kill", default = "wait" },
  grace = { "number", min = 0, default = 5 },
  seed = { "integer" },
  memory_limit = { "integer", min = 1 },
  inline = { "boolean", default = false },
  tag_output = { "boolean" },
}

local PROC_ONLY <const> = {
  start_method = { "one_of", "forkserver", "fork", default = "forkserver" },
  nice = { "integer" },
  env = environment.rule,
  cwd = { "string" },
}

local function joined(a, b)
  local all = {}
  for key, rule in next, a do all[key] = rule end
  for key, rule in next, b do all[key] = rule end
  return all
end

local function refused(rules, why)
  local result = {}
  for key in next, rules do result[key] = { refused = why } end
  return result
end

local SPECS <const> = {
  proc = joined(POOL, PROC_ONLY),
  thread = joined(POOL, refused(PROC_ONLY, "for worker processes (proc_pool)")),
}

local function refuse(key, text)
  check.bad_argument(1, "new", ("option '%s': %s"):format(key, text))
end

local function check_workers(o, kind)
  if not o.max_workers then
    o.max_workers = worker.depth > 0 and kind.backend == "proc" and 1 or kind.default_workers()
  end
  if o.min_workers > o.max_workers then
    refuse("min_workers", ("%d is more than max_workers (%d)"):format(o.min_workers, o.max_workers))
  end
  o.max_restarts = o.max_restarts or 3 * o.max_workers
end

-- With start_method = "fork" no worker can be made later than at construction.
local function check_fork(o)
  if o.start_method == "fork" then
    for _, key in ipairs { "idle_timeout", "max_tasks_per_worker" } do
      if o[key] then refuse(key, "not possible with start_method = \"fork\"") end
    end
    if o.on_worker_death == "replace" then
      refuse("on_worker_death", "\"replace\" is not possible with start_method = \"fork\"")
    end
    o.on_worker_death = "break"
  end
  o.on_worker_death = o.on_worker_death or "replace"
end

local counters = {}

local function default_name(kind)
  counters[kind] = (counters[kind] or 0) + 1
  return ("%s-%d"):format(kind, counters[kind])
end

-- Checks the argument of new. `kind`: { name =, backend =, default_workers = function }.
function pool_options.read(kind, given)
  if given == nil then
    given = {}
  elseif math.type(given) then
    given = { max_workers = check.integer(given, 1, "new", 1) }
  end
  local o = options.check(SPECS[kind.backend], given, 1, "new")
  check_workers(o, kind)
  check_fork(o)
  o.name = o.name or default_name(kind.name)
  o.kind = kind.name
  return o
end

local MAX_DEPTH <const> = 3

function pool_options.check_depth()
  local limit = math.tointeger(tonumber(os.getenv("PARHOST_MAX_DEPTH"))) or MAX_DEPTH
  if worker.depth >= limit then
    local text = "this worker is %d pools deep already (PARHOST_MAX_DEPTH = %d)"
    local message = text:format(worker.depth, limit)
    error(errors.new("nested", message), 0)
  end
end

-- The surroundings of a worker process: those of this process now, and what the options change in them.
local function process_of(kind, o)
  if o.inline or kind.backend ~= "proc" then return nil end
  local is_copy, nice = o.start_method == "fork", o.nice
  local cwd, env = core_pool.environment(not is_copy) -- no environment: workers begin with the same
  if o.env then env = environment.changed(o.env) end
  if worker.nice and not is_copy then nice = worker.nice + (nice or 0) end
  return { cwd = o.cwd or cwd, env = env, nice = nice, is_copy = is_copy }
end

-- Workers put their name in front of what they print. Inline runs print as the caller does.
local function tags(o)
  if o.inline then return false end
  if o.tag_output ~= nil then return o.tag_output end
  return host.tags_output()
end

-- What parhost.core.pool.new takes.
function pool_options.core_config(kind, o)
  local externs, extern_values
  if o.start_method == "fork" and not o.inline then externs, extern_values = require "parhost.extern".find() end
  return {
    externs = externs, extern_values = extern_values,
    backend = o.inline and "inline" or kind.backend,
    name = o.name,
    max_workers = o.max_workers, min_workers = o.min_workers,
    idle_timeout = o.idle_timeout, max_tasks_per_worker = o.max_tasks_per_worker,
    max_queue = o.max_queue, on_worker_death = o.on_worker_death, max_restarts = o.max_restarts,
    grace = o.grace, seed = o.seed, memory_limit = o.memory_limit, start_method = o.start_method,
    capture = o.capture == "globals",
    surroundings = {
      name = o.name, tag = tags(o), depth = worker.depth + 1, process = process_of(kind, o),
      package_path = package.path, package_cpath = package.cpath, arg = _G.arg,
    },
    setup = { preload = o.preload or {}, initializer = o.initializer, init_args = o.init_args or {} },
  }
end

local function file_name(value)
  if type(value) == "string" and value ~= "" and not value:find("\0", 1, true) then return value end
  return nil, "name of a file"
end

local VIEW <const> = {
  timeout = { "number" },
  deadline = { "number" },
  priority = { "integer", min = -MOST, max = MOST },
  retries = { "integer", min = 0, max = MOST },
  retry_if = { "function" },
  name = { "string" },
  chunk_size = { "integer", min = 1, also = "auto" },
  buffer_size = { "integer", above = 0 },
  memory_limit = { "integer", min = 1 },
  joblog = { test = file_name },
  joblog_sync = { "boolean" },
  key = { "function" },
}

-- Checks the argument of with; what it leaves open comes from `base`.
function pool_options.read_view(given, base)
  local o = options.check(VIEW, given, 1, "with")
  for key, value in next, base do
    if o[key] == nil then o[key] = value end
  end
  if o.retry_if and not o.retries then
    check.bad_argument(1, "with", "option 'retry_if': given without retries")
  end
  for _, key in ipairs { "key", "joblog_sync" } do
    if o[key] ~= nil and not o.joblog then
      check.bad_argument(1, "with", ("option '%s': given without joblog"):format(key))
    end
  end
  return o
end

-- Argument #1 of the function `name`, which is to be a task.
function pool_options.check_function(fn, name)
  if task_function(fn) then return end
  local what = type(fn) == "string" and ("%q"):format(fn) or check.type_name(fn)
  check.bad_argument(1, name, ('function expected, or "module:function"; got %s'):format(what))
end

return pool_options
