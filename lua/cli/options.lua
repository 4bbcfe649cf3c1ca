-- SPDX-License-Identifier: MIT
-- The command line: array of arguments -> a plan for main.c to follow, or a boolean: done, with or without success.
-- A plan is an array (option letter, text, ...) of what -e, -l and -W ask for, in order, with fields
--   version, interactive, no_environment   options -v, -i, -E
--   script        index of the script's name, or one past the last argument
--   stdin         the script comes from standard input
--   built_in      a built-in program runs in place of a script
--   reads_stdin   nothing to run was named
--   watched, trace, stats   for cli.trace, which knows the options that few programs are started with
local host = require "parhost.core.host"

local function fail(name, ...)
  return host.load_built_in("cli.help")()[name](...)
end

local function set_workers(text, from)
  local n = math.tointeger(tonumber(text))
  if not n or n < 1 or n > 10000 then return fail("bad_workers", text, from) end
  host.set_default_workers(n)
  return nil
end

-- Options that take a text: in the same argument, or in the next one.
local function take_text(argv, i, attached)
  if attached ~= "" then return attached, i end
  local text = argv[i + 1]
  if not text or text:sub(1, 1) == "-" then return nil end
  return text, i + 1
end

local built_in = {
  dump = "cli.dump", ps = "cli.ps", report = "cli.report_command", setup = "cli.setup", test = "cli.test",
}
local flags = { ["-v"] = "version", ["-i"] = "interactive", ["-E"] = "no_environment" }
local views = { ["--progress"] = "progress", ["--tag"] = "tag" }
local long_names = { ["--help"] = "-h", ["--version"] = "-V" }

local argv = ...
local plan = {}
local workers, workers_from
local i = 1

while argv[i] do
  local option = argv[i]
  local letter = option:sub(1, 2)
  if option:sub(1, 1) ~= "-" or option == "-" then break end
  if option == "--" then
    i = i + 1
    break
  end
  option = long_names[option] or option
  if flags[option] then
    plan[flags[option]] = true
    if option == "-i" then plan.version = true end
  elseif option == "-W" then
    plan[#plan + 1], plan[#plan + 2] = "W", ""
  elseif letter == "-e" or letter == "-l" then
    local text, last = take_text(argv, i, option:sub(3))
    if not text then return fail("needs_argument", option) end
    plan[#plan + 1], plan[#plan + 2] = letter:sub(2), text
    if letter == "-e" then plan.has_e = true end
    i = last
  elseif letter == "-j" or option:find("^%-%-workers") then
    local attached = option:match("^%-j(.*)$") or option:match("^%-%-workers=(.+)$")
    if not attached and option ~= "--workers" then return fail("unknown_option", option) end
    workers, i = take_text(argv, i, attached or "")
    if not workers then return fail("needs_argument", option) end
    workers_from = letter == "-j" and "-j" or "--workers"
  elseif views[option] then
    plan[views[option]] = true
  elseif option == "-h" then
    return fail("help")
  elseif option == "-V" then
    return fail("versions")
  else
    local last, complaint, how = host.load_built_in("cli.trace")().option(plan, option, argv, i)
    if not last then return fail(complaint or "unknown_option", how or option) end
    i = last
  end
  i = i + 1
end

if not workers and not plan.no_environment then
  workers, workers_from = os.getenv("PARHOST_WORKERS"), "PARHOST_WORKERS"
  if workers == "" then workers = nil end
end
if workers then
  local done = set_workers(workers, workers_from)
  if done ~= nil then return done end
end

if plan.progress or plan.tag then host.set_views(plan.progress, plan.tag) end
if argv[i] then
  plan.script = i
  if argv[i - 1] ~= "--" then
    plan.stdin = argv[i] == "-"
    plan.built_in = built_in[argv[i]]
  end
else
  plan.script = 0
  plan.reads_stdin = not (plan.has_e or plan.version)
end
if plan.watched or os.getenv("PARHOST_TRACE") then
  local message = host.load_built_in("cli.trace")().begin(plan, argv)
  if message then return fail("fail", message) end
end
return plan
