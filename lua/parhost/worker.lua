-- SPDX-License-Identifier: MIT
-- What a worker does in its fresh state before its first task. Both parts of the message come from
-- lua/parhost/pool_options.lua.
local host = require "parhost.core.host"

-- nice: how much nicer than the fork server this process is; workers that it asks for do not get that from it.
local worker = { depth = 0 }

-- Gives the function that "module:function" names.
function worker.resolve(spec)
  local module_name, name = spec:match("^(.+):([^:]+)$")
  local module = require(module_name)
  local fn = type(module) == "table" and module[name]
  if type(fn) ~= "function" then
    error(("module '%s' has no function '%s'"):format(module_name, name), 0)
  end
  return fn
end

-- What parhost.worker() gives.
local function describe(message, index)
  return { index = index, pool = message.name, pid = host.pid(), name = ("%s_%d"):format(message.name, index) }
end

function worker.enter(surroundings, index)
  worker.depth = surroundings.depth
  local lifetime = package.loaded["parhost.lifetime"]
  if lifetime then lifetime.leave_behind() end
  local tasks = package.loaded["parhost.core.task"]
  if tasks then tasks.forget() end
  host.set_worker(describe(surroundings, index))
  if surroundings.tag then host.tag_output(("[%s/%d] "):format(surroundings.name, index)) end
  local process = surroundings.process
  if process then
    require "parhost.core.pool".enter(process)
    worker.nice = not process.is_copy and process.nice or nil
  end
  package.path, package.cpath = surroundings.package_path, surroundings.package_cpath
  _G.arg = surroundings.arg
end

function worker.setup(message)
  for _, name in ipairs(message.preload) do
    local ok, err = pcall(require, name)
    if not ok and err == "not enough memory" then
      require(name) -- fails as what it is, or works now
    elseif not ok then
      error(type(err) == "string" and "preload: " .. err or err, 0)
    end
  end
  local initializer, args = message.initializer, message.init_args
  if type(initializer) == "string" then initializer = worker.resolve(initializer) end
  if initializer then initializer(table.unpack(args, 1, args.n or #args)) end
end

return worker
