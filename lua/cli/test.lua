-- SPDX-License-Identifier: MIT
-- `parhost test [arguments]`: busted, inside this program. Functions of spec files may be tasks, and modules of parhost are
-- loaded once.
local codec = require "parhost.core.codec"

local found, runner = pcall(require, "busted.runner")
if not found then
  if not tostring(runner):find("module 'busted.runner' not found", 1, true) then error(runner, 0) end
  io.stderr:write("parhost: test: busted is not installed (Debian: apt-get install lua-busted; ",
    "elsewhere: luarocks install busted)\n")
  os.exit(1)
end

-- The globals of spec files are a table of busted's own, which gives them and those of the program.
local new_environment = require "busted.environment"
package.loaded["busted.environment"] = function(context)
  local environment = new_environment(context)
  codec.stand_in(environment.wrap(function() return _ENV end)())
  return environment
end

-- Behind each file busted forgets the modules that it has loaded. Ours keep the state that they share with the C side.
local search, kept = package.searchers[2], {}
package.searchers[2] = function(name)
  local load_module, from = search(name)
  if not load_module then return end
  return function(...)
    if kept[name] == nil then kept[name] = load_module(...) end
    return kept[name]
  end, from
end

-- The runner looks at the name of its caller's chunk: without a file name it calls itself "busted".
load("local run = ... run({ standalone = false })", "=busted")(runner)
