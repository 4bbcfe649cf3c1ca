-- SPDX-License-Identifier: MIT
-- Running programs in specs: a command line goes through sh, outputs and exit code come back.
local run = {}

function run.quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The program under test, and as a word for a shell.
run.path = arg[-1] or "parhost"
for i = -1, -20, -1 do
  if arg[i] then run.path = arg[i] end
end
run.parhost = run.quote(run.path)

-- ThreadSanitizer is in this build, and with it a thread more in each process.
run.has_tsan = io.open("/proc/self/maps"):read("a"):find("libtsan", 1, true) ~= nil

function run.write(text)
  local name = os.tmpname()
  local file <close> = assert(io.open(name, "wb"))
  file:write(text)
  return name
end

local function take(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("a")
  file:close()
  os.remove(name)
  return text
end

-- Before a command: the signals as a terminal's shell would hand them on. Who starts the specs may ignore some, as nohup
-- does, and shells do for what runs in the background; that is passed on to every child, and a shell cannot undo it.
run.fresh = "env --default-signal=HUP,INT,QUIT,PIPE,TERM"

-- Runs a shell command -> { out =, err =, code = } with code as shells count: 128 + signal.
function run.sh(command, input)
  local out, err = os.tmpname(), os.tmpname()
  local source = input and run.write(input)
  local _, how, code = os.execute(("exec %s sh -c %s <%s >%s 2>%s"):format(
    run.fresh, run.quote(command), source or "/dev/null", out, err))
  if source then os.remove(source) end
  return { out = take(out), err = take(err), code = how == "signal" and 128 + code or code }
end

-- Runs a script, given as text, in the program under test. It is stopped after 60 s.
function run.script(text, args, environment)
  local name = run.write(text)
  local result = run.sh(("exec env %s timeout 60 %s %s %s"):format(environment or "", run.parhost, name, args or ""))
  result.err = result.err:gsub(name:gsub("%p", "%%%0"), "script.lua")
  result.out = result.out:gsub(name:gsub("%p", "%%%0"), "script.lua")
  os.remove(name)
  return result
end

return run
