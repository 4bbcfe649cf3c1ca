-- SPDX-License-Identifier: MIT
-- `parhost report [-o REPORT.html] TRACE.json`: a trace as a page to look at.
local host = require "parhost.core.host"
local report = host.load_built_in("cli.report")()

local HELP <const> = [[
usage: parhost report [options] TRACE.json
Makes a page (HTML) of a trace that parhost --trace has written. It is one file, and needs no network.
Available options are:
  -o file   the page to write, '-' for standard output (default: TRACE.html)
  -h, --help
            show this text
]]

local function fail(...)
  io.stderr:write("parhost: report: ", ...)
  io.stderr:write("\n")
  os.exit(1)
end

local function say(...)
  io.stderr:write("parhost: report: ", ...)
  io.stderr:write("\n")
end

local arguments, input, output = { ... }, nil, nil
local i = 1
while arguments[i] do
  local argument = arguments[i]
  if argument == "-h" or argument == "--help" then
    io.write(HELP)
    return
  elseif argument:sub(1, 2) == "-o" then
    output = argument:sub(3)
    if output == "" then
      i = i + 1
      output = arguments[i]
    end
    if not output or output == "" then fail("'-o' needs a file's name") end
  elseif argument:sub(1, 1) == "-" then
    fail("unrecognized option '", argument, "' (see parhost report --help)")
  elseif input then
    fail("one trace expected, got '", input, "' and '", argument, "'")
  else
    input = argument
  end
  i = i + 1
end
if not input then fail("a trace's name is expected (see parhost report --help)") end
output = output or input:gsub("%.json$", "") .. ".html"
if output == input then fail(output, ": is the trace itself") end

local ok, notes = pcall(report.write, input, output)
if not ok then fail(tostring(notes)) end
if not notes.ended then say(input, ": has no end: the program was killed, or still runs") end
if notes.torn then say(input, ": its last line is torn, and left out") end
if notes.damaged > 0 then say(("%s: %d lines that are no events are left out"):format(input, notes.damaged)) end
if notes.left_out > 0 then
  say(("%s: too big for one page: %d of %d events are left out"):format(input, notes.left_out, notes.events))
end
if output ~= "-" then print(("parhost: report: %s: written (%d events)"):format(output, notes.events)) end
