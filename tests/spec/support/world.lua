-- SPDX-License-Identifier: MIT
-- A program in a world of its own: a session, folders for temporary files and settings, and a mark in the environment that
-- whatever it starts inherits. Afterwards the world tells what is left of it.
require "support.hostile" -- where C modules are
local run = require "support.run"
local starter = require "starter"

local world = {}

local LIMIT <const> = 40 -- seconds after which a program is taken to hang
local NUMBERS <const> = { HUP = 1, INT = 2, QUIT = 3, KILL = 9, PIPE = 13, TERM = 15, CONT = 18, STOP = 19 }

-- In front of a script: ready() tells the spec that it has come so far.
local PRELUDE <const> = [[
local function ready() local f = io.open(os.getenv "READY", "w") f:write "x" f:close() end
]]

local Program = {}
Program.__index = Program

-- Calls test() until it gives something true; false when that takes too long.
local function await(test)
  local limit = os.time() + LIMIT
  while true do
    local value = test()
    if value then return value end
    if os.time() > limit then return false end
    starter.nap(0.002)
  end
end

local function slurp(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local text = file:read("a")
  file:close()
  return text or ""
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

local function output_of(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read("a")
end

local function words_of(self, o)
  local words = { "env", "--default-signal=HUP,INT,QUIT,PIPE,TERM" }
  for name, value in pairs(self.environment) do words[#words + 1] = name .. "=" .. value end
  for name, value in pairs(o.env or {}) do words[#words + 1] = name .. "=" .. value end
  local program = o.shell and { "sh", "-c", o.shell } or { run.path, table.unpack(o.options or {}) }
  table.move(program, 1, #program, #words + 1, words)
  if o.text then words[#words + 1] = self.script end
  return words
end

local made = 0

-- Starts a program. o: text (of a script) or shell (a command, in which $P is the host and $S the script); options, env;
-- stdin, stdout, stderr: paths or "closed"; terminal = true: all three are a terminal.
function world.start(o)
  made = made + 1
  local folder = output_of "d=$(mktemp -d); mkdir $d/tmp $d/home; printf %s $d"
  local self = setmetatable({ folder = folder, script = folder .. "/script.lua", heard = "" }, Program)
  self.mark = ("PARHOST_WORLD=%s/%d"):format(folder, made)
  self.environment = {
    PARHOST_WORLD = self.mark:match("=(.*)"), READY = folder .. "/ready", TMPDIR = folder .. "/tmp", P = run.path,
    S = self.script, TERM = "dumb",
  }
  for _, name in ipairs { "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR" } do
    self.environment[name] = folder .. "/home"
  end
  write(self.script, PRELUDE .. (o.text or o.script or ""))
  if o.input then write(folder .. "/in", o.input) end
  self.fifo = starter.fifo(self.environment.READY)
  local words = words_of(self, o)
  if o.terminal then
    self.pid, self.terminal = starter.start(words)
  else
    self.pid = starter.start(words, o.stdin or o.input and folder .. "/in" or "/dev/null", o.stdout or folder .. "/out",
      o.stderr or folder .. "/err")
  end
  return self
end

-- Takes in what it writes to its terminal.
local function listen(self)
  if not self.terminal then return end
  repeat
    local text = starter.hear(self.terminal)
    self.heard = self.heard .. (text or "")
  until not text or text == ""
end

function Program:is_over()
  listen(self)
  self.code = self.code or starter.over(self.pid)
  return self.code ~= false
end

-- Waits until the program has called ready(), or is over.
function Program:await_ready()
  assert(await(function() return self:is_over() or starter.hear(self.fifo) == "x" end), "the program is never ready")
end

-- Waits until its main thread sleeps in the kernel, seen some times in a row.
function Program:await_asleep()
  local seen = 0
  assert(await(function()
    seen = slurp(("/proc/%d/stat"):format(self.pid)):match("^%d+ %(.*%) (%a)") == "S" and seen + 1 or 0
    return seen == 4 or self:is_over()
  end), "the program never sleeps")
end

-- Waits until it has written that text, to its terminal or to stderr.
function Program:await_words(text)
  assert(await(function()
    local over = self:is_over()
    return (self.heard .. slurp(self.folder .. "/err")):find(text, 1, true) or over
  end), text)
end

function Program:type(text)
  assert(starter.say(self.terminal, text))
end

function Program:kill(name, pid)
  return starter.kill(pid or self.pid, NUMBERS[name])
end

-- As a terminal does it: all processes of the group.
function Program:kill_group(name)
  return starter.kill(-self.pid, NUMBERS[name])
end

-- The processes of its world: { pid = name }.
function Program:processes()
  local found = {}
  local pattern = "/proc/(%d+)/"
  for pid in output_of(("grep -lzsxF '%s' /proc/[0-9]*/environ"):format(self.mark)):gmatch(pattern) do
    local name = slurp("/proc/" .. pid .. "/comm"):match("[^\n]+")
    if name then found[math.tointeger(pid)] = name end
  end
  return found
end

-- The processes beside the program itself.
function Program:others()
  local found = self:processes()
  found[self.pid] = nil
  return found
end

local function what_is_left(self)
  local left = {}
  await(function()
    left = {}
    for pid, name in pairs(self:processes()) do left[#left + 1] = ("process %d (%s)"):format(pid, name) end
    return #left == 0
  end)
  local command = ("cd %s && find tmp/* home/* 2>/dev/null; ls /dev/shm | grep -i parhost"):format(self.folder)
  for name in output_of(command):gmatch("[^\n]+") do left[#left + 1] = name end
  return table.concat(left, ", ")
end

-- Waits for the end -> { code (negative: ended by that signal), out, err, left (what is, in words) }.
function Program:finish()
  local hung = not await(function() return self:is_over() end)
  if hung then
    self:kill_group "KILL"
    await(function() return self:is_over() end)
  end
  local script = self.script:gsub("%p", "%%%0")
  local result = {
    code = hung and "hung" or self.code, left = what_is_left(self),
    out = (self.heard .. slurp(self.folder .. "/out")):gsub(script, "script.lua"),
    err = slurp(self.folder .. "/err"):gsub(script, "script.lua"),
  }
  starter.close(self.fifo)
  if self.terminal then starter.close(self.terminal) end
  for pid in pairs(self:processes()) do self:kill("KILL", pid) end
  os.execute("rm -rf " .. self.folder)
  return result
end

-- From start to end. act(program) is called when the program is ready, if there is something to do then.
function world.run(o, act)
  local program = world.start(o)
  if act then
    program:await_ready()
    act(program)
  end
  return program:finish()
end

return world
