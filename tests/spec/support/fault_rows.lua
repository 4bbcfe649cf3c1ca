-- SPDX-License-Identifier: MIT
-- Every fault point (src/base/fault.h), and what the program sees when it trips. The scripts (fault_scripts.lua) try
-- everything twice: nothing hangs, nothing is lost in silence, and the next try, or the next pool, works.
local run = require "support.run"
local scripts = require "support.fault_scripts"

local rows = {}

local NO_WORKER <const> = "false parhost.broken_pool: p is broken: a worker could not be started: %s\n"
local CAT <const> = "false parhost.os: cannot start '/bin/cat': "
local REFUSED <const> = "false parhost.http: GET http://127.0.0.1:1/: failed to connect to 127.0.0.1 port 1 after N ms: "
  .. "Couldn't connect to server\n"
local NO_DISPATCHER <const> = "Lua warning: parhost: the dispatcher of p could not be started (Resource temporarily "
  .. "unavailable): tasks are handed to workers only while the program submits or waits\n"
local GOOD <const> = "1\n1\n1\n1\n"
local SECOND <const> = "1\n2\n3\n4\n5\n6\nopen\n"

-- The first pool has no worker; the second one works.
local function no_worker(why)
  return NO_WORKER:format(why):rep(2) .. "1\n1\n"
end

-- The first pool cannot be made; the second one works.
local function no_pool(why)
  return why .. "\n1\n1\n"
end

local NO_LOG <const> = "false parhost.os: cannot %s\n1\n1 0/0 1\n" -- the second try is in the log
local TOO_MANY <const> = "Too many open files"
local NO_MEMORY <const> = "Cannot allocate memory"
local AGAIN <const> = "Resource temporarily unavailable"
local NO_LOOP <const> = "false parhost.os: cannot open an event loop: %s\n"

-- Sanitizers watch each block, and there is no slab; how a row ends then.
local maps = io.open("/proc/self/maps"):read("a")
local has_slab = not (maps:find("libasan", 1, true) or maps:find("libtsan", 1, true))
local function slab(point, script, ...)
  if has_slab then return { point, script, ... } end
  return { point, script, GOOD .. "untripped slab\n" }
end

-- what is armed, script, standard output [, standard error [, exit code]]. What begins with "arm " is armed by the script.
local NO_TRACE <const> = "Lua warning: parhost: the trace /dev/null is not complete: No space left on device\n"
local ROWS <const> = {
  { "alloc", "processes", "", "parhost: cannot create state: not enough memory\n", 1 },
  { "zygote.alloc:3", "processes", GOOD }, -- the state for workers: they make their own
  { "zygote.alloc:4", "processes", no_worker(NO_MEMORY) },
  { "worker.alloc", "processes", no_worker(NO_MEMORY) },
  { "worker.alloc:2", "texts", "false not enough memory\nA\nA\nA\n" },
  { "curl:1", "get", "false parhost.os: not enough memory to read a URL\n" .. REFUSED },
  { "curl:2", "get", "false parhost.os: not enough memory for an HTTP session\n" .. REFUSED },
  { "curl:3", "get", "false parhost.http: GET http://127.0.0.1:1/: not enough memory for a request\n" .. REFUSED },
  { "dlopen:1+", "get", ("false parhost.http: HTTP needs libcurl, which cannot be loaded (Debian's package is "
    .. "libcurl4): not found\n"):rep(2) },
  { "dlopen", "get", REFUSED:rep(2) },
  { "worker.dup", "processes", GOOD },
  { "dup", "cat", CAT .. TOO_MANY .. "\ntrue 0\n" },
  { "epoll_create", "processes", no_pool("parhost.os: cannot open a pool: " .. TOO_MANY) },
  { "epoll_create", "get", "false parhost.os: cannot watch HTTP connections: " .. TOO_MANY .. "\n" .. REFUSED },
  { "epoll_ctl", "processes", no_pool "parhost.os: cannot watch a descriptor: No space left on device" },
  { "epoll_ctl:3", "processes", no_worker "cannot watch a descriptor: No space left on device" },
  { "epoll_wait:1*9", "busy_processes", ("open 1\n"):rep(2) },
  { "epoll_wait:1+=ENOSYS", "busy_processes", ("open 1\n"):rep(2) },
  { "eventfd", "processes", no_pool("parhost.os: cannot open a pool: " .. TOO_MANY) },
  { "eventfd:2", "threads", no_pool("parhost.os: cannot make the bell of a pool: " .. TOO_MANY) },
  { "eventfd", "wait", NO_LOOP:format(TOO_MANY) .. "slept\n" },
  { "thread.eventfd:1", "guest", "false parhost.os: cannot share futures: " .. TOO_MANY .. "\n7 5\n" },
  { "exec:1+", "cat", (CAT .. "Permission denied\n"):rep(2) },
  { "fork", "processes", GOOD }, -- what loads the module is not told; the pool tries again
  { "fork:1*2", "processes", no_pool("parhost.os: cannot fork the fork server: " .. AGAIN) },
  { "zygote.fork", "processes", no_worker(AGAIN) },
  { "arm zygote.fork", "second_process", SECOND },
  { "ftruncate", "processes", no_worker "cannot make a link: No space left on device" },
  { "ftruncate:1=EFBIG", "processes", no_worker "cannot make a link: File too large" },
  { "futex:1*50", "busy_threads", ("open 1\n"):rep(2) },
  { "getrandom:1+", "processes", GOOD },
  { "host.joblog_open", "joblog", NO_LOG:format "open the job log 'log': Permission denied" },
  { "worker.joblog_open", "joblog", NO_LOG:format "open the job log 'log': Permission denied" },
  { "host.joblog_write", "joblog", NO_LOG:format "write to a job log: No space left on device" },
  { "worker.joblog_write", "joblog", NO_LOG:format "write to the job log 'log': No space left on device" },
  { "lua_alloc:500*2", "processes", "", "parhost: not enough memory\n", 1 },
  { "worker.lua_alloc:1+", "processes", NO_WORKER:format(NO_MEMORY):rep(4) },
  { "thread.lua_alloc:1+", "threads", NO_WORKER:format(NO_MEMORY):rep(4) },
  { "lua_state", "processes", "", "parhost: cannot create state: not enough memory\n", 1 },
  { "zygote.lua_state", "processes", GOOD },
  { "lua_state:2*2", "processes", no_worker(NO_MEMORY) },
  { "thread.lua_state", "threads", no_worker(NO_MEMORY) },
  { "arm thread.lua_state", "second_thread", SECOND },
  { "host.lua_state:2", "inline", "false parhost.os: not enough memory for a Lua state\n"
    .. "false parhost.timeout: the task ran for more than 0.01 s\n1\n1\n" },
  { "memfd", "processes", no_worker("cannot make the memory of a link: " .. TOO_MANY) },
  { "arm memfd", "second_process", SECOND },
  { "mmap", "threads", GOOD }, -- the lock of standard output, which goes without
  { "mmap:2", "processes", no_worker("cannot map the memory of a link: " .. NO_MEMORY) },
  { "mmap:2", "threads", no_worker("cannot map the memory of a link: " .. NO_MEMORY) },
  { "worker.mmap", "processes", no_worker(NO_MEMORY) },
  { "arm worker.mmap", "second_process", SECOND },
  { "mremap:1+", "much_threads", "true\n26250\n" },
  { "mremap,memfd", "threads", no_worker("cannot map the memory of a link: " .. TOO_MANY) },
  { "worker.open", "processes", GOOD },
  { "open", "inherit", CAT .. "/dev/null: " .. TOO_MANY .. "\n0\n" },
  { "pidfd_open", "cat", "false parhost.os: cannot watch '/bin/cat': " .. TOO_MANY .. "\ntrue 0\n" },
  { "pipe", "cat", CAT .. "pipe: " .. TOO_MANY .. "\ntrue 0\n" },
  { "pipe:4", "cat", CAT .. TOO_MANY .. "\ntrue 0\n" },
  { "worker.poll:1*20", "busy_processes", ("open 1\n"):rep(2) },
  { "pthread_create", "processes", GOOD, NO_DISPATCHER },
  { "pthread_create", "threads", no_worker("cannot start a thread: " .. AGAIN) },
  { "pthread_create:2", "threads", GOOD, NO_DISPATCHER },
  { "arm pthread_create", "second_thread", SECOND },
  { "host.read", "cat", "false parhost.os: stdout of '/bin/cat': Input/output error\ntrue 0\n" },
  { "read_short:1+", "cat", "true 0\ntrue 0\n" },
  { "recv:1*20", "processes", GOOD },
  { "recvmsg:1*20", "processes", GOOD },
  { "ring_short:1+", "processes", GOOD },
  { "ring_short:1*5000", "much_processes", "true\n26250\n" },
  { "ring_short:1*5000", "much_threads", "true\n26250\n" },
  { "search:1*20", "threads", GOOD },
  { "search_pool:1*20", "full_queue", GOOD },
  { "search_records:1*20", "threads", GOOD },
  { "send:1*3", "processes", GOOD },
  { "arm sendmsg:1*2", "stop", "true\ntrue cancelled\n2\n" },
  { "sendmsg", "processes", no_pool "parhost.os: cannot reach the fork server: No buffer space available" },
  { "sendmsg:2", "processes", no_worker "cannot reach the fork server: No buffer space available" },
  { "sendmsg:2=EPIPE", "processes", no_worker "the fork server died: no worker can be started" },
  { "signalfd", "processes", "the fork server died\n" }, -- for good; who notices first is open
  slab("slab", "processes", "", "parhost: cannot create state: not enough memory\n", 1),
  slab("zygote.slab:1+", "processes", GOOD), -- the state for workers: they make their own
  slab("thread.slab:1+", "threads", NO_WORKER:format(NO_MEMORY):rep(4)),
  { "socket", "get", "false parhost.http: GET http://127.0.0.1:1/: cannot open a socket: Too many open files\n" .. REFUSED },
  { "socketpair", "processes", GOOD }, -- as with fork
  { "socketpair:2", "processes", no_pool("parhost.os: cannot make a socket for a pool: " .. TOO_MANY) },
  { "socketpair:3", "processes", no_worker("cannot make a link: " .. TOO_MANY) },
  { "zygote.socketpair", "processes", no_worker(TOO_MANY) },
  { "timer_create", "inline", "false parhost.os: cannot limit the time of a task: " .. AGAIN .. "\n"
    .. "false parhost.timeout: the task ran for more than 0.01 s\n1\n1\n" },
  { "timerfd", "wait", NO_LOOP:format(TOO_MANY) .. "slept\n" },
  { "trace:3", "processes", GOOD, NO_TRACE },
  { "worker.trace:2", "processes", GOOD, NO_TRACE },
  { "uv_loop", "wait", NO_LOOP:format "too many open files" .. "slept\n" },
  { "inspect", "processes", GOOD }, -- nobody can ask what it does
  { "uv_poll", "wait", "false parhost.os: cannot watch a descriptor: not enough memory\nslept\n" },
  { "uv_poll:3", "processes", "1\n1\n1\n1\n" }, -- nobody can ask what it does
  { "uv_poll:4", "wait_for_process", "false parhost.os: cannot watch a descriptor: not enough memory\nopen\n" },
  { "uv_poll:3", "cat", "true 0\ntrue 0\n" },
  { "uv_poll:4", "cat", "false parhost.os: cannot watch a descriptor: not enough memory\ntrue 0\n" },
  { "vfork", "cat", CAT .. AGAIN .. "\ntrue 0\n" },
  { "host.write", "cat", "false parhost.os: stdin of '/bin/cat': Input/output error\ntrue 0\n" },
  { "worker.write", "write", "\nline\t2\n\n" }, -- as in stock lua, print does not say so
  { "worker.write_short:1+", "write", "line\t1\n\nline\t2\n\n" },
  { "write_short:1+", "cat", "true 0\ntrue 0\n" },
}

-- What differs from run to run.
local function plain(text, point)
  text = text:gsub("after %d+ ms", "after N ms"):gsub("\t", " ")
  if point ~= "signalfd" then return text end
  local lines = {}
  for line in text:gmatch "[^\n]+" do
    lines[line:find "the fork server.* died" and "the fork server died" or line] = true
  end
  local only = next(lines)
  return next(lines, only) and text or only .. "\n"
end

local function try(row)
  local armed = row[1]:match "^arm (.*)"
  local script = scripts.prelude .. scripts[row[2]] .. scripts.epilogue
  local traced = row[1]:find "trace:" and " PARHOST_TRACE=/dev/null" or ""
  local result = run.script(script, armed and run.quote(armed), armed and "" or "PARHOST_FAULT=" .. row[1] .. traced)
  return { plain(result.out, row[1]), result.err, result.code }
end

rows.has_faults = pcall(require, "parhost.core.fault")
rows.all = ROWS

-- The rows of one half, 1 or 2, as they take their time: { name =, run = function that gives what is wanted and what is }.
function rows.half(which)
  local list = {}
  for i = which, #ROWS, 2 do
    local row = ROWS[i]
    list[#list + 1] = {
      name = ("%s: %s"):format(row[1], row[2]),
      run = function() return { plain(row[3]), row[4] or "", row[5] or 0 }, try(row) end,
    }
  end
  return list
end

return rows
