-- SPDX-License-Identifier: MIT
-- What is to be started, as the program says it: checked, and put into the form of parhost.core.spawn.
local check = require "parhost.check"
local environment = require "parhost.environment"
local options = require "parhost.options"
local stream = require "async.stream"

local DEFAULT_PATH <const> = "/usr/local/bin:/usr/bin:/bin"
local STDIO_WORDS <const> = { pipe = true, inherit = true, null = true }
local STDERR_WORDS <const> = { pipe = true, inherit = true, null = true, stdout = true }

local command = {}

-- Standard input, output and errors --------------------------------------------------------------------------

local function text_of(words)
  return words.stdout and '"pipe", "inherit", "null", "stdout", a path, a file or a stream'
    or '"pipe", "inherit", "null", a path, a file or a stream'
end

-- A word that is nearly one of ours is hardly meant as the name of a file.
local function read_word(word, words)
  if words[word] then return word end
  local near = not word:find("[/.]") and options.nearest(word, words)
  if near then return nil, ('%q is no such word (%q?), and a file of that name is written "./%s", got %q'):format(
    word, near, word, word) end
  if word == "" or word:find("\0", 1, true) then return nil, text_of(words) end
  return { word }
end

local function read_stream(value, writes)
  if value.writes ~= writes then return nil, ("%s is the wrong end of a pipe, got a stream"):format(value.name) end
  if not value.pipe:is_open() then return nil, ("%s is closed, got a stream"):format(value.name) end
  if value.event.busy or value.pipe:buffered() > 0 then
    return nil, ("%s is in use already, got a stream"):format(value.name)
  end
  return value.pipe
end

local function stdio(words, writes)
  return { test = function(value)
    if type(value) == "string" then return read_word(value, words) end
    if stream.is_stream(value) then return read_stream(value, writes) end
    if io.type(value) == "file" then return value end
    if io.type(value) then return nil, "open file expected, got a closed file" end
    if math.type(value) == "integer" and value >= 0 then return value end
    return nil, text_of(words)
  end }
end

-- Options ----------------------------------------------------------------------------------------------------

local function path(value)
  if type(value) == "string" and value ~= "" and not value:find("\0", 1, true) then return value end
  return nil, "path"
end

local PROCESS_OPTIONS <const> = {
  stdin = stdio(STDIO_WORDS, false),
  stdout = stdio(STDIO_WORDS, true),
  stderr = stdio(STDERR_WORDS, true),
  env = environment.rule,
  clear_env = { "boolean", default = false },
  cwd = { test = path },
  shell = { "boolean", default = false },
  new_session = { "boolean", default = true },
  grace = { "number", min = 0, default = 3 },
}

local RUN_OPTIONS <const> = {
  input = { "string" },
  check = { "boolean", default = false },
  timeout = { "number" },
}
for key, rule in next, PROCESS_OPTIONS do RUN_OPTIONS[key] = rule end

-- Arguments --------------------------------------------------------------------------------------------------

local function argument(value, i, name)
  if type(value) ~= "string" and not math.type(value) then
    check.bad_argument(1, name, ("item %d: string expected, got %s"):format(i, check.type_name(value)))
  end
  local text = tostring(value)
  if text:find("\0", 1, true) then check.bad_argument(1, name, ("item %d: has a zero byte in it"):format(i)) end
  return text
end

-- The array part, and all the rest.
local function split(given, name)
  if type(given) ~= "table" or getmetatable(given) ~= nil or check.type_name(given) == check.MODULE then
    check.expected(1, name, "table with a command", given)
  end
  local argv, rest = {}, {}
  for i = 1, #given do argv[i] = argument(given[i], i, name) end
  for key, value in next, given do
    if math.type(key) ~= "integer" or key < 1 or key > #argv then rest[key] = value end
  end
  if not argv[1] or argv[1] == "" then check.bad_argument(1, name, "item 1: command expected, got nothing") end
  return argv, rest
end

local function environment_list(env)
  local list = {}
  for name, value in next, env do
    if value then list[#list + 1] = name .. "=" .. value end
  end
  return list
end

-- Where to look for the program: a name with a slash in it is a path, from the child's directory.
local function candidates(name, search)
  if name:find("/", 1, true) then return { name } end
  local list = {}
  for dir in (search .. ":"):gmatch("([^:]*):") do
    list[#list + 1] = (dir == "" and "." or dir) .. "/" .. name
  end
  return list
end

-- `given` is argument #1 of the function `name`; `defaults` are for what it leaves open. Gives what spawn.start takes,
-- with the other options beside it.
function command.read(given, name, defaults)
  local argv, rest = split(given, name)
  local o = options.check(defaults.input and RUN_OPTIONS or PROCESS_OPTIONS, rest, 1, name)
  if o.input and o.stdin ~= nil and o.stdin ~= "pipe" then
    check.bad_argument(1, name, "option 'input': stdin is not \"pipe\"")
  end
  o.stdin = o.stdin or o.input and "pipe" or defaults.stdin
  o.stdout = o.stdout or defaults.stdout
  o.stderr = o.stderr or defaults.stderr
  if o.shell and #argv > 1 then
    check.bad_argument(1, name, ("one string expected with option 'shell', got %d"):format(#argv))
  end
  o.name = argv[1]
  o.argv = o.shell and { "sh", "-c", argv[1] } or argv
  local search = os.getenv("PATH")
  if o.env or o.clear_env then
    local env = o.clear_env and (o.env or {}) or environment.changed(o.env)
    o.env, search = environment_list(env), env.PATH
  end
  o.candidates = o.shell and { "/bin/sh" } or candidates(argv[1], search or DEFAULT_PATH)
  return o
end

return command
