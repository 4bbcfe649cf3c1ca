-- SPDX-License-Identifier: MIT
-- The interactive prompt's reader: a function that gives a chunk | false, message | nothing at the end of the input.
local host = require "parhost.core.host"

local function prompt(name, default)
  local text = _G[name]
  return text == nil and default or tostring(text)
end

-- Goes on reading while the text is the beginning of something.
local function read_more(text)
  while true do
    local chunk, message = load(text, "=stdin")
    if chunk then return chunk end
    local line = message:find("<eof>$") and host.read_line(prompt("_PROMPT2", ">> "))
    if not line then return false, message end
    text = text .. "\n" .. line
  end
end

return function()
  local line = host.read_line(prompt("_PROMPT", "> "))
  if not line then return nil end
  line = line:gsub("^=", "return ")
  local chunk = load("return " .. line .. ";", "=stdin")
  if chunk then return chunk end
  return read_more(line)
end
