-- SPDX-License-Identifier: MIT
-- JSON as people write it, with comments and commas behind the last element: where in a text things stand, and the text
-- with something added. All else in the text stays as it is, to the byte.
--
-- A node: { kind = "object" | "array" | "text" | "other", first =, last = }, its place in the text; of objects and arrays
-- an array of members, those of objects with `key`; of a text `value`.
local jsonc = {}

local MAX_DEPTH <const> = 200
local ESCAPED <const> = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

-- Raises { at =, what = }.
local function fail(at, what)
  error({ at = at, what = what }, 0)
end

-- The place of the next thing that is neither blank nor comment.
local function skip(text, at)
  while true do
    at = text:find("[^ \t\r\n]", at) or #text + 1
    local two = text:sub(at, at + 1)
    if two == "//" then
      at = text:find("\n", at, true) or #text + 1
    elseif two == "/*" then
      local _, last = text:find("*/", at + 2, true)
      if not last then fail(at, "this comment has no end") end
      at = last + 1
    else
      return at
    end
  end
end

local function unescape(inner)
  inner = inner:gsub("\\u(%x%x%x%x)", function(digits) return utf8.char(tonumber(digits, 16)) end)
  return (inner:gsub("\\(.)", function(letter) return ESCAPED[letter] or letter end))
end

local function parse_text(text, at)
  local i = at + 1
  while true do
    i = text:find('["\\\n]', i)
    local c = i and text:sub(i, i)
    if not i or c == "\n" then fail(at, "this text has no end") end
    if c == '"' then break end
    i = i + 2
  end
  return { kind = "text", first = at, last = i, value = unescape(text:sub(at + 1, i - 1)) }
end

local parse_value

local function parse_member(text, at, depth)
  if text:sub(at, at) ~= '"' then fail(at, "a name in quotes expected") end
  local name = parse_text(text, at)
  at = skip(text, name.last + 1)
  if text:sub(at, at) ~= ":" then fail(at, "':' expected") end
  local member = parse_value(text, skip(text, at + 1), depth)
  member.key = name.value
  return member, name.first
end

local function parse_container(text, at, depth)
  if depth > MAX_DEPTH then fail(at, "nested too deeply") end
  local is_object = text:sub(at, at) == "{"
  local closing = is_object and "}" or "]"
  local node = { kind = is_object and "object" or "array", first = at, starts = {} }
  at = skip(text, at + 1)
  while text:sub(at, at) ~= closing do
    local member, starts = (is_object and parse_member or parse_value)(text, at, depth + 1)
    node[#node + 1], node.starts[#node + 1] = member, starts or member.first
    at = skip(text, member.last + 1)
    if text:sub(at, at) == "," then
      at = skip(text, at + 1)
    elseif text:sub(at, at) ~= closing then
      fail(at, ("',' or '%s' expected"):format(closing))
    end
  end
  node.last = at
  return node
end

function parse_value(text, at, depth)
  local c = text:sub(at, at)
  if c == "{" or c == "[" then return parse_container(text, at, depth) end
  if c == '"' then return parse_text(text, at) end
  local word = text:match("^[%w+.-]+", at)
  if not (word == "true" or word == "false" or word == "null" or word and word:find("^%-?%d") and tonumber(word)) then
    fail(at, "a value expected")
  end
  return { kind = "other", first = at, last = at + #word - 1 }
end

-- Gives the node of the whole text, or nil and a message that names line and column.
function jsonc.parse(text)
  local ok, result = pcall(function()
    local root = parse_value(text, skip(text, 1), 1)
    local behind = skip(text, root.last + 1)
    if behind <= #text then fail(behind, "the end of the file expected") end
    return root
  end)
  if ok then return result end
  if type(result) ~= "table" then error(result, 0) end
  local before = text:sub(1, result.at - 1)
  local _, line = before:gsub("\n", "")
  return nil, ("line %d, column %d: %s"):format(line + 1, #before:match("[^\n]*$") + 1, result.what)
end

-- The member of this name; the last one, as readers of JSON have it.
function jsonc.member(node, key)
  for i = #node, 1, -1 do
    if node[i].key == key then return node[i] end
  end
end

function jsonc.quote(value)
  return '"' .. value:gsub('[%c"\\]', function(c)
    return (c == '"' or c == "\\") and "\\" .. c or ("\\u%04x"):format(c:byte())
  end) .. '"'
end

-- What stands between the beginning of the line and `at`, when that is blank.
local function indent_at(text, at)
  local line = text:sub(1, at - 1):match("[^\n]*$")
  return line:find("^[ \t]*$") and line or nil
end

local function blanks_of_line(text, at)
  return text:sub(1, at - 1):match("[^\n]*$"):match("^[ \t]*")
end

-- The text with one more element, behind the others, set as the last one is. `element`: what to write, with its key.
function jsonc.add(text, node, element)
  local n = #node
  if n > 0 then
    local indent = indent_at(text, node.starts[n])
    local at = node[n].last
    return text:sub(1, at) .. "," .. (indent and "\n" .. indent or " ") .. element .. text:sub(at + 1)
  end
  local before, behind = text:sub(1, node.first), text:sub(node.first + 1)
  if node.kind == "array" then return before .. element .. behind end
  local indent = blanks_of_line(text, node.first)
  local tail = behind:find("^[ \t]*\r?\n") and behind or "\n" .. indent .. behind:gsub("^[ \t]+", "")
  return before .. "\n" .. indent .. "  " .. element .. tail
end

-- The text with another value in the place of `node`.
function jsonc.replace(text, node, value)
  return text:sub(1, node.first - 1) .. value .. text:sub(node.last + 1)
end

return jsonc
