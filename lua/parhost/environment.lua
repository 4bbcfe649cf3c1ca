-- SPDX-License-Identifier: MIT
-- The option `env` of whatever starts processes: changes to the environment; false takes a variable out.
local check = require "parhost.check"
local core_pool = require "parhost.core.pool"

local environment = {}

local function read_changes(value)
  if type(value) ~= "table" then return nil, "table" end
  local copy = {}
  for key, text in next, value do
    if type(key) ~= "string" or key == "" or key:find("[=\0]") then
      return nil, ("names of variables expected, got %s"):format(type(key) == "string" and ("%q"):format(key)
        or check.type_name(key))
    end
    if text ~= false and type(text) ~= "string" and not math.type(text) then
      return nil, ("string or false expected for %s, got %s"):format(key, check.type_name(text))
    end
    if text and tostring(text):find("\0", 1, true) then
      return nil, ("text without zero bytes expected for %s, got one"):format(key)
    end
    copy[key] = text and tostring(text)
  end
  return copy
end

environment.rule = { test = read_changes }

-- The environment of this process with these changes, and its working directory.
function environment.changed(changes)
  local cwd, env = core_pool.environment()
  for name, value in next, changes or {} do env[name] = value or nil end
  return env, cwd
end

return environment
