-- SPDX-License-Identifier: MIT
-- What processes must do wherever they are started: plain functions, run as they are, in workers and in tasks. Their
-- globals are the real ones. rows.names: in order.
local process = require "async.process"
local futures = require "futures"

local rows = { names = {} }
local start, run = process.process, process.run_process

local function row(name, fn)
  rows.names[#rows.names + 1] = name
  rows[name] = fn
end

-- For workers: by "support.process_rows:run".
function rows.run(name)
  rows[name]()
  return "done"
end

local function equal(expected, got)
  if expected ~= got then
    error(("expected %s, got %s"):format(tostring(expected), tostring(got)), 2)
  end
end

local function fails(kind, fn, ...)
  local ok, err = pcall(fn, ...)
  assert(not ok, "no error")
  if not futures.is(err, kind) then error(("expected kind %s, got %s"):format(kind, tostring(err)), 2) end
  return err
end

-- The error of a run that timed out when its output was already as expected: a slow machine gets more time.
local function timed_out(pattern, options)
  for _, seconds in ipairs { 0.1, 1, 10 } do
    options.timeout = seconds
    local err = fails("timeout", run, options)
    equal(seconds, err.seconds)
    if err.stdout:find(pattern) then return err end
  end
  error("nothing came: " .. pattern)
end

-- The members of a process group that live on; those that were killed may need a moment to go (the leader alone is ours).
local function members(group)
  return run { ([[i=0; while :; do
    left=$(ps -eo pgid=,stat=,args= | awk '$1 == %s && $2 !~ /^Z/')
    [ -n "$left" ] && [ $i -lt 250 ] || break
    i=$((i+1)); sleep 0.02
  done; printf %%s "$left"]]):format(group), shell = true }.stdout
end

row("IO-07 gives the exit code, of a shell and of a program", function()
  local p <close> = start { "exit 7", shell = true }
  local code, signal = p:wait()
  equal(7, code)
  equal(nil, signal)
  local q <close> = start { "sh", "-c", "exit 8", new_session = false }
  equal(8, (q:wait()))
  equal(8, (q:wait()))
end)

row("IO-07 leads a session of its own, unless told otherwise", function()
  local text = run { "ps -o sid=,pgid= -p $$; echo $$", shell = true }.stdout
  local sid, pgid, pid = text:match("(%d+)%s+(%d+)%s+(%d+)")
  equal(pid, sid)
  equal(pid, pgid)
  text = run { "ps -o pgid= -p $$; echo $$", shell = true, new_session = false }.stdout
  pgid, pid = text:match("(%d+)%s+(%d+)")
  assert(pgid ~= pid)
end)

row("IO-09 raises EPIPE when a dead child is written to", function()
  local p <close> = start { "true", stdin = "pipe" }
  p:wait()
  local err = fails("os", p.write, p, ("x"):rep(100000))
  equal("EPIPE", err.code)
  assert(err.message:find("stdin of 'true'", 1, true))
end)

row("IO-09 does not mind in communicate", function()
  local p <close> = start { "true", stdin = "pipe", stdout = "pipe" }
  local out, errors = p:communicate(("x"):rep(2000000))
  equal("", out)
  equal(nil, errors)
  equal(0, (p:wait()))
  local result = run { "head", "-c", "3", input = ("x"):rep(2000000) }
  equal("xxx", result.stdout)
end)

row("IO-13 reads what was written before the child ended", function()
  local p <close> = start { "echo one; echo two", shell = true, stdout = "pipe" }
  equal(0, (p:wait()))
  equal("one\n", p:read("L"))
  equal("two\n", p:read("a"))
  equal("", p:read("a"))
  equal(nil, p:read())
end)

row("IO-13 takes null for any of the three", function()
  local p <close> = start { "cat", stdin = "null", stdout = "null", stderr = "null" }
  equal(0, (p:wait()))
  equal(nil, p.stdin)
  equal(nil, p.stdout)
  local result = run { "echo out; echo err >&2", shell = true, stdout = "null" }
  equal(nil, result.stdout)
  equal("err\n", result.stderr)
end)

row("IO-13 gives an end of file for empty input", function()
  local p <close> = start { "cat", stdin = "pipe", stdout = "pipe" }
  equal("", (p:communicate("")))
  equal("", run { "cat", input = "" }.stdout)
  equal("", run { "cat" }.stdout)
end)

row("talks both ways, line by line", function()
  local p <close> = start { "cat", stdin = "pipe", stdout = "pipe" }
  for i = 1, 20 do
    p:write("line ", i, "\n")
    equal("line " .. i, p:read("l"))
  end
  p.stdin:close()
  equal(nil, p:read("l"))
  equal(0, (p:wait()))
end)

row("moves any sizes in both directions at once", function()
  local input = ("0123456789abcdef"):rep(300000)
  local result = run { "tee /dev/stderr", shell = true, input = input }
  assert(result.stdout == input and result.stderr == input)
  equal(0, result.code)
end)

row("names the signal that ended it", function()
  local result = run { "kill -9 $$", shell = true }
  equal(nil, result.code)
  equal("SIGKILL", result.signal)
  local p <close> = start { "cat", stdin = "pipe" }
  equal(true, p:running())
  equal(true, p:terminate())
  local code, signal = p:wait()
  equal(nil, code)
  equal("SIGTERM", signal)
  equal(false, p:running())
  equal(false, p:kill())
end)

row("says which command could not be started, and why", function()
  local err = fails("os", start, { "no-such-program" })
  equal("ENOENT", err.code)
  assert(err.message:find("'no-such-program'", 1, true))
  err = fails("os", run, { "/etc/passwd" })
  equal("EACCES", err.code)
  err = fails("os", run, { "true", cwd = "/no/such/place" })
  equal("ENOENT", err.code)
  assert(err.message:find("'true' in directory '/no/such/place'", 1, true))
  err = fails("os", run, { "cat", stdin = "/no/such/file" })
  assert(err.message:find("/no/such/file", 1, true))
end)

row("raises kind process when asked to check", function()
  equal("out\n", run { "echo out", shell = true, check = true }.stdout)
  local err = fails("process", run, { "echo out; echo first >&2; echo last >&2; exit 3", shell = true, check = true })
  equal(3, err.code)
  equal("out\n", err.stdout)
  equal("first\nlast\n", err.stderr)
  assert(err.message:find("exited with code 3: last", 1, true))
  assert(err.command:find("^echo out"))
  err = fails("process", run, { "kill $$", shell = true, check = true })
  equal("SIGTERM", err.signal)
end)

row("terminates with its group what takes too long, and keeps what it said", function()
  local err = timed_out("^pid %d+\n", {
    "trap 'echo bye; exit' TERM; echo pid $$; sleep 1000 & wait", shell = true,
  })
  local group = err.stdout:match("^pid (%d+)\nbye\n$")
  assert(group, err.stdout)
  equal("", members(group))
end)

row("kills what does not listen, after the grace", function()
  local err = timed_out("^%d+\n", { "trap '' TERM; echo $$; while :; do sleep 1000; done", shell = true, grace = 0.05 })
  equal("", members(err.stdout:match("%d+")))
end)

row("kills what holds the output open when its parent has long gone", function()
  local err = timed_out("^%d+\n", { "sleep 1000 & echo $$", shell = true })
  equal("", members(err.stdout:match("%d+")))
end)

row("does not wait for what has left its group", function()
  local err = timed_out("^%d+\n", { "setsid sleep 30 & echo $!", shell = true, grace = 0.05 })
  equal(0, run { "kill", "-9", err.stdout:match("%d+") }.code)
end)

row("waits only so long, and leaves the child alone", function()
  local p <close> = start { "cat", stdin = "pipe", stdout = "pipe" }
  local err = fails("timeout", p.wait, p, 0.01)
  equal(0.01, err.seconds)
  fails("timeout", p.wait, p, 0)
  fails("timeout", p.communicate, p, "abc", 0)
  equal("abc", (p:communicate()))
  equal(0, (p:wait(60)))
end)

return rows
