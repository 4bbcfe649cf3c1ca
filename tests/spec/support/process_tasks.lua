-- SPDX-License-Identifier: MIT
-- Tasks that start processes; their globals are the real ones.
local process = require "async.process"
local host = require "parhost.core.host"

local tasks = { pid = host.pid }

-- Writes its pid to `path`, and runs until it is told to end; deaf: until it is killed.
function tasks.run_until_told(path, deaf)
  return process.run_process {
    ("trap '%s' TERM; echo $$ >%s; while :; do sleep 0.01; done"):format(deaf and "" or "exit 0", path),
    shell = true, grace = deaf and 0.05 or nil,
  }
end

-- Writes the worker's pid to `path`.
function tasks.wait_long(path)
  return process.process({ "sh", "-c", "echo $PPID >" .. path .. "; exec sleep 100" }):wait()
end

function tasks.echo(text)
  return process.run_process({ "cat", input = text }).stdout
end

return tasks
