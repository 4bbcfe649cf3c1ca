-- SPDX-License-Identifier: MIT
-- The prompt's own commands: lines that begin with a dot and a letter, which no Lua statement does.
local host = require "parhost.core.host"

local commands = { names = { ".help", ".load", ".quit", ".tasks", ".time" } }

local HELP <const> = [[
.help         this text
.load FILE    run a file, as if it stood here
.quit         end the session (as Ctrl-D does)
.tasks        what goes on: tasks, pools, workers
.time EXPR    run a line, and say how long it took

Tab           complete a name, or a module in require "
Ctrl-R        search in the history
Ctrl-C        give up the line, or what runs
Ctrl-L        clear the screen
]]

local function duration(seconds)
  if seconds < 1e-3 then return ("%.1f us"):format(seconds * 1e6) end
  if seconds < 1 then return ("%.3f ms"):format(seconds * 1e3) end
  return ("%.3f s"):format(seconds)
end

local actions = {}

actions[".help"] = function()
  return function() io.write(HELP) end
end

actions[".quit"] = function()
  return nil
end

actions[".tasks"] = function()
  return function() io.write(host.load_built_in("cli.tasks")()(host.monotonic())) end
end

actions[".load"] = function(rest)
  local file = rest:match("^([\"'])(.*)%1$") and rest:sub(2, -2) or rest
  if file == "" then return false, ".load: a file's name is expected" end
  file = file:gsub("^~/", (os.getenv("HOME") or "~"):gsub("%%", "%%%%") .. "/")
  local fn, message = loadfile(file)
  if not fn then return false, message end
  return fn
end

local function timed(fn, show)
  return function()
    local start = host.monotonic()
    local values = table.pack(fn())
    local seconds = host.monotonic() - start
    if values.n > 0 then print(show(table.unpack(values, 1, values.n))) end
    io.write(duration(seconds), "\n")
  end
end

actions[".time"] = function(rest, parts)
  if rest == "" then return false, ".time: an expression or statement is expected" end
  local fn, message = parts.chunk.compile(rest)
  if not fn then return false, message end
  return timed(fn, parts.show)
end

local function unknown(name)
  local known = {}
  for _, command in ipairs(commands.names) do known[command] = true end
  local nearest = require "parhost.options".nearest(name, known)
  local hint = nearest and (" (did you mean '%s'?)"):format(nearest) or ""
  return false, ("unknown command '%s'%s; .help lists them"):format(name, hint)
end

function commands.is_command(line)
  return line:find("^%.%a") ~= nil
end

-- As a reader of the prompt gives it: something to run | false, message | nothing: the end. `parts`: chunk and show.
function commands.run(line, parts)
  local name, rest = line:match("^(%S+)%s*(.-)%s*$")
  local action = actions[name]
  if not action then return unknown(name) end
  return action(rest, parts)
end

return commands
