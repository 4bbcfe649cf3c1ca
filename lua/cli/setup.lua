-- SPDX-License-Identifier: MIT
-- `parhost setup [options] [directory]`: tells the tools of an editor about parhost, once for each project.
local history = require "parhost.core.history"
local host = require "parhost.core.host"
local jsonc = host.load_built_in("cli.jsonc")()

local HELP <const> = [[
usage: parhost setup [options] [directory]
Tells lua-language-server where the types of parhost's modules are: writes .luarc.json in the directory (default: this
one), or adds to the one that is there, whose other settings and comments stay as they are.
Available options are:
  --luacheck
            write .luacheckrc for luacheck, unless there is one, in place of .luarc.json
  --print   show the file as it would be, and write nothing
  --modules prefix
            list the modules whose names begin so, for the completion of shells, and write nothing
  -h, --help
            show this text
]]
local LUACHECK <const> = [[
-- parhost sets no globals of its own: its modules are loaded with require.
std = "lua54"
files["**/*_spec.lua"] = { std = "+busted" } -- what `parhost test` runs
]]
local RUNTIME <const> = "Lua 5.4"

local function fail(...)
  io.stderr:write("parhost: setup: ", ...)
  io.stderr:write("\n")
  os.exit(1)
end

local function say(...)
  print("parhost: setup: " .. table.concat({ ... }))
end

local function read(path)
  local file <close>, message, code = io.open(path, "rb")
  if file then return assert(file:read("a")) end
  if code ~= 2 then fail(message) end -- anything but "no such file"
end

-- Beside the old file, then in its place: whoever reads it finds the old one or the new one.
local function write(path, text)
  local beside = path .. ".new"
  local file, message = io.open(beside, "wb")
  if not file then fail(message) end
  local ok
  ok, message = file:write(text)
  ok = file:close() and ok
  if ok then ok, message = os.rename(beside, path) end
  if not ok then
    os.remove(beside)
    fail(path, ": ", message or "cannot be written")
  end
end

-- Stubs ------------------------------------------------------------------------------------------------------

local function data_directory()
  local data, home = os.getenv("XDG_DATA_HOME"), os.getenv("HOME")
  if data and data:sub(1, 1) == "/" then return data .. "/parhost/meta" end
  if home and home:sub(1, 1) == "/" then return home .. "/.local/share/parhost/meta" end
  fail("no place for the types: neither HOME nor XDG_DATA_HOME is set")
end

-- <prefix>/share/parhost/meta for <prefix>/bin/parhost; nil: this program is not installed.
local function installed_stubs()
  local prefix = (host.program_path() or ""):match("^(.*)/bin/[^/]+$")
  local path = prefix and prefix .. "/share/parhost/meta"
  return path and read(path .. "/futures.lua") and path
end

-- The stubs that are built in, as files. Those of a module that is no more would be taken for true.
local function write_stubs(path)
  local ok, message = history.make_directory(path)
  if not ok then fail(path, ": ", message) end
  local texts, written = host.built_in_texts("meta."), 0
  for _, entry in ipairs(host.list_directory(path)) do
    local name = entry.name:match("^(.+)%.lua$")
    if name and not texts[name] then os.remove(path .. "/" .. entry.name) end
  end
  for name, text in pairs(texts) do
    local file = ("%s/%s.lua"):format(path, name)
    if read(file) ~= text then
      write(file, text)
      written = written + 1
    end
  end
  if written > 0 then say(("%s: %d files written"):format(path, written)) end
end

-- .luarc.json ------------------------------------------------------------------------------------------------

-- A setting may be a member "a.b", or "Lua.a.b", or b of an object a, and that of an object "Lua". Gives the node of the
-- setting, or nil, the object to put it in, and the name it has there.
local function find(root, group, name)
  local scopes = { root }
  local lua = jsonc.member(root, "Lua")
  if lua and lua.kind == "object" then scopes[2] = lua end
  local place, key = root, group .. "." .. name
  for _, scope in ipairs(scopes) do
    local nested = jsonc.member(scope, group)
    local node = jsonc.member(scope, group .. "." .. name) or jsonc.member(scope, "Lua." .. group .. "." .. name)
    if nested and nested.kind == "object" then
      node = node or jsonc.member(nested, name)
      place, key = nested, name
    end
    if node then return node end
  end
  return nil, place, key
end

local function parse(text, path)
  local root, message = jsonc.parse(text)
  if not root then fail(path, ": ", message, " (nothing was changed)") end
  if root.kind ~= "object" then fail(path, ": an object expected (nothing was changed)") end
  return root
end

local function set_runtime(text, path, news)
  local node, place, key = find(parse(text, path), "runtime", "version")
  if not node then
    news[#news + 1] = ('runtime.version is "%s"'):format(RUNTIME)
    return jsonc.add(text, place, ('%s: "%s"'):format(jsonc.quote(key), RUNTIME))
  end
  if node.value ~= RUNTIME then
    news[#news + 1] = ('runtime.version stays %s; parhost is "%s"'):format(text:sub(node.first, node.last), RUNTIME)
  end
  return text
end

-- An entry for other stubs of ours gives way: there must be one set of them.
local function set_library(text, path, stubs, news)
  local node, place, key = find(parse(text, path), "workspace", "library")
  local value = jsonc.quote(stubs)
  if not node then
    news[#news + 1] = "workspace.library has " .. stubs
    return jsonc.add(text, place, ("%s: [%s]"):format(jsonc.quote(key), value))
  end
  if node.kind ~= "array" then fail(path, ": workspace.library: an array expected (nothing was changed)") end
  for _, entry in ipairs(node) do
    if entry.value == stubs then return text end
    if entry.kind == "text" and entry.value:find("/parhost/meta/?$") then
      news[#news + 1] = ("workspace.library has %s in place of %s"):format(stubs, entry.value)
      return jsonc.replace(text, entry, value)
    end
  end
  news[#news + 1] = "workspace.library has " .. stubs
  return jsonc.add(text, node, value)
end

local function set_up_server(directory, only_print)
  local path = directory .. ".luarc.json"
  if not read(path) and read(directory .. ".luarc.jsonc") then path = directory .. ".luarc.jsonc" end
  local old, stubs, news = read(path), installed_stubs(), {}
  local is_ours = stubs == nil
  stubs = stubs or data_directory()
  local text = old and old:find("%S") and old or "{}\n"
  text = set_library(set_runtime(text, path, news), path, stubs, news)
  if only_print then
    io.write(text)
    return
  end
  if is_ours then write_stubs(stubs) end
  if text ~= old then write(path, text) end
  for _, line in ipairs(news) do say(path, ": ", line) end
  if text == old then say(path, ": nothing to change") end
end

local function set_up_luacheck(directory, only_print)
  local path = directory .. ".luacheckrc"
  if only_print then
    io.write(LUACHECK)
  elseif read(path) then
    say(path, ': is there, and stays as it is. It needs nothing for parhost but std = "lua54"')
  else
    write(path, LUACHECK)
    say(path, ": written")
  end
end

local function list_modules(prefix)
  local complete = host.load_built_in("cli.complete")()
  for _, name in ipairs(complete.modules(prefix, complete.sources(host.list_directory))) do print(name) end
end

-- ------------------------------------------------------------------------------------------------------------

local set_up, only_print, directory = set_up_server, false, nil
for i, argument in ipairs { ... } do
  if argument == "-h" or argument == "--help" then
    io.write(HELP)
    return
  elseif argument == "--modules" then
    return list_modules(select(i + 1, ...) or "")
  elseif argument == "--luacheck" then
    set_up = set_up_luacheck
  elseif argument == "--print" then
    only_print = true
  elseif argument:sub(1, 1) == "-" then
    fail("unrecognized option '", argument, "' (see parhost setup --help)")
  elseif directory then
    fail("one directory expected, got '", directory, "' and '", argument, "'")
  else
    directory = argument
  end
end
set_up(directory and directory:gsub("/*$", "/") or "", only_print)
