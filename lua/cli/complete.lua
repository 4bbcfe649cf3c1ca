-- SPDX-License-Identifier: MIT
-- Completion: what stands before the cursor -> what to insert, and the candidates. It looks at tables and at __index
-- tables, and calls nothing of the program's.
local complete = {}

local KEYWORDS <const> = {
  "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil", "not",
  "or", "repeat", "return", "then", "true", "until", "while",
}
local PUBLIC <const> = { "async", "futures", "http", "parhost", "proc_pool", "thread_pool" }
local INTERNAL <const> = { "^parhost%.", "^async%.", "^futures%.", "^http%.", "^_G$" }
local MAX_DEPTH <const> = 20 -- of __index
local MAX_SHOWN <const> = 300

local is_keyword = {}
for _, word in ipairs(KEYWORDS) do is_keyword[word] = true end

local function is_name(key)
  return type(key) == "string" and key:find("^[%a_][%w_]*$") ~= nil and not is_keyword[key]
end

-- The table that fields of `value` come from besides itself; nil when it is a function's business.
local function index_of(value)
  local metatable = debug.getmetatable(value)
  local index = type(metatable) == "table" and rawget(metatable, "__index")
  return type(index) == "table" and index or nil
end

local function field(value, key)
  for _ = 1, MAX_DEPTH do
    if type(value) == "table" then
      local found = rawget(value, key)
      if found ~= nil then return found end
    end
    value = index_of(value)
    if value == nil then return nil end
  end
end

local function is_callable(value)
  local metatable = debug.getmetatable(value)
  return type(value) == "function" or type(metatable) == "table" and rawget(metatable, "__call") ~= nil
end

local function add_fields(set, value, prefix, only_functions)
  for _ = 1, MAX_DEPTH do
    if type(value) == "table" then
      for key, member in next, value do
        if is_name(key) and key:sub(1, #prefix) == prefix and (not only_functions or is_callable(member)) then
          set[key] = true
        end
      end
    end
    value = index_of(value)
    if value == nil then return end
  end
end

-- Internal names are offered to who asks for them.
local function sorted(set, prefix)
  local list = {}
  for name in next, set do
    if prefix ~= "" or name:sub(1, 1) ~= "_" then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

-- a.b.c -> its value in `globals`, nil when there is none. The path ends with a separator.
local function value_of(path, globals)
  local value = globals
  for name, separator in path:gmatch("([%w_]+)%s*([.:])%s*") do
    if separator == ":" and not path:find(name .. "%s*:%s*$") then return nil end
    value = field(value, name)
    if value == nil then return nil end
  end
  return value
end

-- Names ------------------------------------------------------------------------------------------------------

local function complete_name(before, globals)
  local path, prefix = before:match("([%a_][%w_.:%s]*[.:]%s*)([%w_]*)$")
  if path and path:find("^[%a_][%w_]*%s*[.:]") then
    local value = value_of(path, globals)
    if value == nil then return prefix, {} end
    local set = {}
    add_fields(set, value, prefix, path:find(":%s*$") ~= nil)
    return prefix, sorted(set, prefix)
  end
  prefix = before:match("[%a_][%w_]*$")
  if not prefix or before:sub(-#prefix - 1, -#prefix - 1):find("[%w.:]") then return "", {} end
  local set = {}
  add_fields(set, globals, prefix)
  for _, word in ipairs(KEYWORDS) do
    if word:sub(1, #prefix) == prefix then set[word] = true end
  end
  return prefix, sorted(set, prefix)
end

-- Modules ----------------------------------------------------------------------------------------------------

-- Module names below a template such as "/usr/share/lua/5.4/?.lua", in the directory that the prefix names.
local function add_files(set, template, prefix, list_directory)
  local root, suffix = template:match("^(.-)%?(.*)$")
  if not root then return end
  local parent = prefix:match("^(.*)%.") or ""
  local above = parent == "" and "" or parent .. "."
  for _, entry in ipairs(list_directory(root .. parent:gsub("%.", "/") .. (parent == "" and "" or "/"))) do
    local name = entry.name
    if suffix:sub(1, 1) == "/" then -- ?/init.lua
      if entry.directory and name:find("^[%w_-]+$") then set[above .. name] = true end
    elseif name:sub(-#suffix) == suffix and #name > #suffix then
      set[above .. name:sub(1, -#suffix - 1)] = true
    end
  end
end

local function is_internal(name)
  for _, pattern in ipairs(INTERNAL) do
    if name:find(pattern) then return true end
  end
  return false
end

-- What `require` may be asked for by name.
local function module_names()
  local names = table.move(PUBLIC, 1, #PUBLIC, 1, {})
  for _, modules in ipairs { package.loaded, package.preload } do
    for name in next, modules do
      if type(name) == "string" and not is_internal(name) then names[#names + 1] = name end
    end
  end
  return names
end

local function path_text()
  local path, cpath = package.path, package.cpath
  return (type(path) == "string" and path or "") .. ";" .. (type(cpath) == "string" and cpath or "")
end

-- Where modules of this program are, for `candidates`.
function complete.sources(list_directory)
  return { names = module_names(), path = path_text(), list_directory = list_directory }
end

-- sources: { names = array, path = text, list_directory = function(path) -> array of { name =, directory = } }
local function complete_module(prefix, sources)
  local set = {}
  for _, name in ipairs(sources.names) do set[name] = true end
  for template in sources.path:gmatch("[^;]+") do add_files(set, template, prefix, sources.list_directory) end
  local list = {}
  for name in next, set do
    if name:sub(1, #prefix) == prefix then list[#list + 1] = name end
  end
  table.sort(list)
  return prefix, list
end

-- The prefix of an unfinished string that require is called with, and its quote.
local function module_prefix(before)
  local quote, prefix = before:match("%f[%w_]require%s*%(?%s*([\"'])([^\"']*)$")
  return prefix, quote
end

-- Whether the cursor is in a string or comment: there is nothing to complete then.
local function in_text(before)
  local line = before:match("[^\n]*$")
  local quote
  local i = 1
  while i <= #line do
    local c = line:sub(i, i)
    if quote then
      if c == "\\" then i = i + 1 elseif c == quote then quote = nil end
    elseif c == '"' or c == "'" then
      quote = c
    elseif line:sub(i, i + 1) == "--" then
      return true
    end
    i = i + 1
  end
  return quote ~= nil
end

-- Putting it together ----------------------------------------------------------------------------------------

-- Gives the part of the last word that is there, the candidates for it, and what follows a single one.
function complete.candidates(before, globals, sources)
  local prefix, quote = module_prefix(before)
  if prefix then
    local part, list = complete_module(prefix, sources)
    return part, list, quote
  end
  if in_text(before) then return "", {}, "" end
  if sources.commands and before:find("^%.%a*$") then
    local list = {}
    for _, name in ipairs(sources.commands) do
      if name:sub(1, #before) == before then list[#list + 1] = name end
    end
    return before, list, " "
  end
  local part, list = complete_name(before, globals)
  return part, list, ""
end

-- The modules whose names begin with `prefix`, as far as the next dot.
function complete.modules(prefix, sources)
  local _, list = complete_module(prefix, sources)
  return list
end

-- The longest beginning that all have in common.
function complete.common(list)
  local first, last = list[1], list[#list] -- sorted
  local n = 0
  while n < #first and first:byte(n + 1) == last:byte(n + 1) do n = n + 1 end
  return first:sub(1, n)
end

-- In columns, as many as fit, read from top to bottom.
function complete.columns(list, width)
  local widest = 0
  local left = #list - MAX_SHOWN
  if left > 0 then list = table.move(list, 1, MAX_SHOWN, 1, {}) end
  for _, name in ipairs(list) do widest = math.max(widest, #name) end
  local across = math.max(1, width // (widest + 2))
  local rows = (#list + across - 1) // across
  local lines = {}
  for row = 1, rows do
    local cells = {}
    for i = row, #list, rows do
      local is_last = i + rows > #list
      cells[#cells + 1] = is_last and list[i] or list[i] .. (" "):rep(widest + 2 - #list[i])
    end
    lines[row] = table.concat(cells)
  end
  if left > 0 then lines[#lines + 1] = ("... and %d more"):format(left) end
  return table.concat(lines, "\n") .. "\n"
end

-- What the Tab key does: text to insert, text to show; either may be nil.
function complete.tab(before, width, globals, sources)
  if before:match("[^\n]*$"):find("^%s*$") then return "  ", nil end
  local part, list, after = complete.candidates(before, globals, sources)
  if #list == 0 then return nil, nil end
  if #list == 1 then return list[1]:sub(#part + 1) .. after, nil end
  local common = complete.common(list)
  if #common > #part then return common:sub(#part + 1), nil end
  return nil, complete.columns(list, width)
end

return complete
