-- SPDX-License-Identifier: MIT
-- Tasks that do their worst, and what specs want to know of the processes afterwards. The C ones are in
-- tests/support/crash.c.
local gate = require "support.gate"
local run = require "support.run"

local has_host, host = pcall(require, "parhost.core.host")
local program = has_host and host.program_path() or run.path -- run.path may be a symbolic link
package.cpath = program:gsub("[^/]*$", "") .. "tests/support/?.so;" .. package.cpath

local hostile = {}

-- For programs of their own: makes the C module known.
hostile.prelude = ("package.cpath = %q .. package.cpath\n"):format(package.cpath:match("^[^;]*;"))

-- Tasks -----------------------------------------------------------------------------------------------------

function hostile.same(...) return ... end

function hostile.pid() return require("parhost").worker().pid end

function hostile.segfault() require("crash").segfault() end

function hostile.abort() require("crash").abort() end

-- The outcome of a future, in many short waits: what was forged rings no bell, but a wait begins with a look.
function hostile.outcome(future)
  local limit = os.time() + 20
  repeat until future:wait(0.01) or os.time() > limit
  return future:outcome(0)
end

-- Writes a frame to the host, of which `bytes` are there; then stays, or dies.
function hostile.forge_and_stay(type, len, bytes)
  require("crash").forge(type, len, bytes)
  while true do end
end

function hostile.forge_and_die(type, len, bytes)
  local crash = require "crash"
  crash.forge(type, len, bytes)
  crash.kill(hostile.pid(), 9)
end

function hostile.overflow_c_stack() return require("crash").overflow_stack() end

function hostile.overflow_lua_stack()
  local function deeper() return 1 + deeper() end
  return deeper()
end

-- The message handler overflows, too.
function hostile.overflow_handler_stack()
  local function deeper() return 1 + deeper() end
  local ok, err = xpcall(deeper, function(err) return deeper() .. err end)
  error(ok and "no overflow" or tostring(err) .. " overflow", 0)
end

-- Calls from C to Lua to C.
function hostile.nest_calls()
  local function nest(n) return (("x"):gsub("x", function() return nest(n + 1) end)) end
  return nest(1)
end

-- The first time, its worker exits.
function hostile.exit_once(mark)
  if io.open(mark) then return "second" end
  io.open(mark, "w"):close()
  os.exit(1)
end

-- Leaves something that crashes when it is collected: soon, as idle workers collect. Gives the pid.
function hostile.leave_bomb()
  local pid, crash = hostile.pid(), require "crash"
  collectgarbage("stop") -- in the task itself
  setmetatable({}, { __gc = function() crash.segfault() end })
  return pid
end

-- Says that it has begun, runs until it is told to end.
function hostile.run_until(begun, told)
  io.open(begun, "w"):close()
  while true do
    local file = io.open(told)
    if file then
      file:close()
      return "ended"
    end
  end
end

-- Leaves its beginning and its end in a file.
function hostile.sleep_with_notes(path, n)
  local function note(what)
    local file <close> = assert(io.open(path, "a"))
    file:write(what, n, " ")
  end
  note "begins"
  require("async").sleep(0.005)
  note "ends"
end

-- The encoding of its error never ends.
function hostile.fail_for_ever()
  local Slow = {}
  function Slow.__dump() while true do end end
  require("parhost").register("slow", Slow)
  error(setmetatable({}, Slow))
end

-- Waits at a gate, and stays; all of it in C code.
function hostile.stay(path)
  require("crash").block(60, path)
end

function hostile.spin(path)
  if path then gate.pass(path) end
  while true do end
end

-- Only the first worker that comes here goes on.
-- True for one caller only, whoever comes first.
local function is_first(mark)
  return os.execute("mkdir " .. mark .. " 2>/dev/null") == true
end

function hostile.spin_unless_first(mark)
  if not is_first(mark) then hostile.spin() end
end

-- One worker fails once the other spins.
function hostile.fail_or_spin(mark)
  if not is_first(mark) then error("no", 0) end
  hostile.spin()
end

function hostile.spin_protected(path)
  gate.pass(path)
  while true do pcall(function() while true do end end) end
end

function hostile.spin_in_coroutines(path)
  gate.pass(path)
  while true do
    local co = coroutine.wrap(function() while true do pcall(error) end end)
    pcall(co)
  end
end

function hostile.ignore_sigterm(path)
  require("crash").block_signal(15)
  hostile.stay(path)
end

function hostile.block_if_negative(n)
  if n < 0 then require("crash").block(60) end
  return n
end

-- Spins; when it is stopped, writes to `mark` that its variable was closed.
function hostile.spin_with_cleanup(path, mark)
  local _ <close> = setmetatable({}, { __close = function()
    local file <close> = assert(io.open(mark, "w"))
    file:write("closed")
  end })
  gate.pass(path)
  while true do end
end

function hostile.close_descriptors()
  require("crash").close_from(0, 100)
  return "closed"
end

-- Leaves a process behind; gives its pid.
function hostile.start_sleeper()
  local pipe = assert(io.popen("sleep 100 >/dev/null & echo $!"))
  return pipe:read("n")
end

function hostile.start_sleeper_and_stay(pidfile, path)
  local pid = hostile.start_sleeper()
  local file = assert(io.open(pidfile, "w"))
  file:write(pid)
  file:close()
  hostile.stay(path)
end

function hostile.fork_and_return()
  return require("crash").fork() == 0 and "child" or "parent"
end

function hostile.flood(letter, lines, length)
  local line = letter:rep(length) .. "\n"
  for _ = 1, lines do io.write(line) end
end

function hostile.build_string(n) return #string.rep("x", n) end

function hostile.build_table(n)
  local list = {}
  for i = 1, n do list[i] = i end
  return #list
end

function hostile.catch_memory_error(n)
  local ok, err = pcall(string.rep, "x", n)
  return ok, err
end

function hostile.long_string(n) return string.rep("x", n) end

function hostile.limit_memory(more)
  require("crash").limit("as", hostile.address_space() + more)
  return true
end

function hostile.length(s) return #s end

function hostile.append(path, text)
  local file <close> = assert(io.open(path, "a"))
  file:write(text)
end

function hostile.open_without_descriptors()
  local crash = require "crash"
  local before = crash.limit("nofile", 3)
  local _, err = io.open("/dev/null")
  crash.limit("nofile", before)
  return err
end

function hostile.random() return math.random(1 << 53) end

function hostile.random_at(path)
  gate.pass(path)
  return hostile.random()
end

function hostile.raise() error("raised", 0) end

function hostile.catch_error() return not pcall(error, "caught") end

-- Where the worker keeps the traceback of a failure until it is sent: there is such a table once one was built.
function hostile.count_kept_tracebacks()
  local n = 0
  for key, value in pairs(debug.getregistry()) do
    if type(key) == "userdata" and type(value) == "table" and next(value) == nil then n = n + 1 end
  end
  return n
end

-- Looking ---------------------------------------------------------------------------------------------------

-- The pids of a pool's workers, once all of them have begun.
function hostile.worker_pids(pool)
  local pids
  repeat
    pids = {}
    local workers = pool:workers()
    for i, w in ipairs(workers) do pids[i] = w.pid end
  until #pids == #workers
  return pids
end

function hostile.exists(pid)
  return os.execute(("kill -0 %d 2>/dev/null"):format(pid)) == true
end

-- Waits until none of the processes is there any more; false when that takes unreasonably long. A zombie counts as
-- gone.
function hostile.gone(pids)
  local list = table.concat(pids, " ")
  return os.execute(([[i=0; while [ $i -lt 500 ]; do alive=
    for p in %s; do case $(ps -o stat= -p $p) in ''|Z*) ;; *) alive=1 ;; esac; done
    [ -z "$alive" ] && exit 0; i=$((i+1)); sleep 0.02; done; exit 1]]):format(list)) == true
end

function hostile.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

-- The resident memory of a process, in bytes.
function hostile.resident(pid)
  return tonumber(hostile.read(("/proc/%s/status"):format(pid or "self")):match("VmRSS:%s*(%d+)")) * 1024
end

-- The size of this process's address space, in bytes.
function hostile.address_space()
  return tonumber(hostile.read("/proc/self/status"):match("VmSize:%s*(%d+)")) * 1024
end

-- Children and descriptors of this process.
function hostile.possessions()
  local path = os.tmpname()
  os.execute("{ ls /proc/$PPID/fd | wc -l; ps -o pid= --ppid $PPID | wc -l; } >" .. path)
  local text = hostile.read(path)
  os.remove(path)
  local descriptors, children = text:match("(%d+)%s+(%d+)")
  return tonumber(descriptors), tonumber(children)
end

function hostile.highest_descriptor()
  local path = os.tmpname()
  os.execute("ls /proc/$PPID/fd | sort -n | tail -1 >" .. path)
  local n = tonumber(hostile.read(path))
  os.remove(path)
  return n
end

return hostile
