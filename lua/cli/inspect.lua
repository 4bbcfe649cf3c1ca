-- SPDX-License-Identifier: MIT
-- `parhost ps [PID]` and `parhost dump PID`.
local host = require "parhost.core.host"
local inspect = require "parhost.core.inspect"
local json = require "http.json"
local ask = host.load_built_in("cli.ask")()
local proc = host.load_built_in("cli.proc")()
local tell = host.load_built_in("cli.tell")()

local HELP <const> = {
  ps = [[
usage: parhost ps [options] [pid]
Lists the programs of yours that run in parhost and have made a pool or a task. With the pid of one: its pools, workers and
tasks, with where each is and for how long.
Available options are:
]],
  dump = [[
usage: parhost dump [options] pid
Shows what a program of yours that runs in parhost does: pools, workers and tasks, with the stack of each.
Available options are:
]],
}
local OPTIONS <const> = [[
  --json    write JSON
  --timeout n
            wait for n seconds at the most (2)
  -h, --help
            show this text
]]

local function fail(name, format, ...)
  io.stdout:flush()
  io.stderr:write(("parhost: %s: %s\n"):format(name, format:format(...)))
  os.exit(1)
end

local function read_timeout(name, text)
  local n = tonumber(text or "")
  if not n or n ~= n or n <= 0 or n > 3600 then
    fail(name, "--timeout: number of seconds expected (up to 3600), got '%s'", tell.safe(text or ""))
  end
  return n
end

local function read_pid(name, text)
  local pid = text:find("^%d+$") and math.tointeger(tonumber(text))
  if not pid or pid < 1 or pid > 1 << 30 then fail(name, "pid expected, got '%s'", tell.safe(text)) end
  return pid
end

local function read_arguments(name, ...)
  local o, given, i = { timeout = 2 }, { ... }, 1
  while given[i] do
    local word = given[i]
    local attached = word:match("^%-%-timeout=(.*)$")
    if word == "-h" or word == "--help" then
      o.help = true
    elseif word == "--json" then
      o.json = true
    elseif attached or word == "--timeout" then
      if not attached then i = i + 1 end
      o.timeout = read_timeout(name, attached or given[i])
    elseif word:sub(1, 1) == "-" then
      fail(name, "unrecognized option '%s' (see parhost %s --help)", tell.safe(word), name)
    elseif o.pid then
      fail(name, "one pid expected, got '%d' and '%s'", o.pid, tell.safe(word))
    else
      o.pid = read_pid(name, word)
    end
    i = i + 1
  end
  return o
end

-- Why a process cannot be asked ------------------------------------------------------------------------------

-- The program that a worker or a fork server belongs to.
local function program_above(pid, sockets)
  local stat = proc.stat(pid)
  for _ = 1, 20 do
    local parent = stat and stat.parent
    if not parent or parent <= 1 then return nil end
    if sockets[parent] then return parent end
    stat = proc.stat(parent)
  end
end

local function explain_stranger(name, pid, sockets)
  local above = program_above(pid, sockets)
  local comm = tell.safe((proc.stat(pid) or { name = "?" }).name)
  if above then
    fail(name, "process %d (%s) belongs to the program %d: parhost %s %d", pid, comm, above, name, above)
  end
  fail(name, "process %d (%s) is no program of parhost, or has made neither a pool nor a task so far", pid, comm)
end

local function check_process(name, pid, sockets)
  local user = proc.user(pid)
  if not user then fail(name, "no such process: %d", pid) end
  if user ~= inspect.user_id() then
    fail(name, "process %d belongs to another user (%d): only that one may ask", pid, user)
  end
  if not sockets[pid] then explain_stranger(name, pid, sockets) end
end

local function add_system(program, pid)
  local stat = proc.stat(pid) or { age = 0, rss = 0 }
  program.pid, program.age, program.rss = pid, stat.age, stat.rss
  return program
end

local function state_words(state)
  return proc.STATES[state:upper()] or "is gone"
end

local function script_of(pid)
  local file <close> = io.open(("/proc/%d/cmdline"):format(pid), "rb")
  return file and (file:read("a") or ""):gsub("%z+$", ""):gsub("%z", " ") or "?"
end

local function add_processes(list, children, pid, depth)
  for _, child in ipairs(children[pid] or {}) do
    local stat = proc.stat(child)
    if stat and depth < 20 then
      stat.pid, stat.depth, stat.state = child, depth, state_words(stat.state)
      list[#list + 1] = stat
      add_processes(list, children, child, depth + 1)
    end
  end
end

-- What the system knows of it.
local function look_from_outside(pid)
  local program = add_system({ script = script_of(pid), threads = json.array(), processes = json.array() }, pid)
  for _, tid in ipairs(proc.threads(pid)) do
    local stat = proc.stat(pid, tid)
    if stat then
      stat.tid, stat.state, stat.rss = tid, state_words(stat.state), nil
      program.threads[#program.threads + 1] = stat
    end
  end
  add_processes(program.processes, proc.children(), pid, 1)
  return program
end

-- Descriptors are closed first.
local function has_exited(pid)
  for _ = 1, 20 do
    if not proc.user(pid) then return true end
    inspect.nap(0.05)
  end
  return false
end

local function give_up(name, pid, why, state, o)
  if why == "interrupted" then os.exit(130) end
  if why == "gone" and has_exited(pid) then fail(name, "process %d exited while it was asked", pid) end
  if not proc.user(pid) then fail(name, "process %d exited while it was asked", pid) end
  if why == "other" then fail(name, "the socket in the name of process %d is not its own", pid) end
  if why == "busy" then fail(name, "too many others ask process %d at the moment", pid) end
  if why ~= "silent" then fail(name, "process %d has ended its work, or gave no answer (%s)", pid, why) end
  local program = look_from_outside(pid)
  program.silent = ("its main thread %s"):format(state_words(state))
  io.stdout:write(o.json and json.encode(program) .. "\n" or tell.system(program))
  local hint = state:upper() == "S" and ": in a C call" or ""
  fail(name, "process %d did not answer within %g s (%s%s)", pid, o.timeout, program.silent, hint)
end

-- The commands -----------------------------------------------------------------------------------------------

local function strip_stacks(value)
  if type(value) ~= "table" then return end
  value.stack, value.below, value.main = nil, nil, nil
  for _, inner in pairs(value) do strip_stacks(inner) end
end

local function show_one(name, o)
  local sockets = proc.sockets()
  check_process(name, o.pid, sockets)
  local whole, shown = name == "dump", {}
  local why, state
  for _, socket in ipairs(sockets[o.pid]) do
    local answer
    answer, why, state = ask.tree(socket, o.pid, o.timeout)
    if answer then shown[#shown + 1] = add_system(answer, o.pid) end
  end
  if #shown == 0 then give_up(name, o.pid, why, state, o) end
  for _, program in ipairs(shown) do
    if not whole then strip_stacks(program) end
    io.stdout:write(o.json and json.encode(program) .. "\n" or tell.tree(program, whole))
  end
end

-- Those of other users are left out, and what only seems to be one.
local function list(o)
  local programs = json.array()
  local sockets = proc.sockets()
  local pids = {}
  for pid in pairs(sockets) do
    if proc.user(pid) == inspect.user_id() then pids[#pids + 1] = pid end
  end
  table.sort(pids)
  local deadline = host.monotonic() + o.timeout
  for _, pid in ipairs(pids) do
    for _, socket in ipairs(sockets[pid]) do
      local answer, why, state = ask.summary(socket, math.max(0.1, deadline - host.monotonic()))
      if why == "interrupted" then os.exit(130) end
      if why == "silent" or why == "busy" then
        answer = { script = script_of(pid), silent = why == "busy" and "many ask it" or
          "no answer: its main thread " .. state_words(state) }
      end
      if answer and proc.user(pid) then programs[#programs + 1] = add_system(answer, pid) end
    end
  end
  if o.json then
    io.stdout:write(json.encode(programs), "\n")
  elseif #programs > 0 then
    io.stdout:write(tell.list(programs))
  else
    io.stderr:write("parhost: ps: no program of yours runs in parhost (one is listed once it has made a pool or a task)\n")
  end
end

return function(name, ...)
  local o = read_arguments(name, ...)
  if o.help then
    io.stdout:write(HELP[name], OPTIONS)
  elseif o.pid then
    show_one(name, o)
  elseif name == "dump" then
    fail(name, "pid expected (parhost ps lists them)")
  else
    list(o)
  end
end
