-- SPDX-License-Identifier: MIT
-- What a worker does in its fresh state before its first task. The message comes from
-- lua/parhost/executor.lua.
local core_pool = require "parhost.core.pool"
local host = require "parhost.core.host"

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

function worker.setup(message, index)
  worker.depth = message.depth
  local lifetime = package.loaded["parhost.lifetime"]
  if lifetime then lifetime.leave_behind() end
  host.set_worker(describe(message, index))
  if message.process then core_pool.enter(message.process) end
  package.path, package.cpath = message.package_path, message.package_cpath
  _G.arg = message.arg
  for _, name in ipairs(message.preload) do require(name) end
  local initializer, args = message.initializer, message.init_args
  if type(initializer) == "string" then initializer = worker.resolve(initializer) end
  if initializer then initializer(table.unpack(args, 1, args.n or #args)) end
end

return worker
