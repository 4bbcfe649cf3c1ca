-- SPDX-License-Identifier: MIT
-- Lines from a terminal, edited: what the keys do beyond editing, history, and that tasks go on meanwhile. Gives a
-- function read(prompt) -> line | nil, "end" | nil, "interrupted", and one that remembers an entry; nothing where a line
-- cannot be edited.
local host = require "parhost.core.host"
local core = require "parhost.core.edit"

-- libedit has to know what of a prompt takes no room: escape sequences, between bytes of value 1. It loses one that stands
-- at the end, so that changes places with what is before it.
local function mark(prompt)
  local marked = prompt:gsub("\1", ""):gsub("\27%[[%d;:?]*%a", "\1%0\1")
  return (marked:gsub("([^\1])(\1[^\1]*\1)$", "%2%1"))
end

local Key = { _lively = true, _ready = core.ready }

local function waiting()
  local block = require "parhost.block"
  return function()
    local _, err = block.wait(Key)
    if err then error(err, 0) end
  end
end

return function(commands)
  local terminal = os.getenv("TERM")
  if not terminal or terminal == "" or terminal == "dumb" then return nil end
  require "parhost.core.pool".prepare() -- before this process has a loop
  local history = host.load_built_in("cli.history")()
  if not core.open(history.MAX_ENTRIES) then return nil end
  local complete = host.load_built_in("cli.complete")()
  local entries, save = history.open()
  for _, entry in ipairs(entries) do core.remember(entry) end
  local wait = waiting()

  local function tab(before, width)
    local sources = complete.sources(host.list_directory)
    sources.commands = commands
    return complete.tab(before, width, _G, sources)
  end

  local function read(prompt)
    local above, last = prompt:match("^(.*\n)(.-)$")
    if above then io.write(above) end
    prompt = last or prompt
    return core.read_line(prompt, mark(prompt), wait, tab)
  end

  local function remember(entry)
    core.remember(entry)
    save(entry)
  end
  return read, remember
end
