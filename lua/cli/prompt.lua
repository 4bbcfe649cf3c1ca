-- SPDX-License-Identifier: MIT
-- The interactive prompt's reader: a function that gives something to run, and a function for the values of that, which
-- gives what is printed | false, message | nothing at the end of the input, or when that was interrupted.
local host = require "parhost.core.host"
local chunk = host.load_built_in("cli.chunk")()
local show = host.load_built_in("cli.show")()

local function prompt(again)
  local text = _G[again and "_PROMPT2" or "_PROMPT"]
  if text == nil then return again and ">> " or "> " end
  return tostring(text)
end

local function from_input(again)
  return host.read_line(prompt(again))
end

if not host.is_terminal(0) then
  return function()
    local fn, message = chunk.read(from_input)
    return fn, fn and show or message
  end
end

local commands = host.load_built_in("cli.commands")()
local edited, remember
if host.is_terminal(1) then edited, remember = host.load_built_in("cli.editor")()(commands.names) end

local command -- a line that was one
local function from_terminal(again)
  local line, why
  if edited then line, why = edited(prompt(again)) else line, why = from_input(again) end
  if line and not again and commands.is_command(line) then
    command = line
    return "" -- complete by itself
  end
  return line, why
end

local pasted = {} -- what is left to run of the last entry

local function next_entry()
  command = nil
  local fn, message, text = chunk.read(from_terminal)
  if fn then message, text = nil, message end
  text = command or text
  if remember and text and text:find("%S") then remember(text) end
  if command then return commands.run(command, { chunk = chunk, show = show }) end
  if fn == false and text:find("\n") then
    pasted = chunk.split(text) or {}
    if pasted[1] then return table.remove(pasted, 1) end
  end
  return fn, message
end

return function()
  local fn, message
  if pasted[1] then fn = table.remove(pasted, 1) else fn, message = next_entry() end
  return fn, fn and show or message
end
