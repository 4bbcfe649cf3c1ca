-- SPDX-License-Identifier: MIT
-- Values of registered classes that go off when they are packed or unpacked.
local parhost = require "parhost"

local bombs = {}
local home = parhost.worker() == nil -- in the program itself, not in a worker

local function go_off(how)
  if how == "crash" then require("crash").segfault() end
  if how == "exit" then os.exit(9) end
  error("bomb: " .. how, 0)
end

local OnLoad = { __dump = function(bomb) return bomb.how end, __load = go_off }
local OnDump = { __dump = function(bomb) go_off(bomb.how) end, __load = function(how) return how end }
local ForParent = {
  __dump = function() return "error" end,
  __load = function(how) if home then go_off(how) end return how end,
}
parhost.register("bombs.on_load", OnLoad)
parhost.register("bombs.on_dump", OnDump)
parhost.register("bombs.for_parent", ForParent)

function bombs.on_load(how) return setmetatable({ how = how }, OnLoad) end

function bombs.on_dump(how) return setmetatable({ how = how }, OnDump) end

function bombs.for_parent() return setmetatable({}, ForParent) end

function bombs.raise_on_dump(how) error(bombs.on_dump(how)) end

return bombs
