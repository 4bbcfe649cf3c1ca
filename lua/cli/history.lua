-- SPDX-License-Identifier: MIT
-- What was entered at earlier prompts: a file of one entry a line, with "\n" and "\\" for newlines and backslashes in it.
-- Sessions only add to it, and share what they find at their start. Nothing here fails: without a place to write to there
-- is no history, that is all.
local core = require "parhost.core.history"

local MAX_ENTRIES <const> = 2000
local MAX_BYTES <const> = 512 * 1024
local MAX_ENTRY <const> = 16 * 1024 -- a pasted program is not remembered

local history = { MAX_ENTRIES = MAX_ENTRIES }

-- The directory, or nil.
local function directory()
  local state, home = os.getenv("XDG_STATE_HOME"), os.getenv("HOME")
  if state and state:sub(1, 1) == "/" then return state .. "/parhost" end
  if home and home:sub(1, 1) == "/" then return home .. "/.local/state/parhost" end
end

local ESCAPES <const> = { ["\n"] = "\\n", ["\\"] = "\\\\" }
local ESCAPED <const> = { n = "\n", ["\\"] = "\\" }

local function parse(text)
  local entries = {}
  for line in text:gmatch("([^\n]+)\n") do
    entries[#entries + 1] = line:gsub("\\(.)", ESCAPED)
  end
  return table.move(entries, math.max(1, #entries - MAX_ENTRIES + 1), #entries, 1, {})
end

-- Gives the entries of earlier sessions, oldest first, and a function that adds one.
function history.open()
  local place = directory()
  if not place or not core.make_directory(place) then return {}, function() end end
  local path = place .. "/history"
  core.trim(path, MAX_BYTES)
  local file <close> = io.open(path, "rb")
  local entries = file and parse(file:read("a") or "") or {}
  local last = entries[#entries]
  return entries, function(entry)
    if entry == last or #entry > MAX_ENTRY then return end
    last = entry
    core.append(path, entry:gsub("[\n\\]", ESCAPES) .. "\n")
  end
end

return history
