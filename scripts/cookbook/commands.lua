-- SPDX-License-Identifier: MIT
-- Commands in parallel, as many at a time as there are processors; outputs come whole, in the order of the arguments.
--   parhost scripts/cookbook/commands.lua [command line for the shell...]
local async = require "async"
local parhost = require "parhost"

local commands = #arg > 0 and arg or { "sleep 0.3; echo the first ends last", "uname -s", "echo $((6 * 7))", "seq 3" }

local function run(command)
  return async.run_process { command, shell = true, stderr = "stdout", timeout = 600 }
end

local function run_all()
  local failed = 0
  for i, result in async.map(run, commands, { max_concurrency = parhost.cpu_count() }) do
    print(("$ %s"):format(commands[i]))
    io.write(result.stdout)
    if result.code ~= 0 then
      failed = failed + 1
      print(("(ended by %s)"):format(result.signal or "exit code " .. result.code))
    end
  end
  return failed
end

os.exit(async.run(run_all) == 0)
