-- SPDX-License-Identifier: MIT
-- What the command line says about itself. Each function prints, and gives whether the program ends with success.
local host = require "parhost.core.host"

local help = {}

local USAGE = "usage: parhost [options] [script [args]]\n"
local OPTIONS <const> = [[
Available options are:
  -e stat   execute string 'stat'
  -i        enter interactive mode after executing 'script'
  -l mod    require library 'mod' into global 'mod'
  -l g=mod  require library 'mod' into global 'g'
  -v        show version information
  -E        ignore environment variables
  -W        turn warnings on
  -j n, --workers n
            default number of workers of a pool (also: environment variable PARHOST_WORKERS)
  --progress
            show on standard error how far the program's pools have come
  --tag     put the worker's name in front of each line that workers print
  --trace file
            write what happens, and when, into a file for trace viewers (also: environment variable PARHOST_TRACE)
  --stats, --stats=json
            tell at the end what tasks and workers have done, and what looks wrong
  --dashboard, --dashboard=port
            serve a page to this machine's browsers that shows what happens while it does
  -h, --help
            show this text
  -V, --version
            show the versions of parhost and of the libraries in use
  --        stop handling options
  -         stop handling options and execute stdin
]]
local COMMANDS <const> = [[
       parhost test [busted arguments]
       parhost setup [--help]
       parhost report [--help]
       parhost ps [--help] [pid]
       parhost dump [--help] pid
]]
local KNOWN = {
  "-e", "-i", "-l", "-v", "-E", "-W", "-j", "-h", "-V", "--workers", "--progress", "--tag", "--trace", "--stats",
  "--dashboard", "--help", "--version",
}

local function complain(...)
  io.stderr:write("parhost: ", ...)
  return false
end

-- Edit distance (Levenshtein), one row at a time.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
    end
  end
  return row[#b]
end

local function nearest(option)
  local name = option:match("^[^=]+")
  if not name:find "^%-%-" then return nil end -- any letter is near any other
  local best, best_distance
  for _, known in ipairs(KNOWN) do
    local d = distance(name, known)
    if not best_distance or d < best_distance then best, best_distance = known, d end
  end
  return best_distance <= math.max(1, #name // 3) and best or nil
end

function help.help()
  io.stdout:write(USAGE, COMMANDS, OPTIONS)
  return true
end

function help.versions()
  local versions = host.versions()
  print("parhost " .. host.version)
  print(versions.lua)
  print("libuv " .. versions.libuv)
  print(versions.libcurl or "libcurl (not installed)")
  return true
end

function help.unknown_option(option)
  local known = nearest(option)
  local hint = known and (" (did you mean '%s'?)"):format(known) or ""
  return complain("unrecognized option '", option, "'", hint, "\n", USAGE, OPTIONS)
end

function help.needs_argument(option)
  return complain("'", option, "' needs argument\n", USAGE, OPTIONS)
end

function help.fail(message)
  return complain(message, "\n")
end

function help.bad_workers(text, from)
  return complain(from, ": number of workers expected (an integer from 1 to 10000), got '", text, "'\n")
end

return help
