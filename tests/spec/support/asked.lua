-- SPDX-License-Identifier: MIT
-- Programs that are asked what they do, by `parhost ps` and `parhost dump`.
local hostile = require "support.hostile"
local json = require "http.json"
local run = require "support.run"
local world = require "support.world"

local asked = {}

-- In front of scripts: C functions, and a gate that tasks open: started(n) waits until it was passed n times.
local PRELUDE <const> = hostile.prelude .. [[
local passed = os.getenv "TMPDIR" .. "/passed"
local function pass() local f <close> = io.open(passed, "a") f:write "x" end
local function started(n)
  while true do
    local f = io.open(passed)
    local size = f and f:seek "end" or 0
    if f then f:close() end
    if size >= n then os.remove(passed) return end
  end
end
]]

-- Runs a script up to its ready(), then act(program); the program is killed after that, unless act gives true: then it ends
-- by itself, and is looked at. Gives what world.run gives.
function asked.run(text, act, options)
  local o = { text = PRELUDE .. text }
  for key, value in pairs(options or {}) do o[key] = value end
  return world.run(o, function(program)
    local ok, goes_on = pcall(act, program)
    if not ok or not goes_on then program:kill "KILL" end
    if not ok then
      program:finish()
      error(goes_on, 0)
    end
  end)
end

-- What a command says -> { out, err, code }.
function asked.command(words)
  return run.sh(("exec timeout 50 %s %s"):format(run.parhost, words))
end

local function decoded(words)
  local result = asked.command(words)
  assert(result.code == 0, result.err)
  return json.decode(result.out, "ps")
end

function asked.ps(program) return decoded("ps --json --timeout 20 " .. program.pid) end
function asked.dump(program) return decoded("dump --json --timeout 20 " .. program.pid) end

function asked.list() return decoded "ps --json" end

-- The pool of that name.
function asked.pool(state, name)
  for _, pool in ipairs(state.pools or {}) do
    if pool.name == name then return pool end
  end
  error("no pool " .. name)
end

-- The line that has `-- HERE` in a script, as places name it.
function asked.here(program, text)
  local n = 1
  for line in (PRELUDE .. text):gmatch("([^\n]*)\n?") do
    n = n + 1
    if line:find("-- HERE", 1, true) then return ("%s:%d"):format(program.script, n) end
  end
  error("not here")
end

-- The names of the sockets of a program.
function asked.sockets(program)
  local names = {}
  for line in io.lines "/proc/net/unix" do
    names[#names + 1] = line:match((" 00010000 .*@(parhost%%.%d%%..*)$"):format(program.pid)) -- that listen
  end
  return names
end

return asked
