-- SPDX-License-Identifier: MIT
-- Runs a Lua program in a host of its own.
local run = require "support.run"

local program = {}

-- The specs may be run by stock Lua, too, which then is the program under test.
program.is_stock = run.path:find "lua[%d.]*$" ~= nil

local function read_and_remove(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  os.remove(path)
  return text
end

-- Gives stdout, stderr, and the exit code (negative: ended by that signal). `prefix`: before the command, for a shell.
function program.run(text, prefix)
  local script, out, err = os.tmpname(), os.tmpname(), os.tmpname()
  local file = assert(io.open(script, "w"))
  file:write(text)
  file:close()
  local command = ("%s %s timeout 60 %s %s >%s 2>%s </dev/null"):format(
    prefix or "", run.fresh, run.parhost, script, out, err)
  local _, how, code = os.execute(command)
  os.remove(script)
  local stderr = read_and_remove(err):gsub(script:gsub("%p", "%%%0"), "SCRIPT")
  return read_and_remove(out), stderr, how == "signal" and -code or code
end

return program
