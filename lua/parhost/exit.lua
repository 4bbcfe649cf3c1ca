-- SPDX-License-Identifier: MIT
-- The exit sequence of a state: hooks, last first; then no more submits, and each live pool's own end, oldest first.
-- Pools are held strongly here from their making to their end, so the work of a forgotten pool gets done.
local check = require "parhost.check"
local host = require "parhost.core.host"

local exit = {}

local hooks = {}
local live, created = {}, 0
local ending = {} -- those of `live` whose _at_exit is being called
local closing, announced = false, false

function exit.on_exit(hook)
  if type(hook) ~= "function" then
    error(("bad argument #1 to 'on_exit' (function expected, got %s)"):format(
      hook == nil and "no value" or check.type_name(hook)), 2)
  end
  hooks[#hooks + 1] = hook
end

-- An object has object:_at_exit(mode), which may block until its workers are gone, and object:_count(): running tasks.
function exit.add(object)
  created = created + 1
  live[object] = created
end

function exit.remove(object)
  live[object] = nil
end

-- What is live, oldest first.
function exit.objects()
  local list = {}
  for object in pairs(live) do list[#list + 1] = object end
  table.sort(list, function(a, b) return live[a] < live[b] end)
  return list
end

-- True once the hooks are done: nothing may be submitted any more.
function exit.closing()
  return closing
end

local function oldest()
  local object, first
  for candidate, number in pairs(live) do
    if not ending[candidate] and (not first or number < first) then object, first = candidate, number end
  end
  return object
end

-- After Ctrl-C: says once what is being waited for. An embedding program may have other things on its terminal.
function exit.announce()
  if announced or not host.is_program() then return end
  announced = true
  local n = 0
  for object in pairs(live) do n = n + object:_count() end
  if n == 0 then return end
  io.stderr:write(("parhost: interrupted; waiting for %d running task%s (Ctrl-C again to end at once)\n"):format(
    n, n == 1 and "" or "s"))
end

-- Calls fn; an error is reported, a stop request turns the rest of the sequence into that of a signal.
-- Gives whether it was stopped.
local function run_step(mode, what, fn, ...)
  local ok, err = host.catch(fn, ...)
  if ok then return mode, false end
  if host.is_signal(err) then
    exit.announce()
    return "signal", true
  end
  local _, text = pcall(tostring, err)
  warn("parhost: error in ", what, ": ", type(text) == "string" and text or type(err))
  return mode, false
end

local function run_hooks(mode)
  while #hooks > 0 do
    mode = run_step(mode, "on_exit hook", table.remove(hooks))
  end
  return mode
end

local function end_pools(mode)
  local object = oldest()
  while object do
    local stopped
    ending[object] = true
    mode, stopped = run_step(mode, "the end of a pool", object._at_exit, object, mode)
    ending[object] = nil
    if not stopped then live[object] = nil end
    object = oldest()
  end
end

-- fn(mode) is called last of all.
local last_of_all

function exit.at_last(fn)
  last_of_all = fn
end

-- Goes on where an earlier run was left: by os.exit in a hook, or by a stop request.
function exit.run(mode)
  mode = run_hooks(mode)
  closing = true
  if mode == "signal" then exit.announce() end
  end_pools(mode)
  if last_of_all then run_step(mode, "the end of progress", last_of_all, mode) end
end

return exit
