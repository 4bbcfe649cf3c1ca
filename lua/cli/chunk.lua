-- SPDX-License-Identifier: MIT
-- Text typed at the prompt -> something to run. Lines come one by one, and a line may be several, pasted together.
local chunk = {}

-- An expression, or else a statement or more. Gives a function, or nil, the message, and whether the text is only the
-- beginning of something.
function chunk.compile(text)
  text = text:gsub("^=", "return ")
  local fn = load("return " .. text .. ";", "=stdin")
  if fn then return fn end
  local message
  fn, message = load(text, "=stdin")
  if fn then return fn end
  return nil, message, message:find("<eof>$") ~= nil
end

-- Takes lines from read(again) until they make something complete; `again` is true from the second line on. Gives the
-- function and its text | false, message, text | nothing at the end of the input (nil, text: in the middle).
function chunk.read(read)
  local text = read(false)
  if not text then return nil end
  while true do
    local fn, message, incomplete = chunk.compile(text)
    if fn then return fn, text end
    local line, why = nil, nil
    if incomplete then line, why = read(true) end
    if why == "interrupted" then return nil, text end
    if not line then return false, message, text end
    text = text .. "\n" .. line
  end
end

local MAX_LINES <const> = 200

local function longest_beginning(text)
  local best, rest
  local newline = text:find("\n", 1, true)
  while newline do
    local fn = chunk.compile(text:sub(1, newline - 1))
    if fn then best, rest = fn, text:sub(newline + 1) end
    newline = text:find("\n", newline + 1, true)
  end
  return best, rest
end

-- Pasted text that is no chunk may be several (some of its lines are expressions, say): an array of functions, or nil when
-- there is something in it that cannot be run.
function chunk.split(text)
  if select(2, text:gsub("\n", "")) > MAX_LINES then return nil end
  local list = {}
  while text do
    local fn, rest = chunk.compile(text), nil
    if not fn then fn, rest = longest_beginning(text) end
    if not fn then return nil end
    list[#list + 1] = fn
    text = rest
  end
  return list
end

return chunk
