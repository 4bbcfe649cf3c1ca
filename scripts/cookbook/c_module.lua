-- SPDX-License-Identifier: MIT
-- C in workers: a C function travels by its name, and a Lua function that uses a C module finds that module there.
--   parhost scripts/cookbook/c_module.lua [limit = 300000]     compiles c_module.c: needs cc and Lua's headers
local async = require "async"
local proc_pool = require "proc_pool"

local limit = assert(math.tointeger(tonumber(arg[1] or 300000)), "limit: a whole number expected")

-- Makes collatz.so in `folder`.
local function compile(folder)
  local source = (arg[0]:match "^(.*)/" or ".") .. "/c_module.c"
  local flags = async.run_process { "pkg-config", "--cflags", "lua5.4" }.stdout
  local command = { os.getenv "CC" or "cc", "-O2", "-shared", "-fPIC", "-o", folder .. "/collatz.so", source }
  for flag in flags:gmatch "%S+" do command[#command + 1] = flag end
  command.stderr, command.check = "inherit", true
  async.run_process(command)
end

-- Workers look for modules where the program does when the pool is made.
local folder <close> = setmetatable({ path = async.run_process { "mktemp", "-d", check = true }.stdout:match "%S+" }, {
  __close = function(self) async.run_process { "rm", "-r", self.path } end,
})
compile(folder.path)
package.cpath = folder.path .. "/?.so;" .. package.cpath
local collatz = require "collatz"

local function longest(first, last)
  local best, most = first, 0
  for n = first, last do
    local steps = collatz.steps(n) -- `collatz` is an upvalue and a module: the worker requires it
    if steps > most then best, most = n, steps end
  end
  return best, most
end

do
  local pool <close> = proc_pool.new()
  print("from 27 to 1: " .. pool:submit(collatz.steps, 27):result() .. " steps") -- no code goes there, but a name
  local firsts, lasts = {}, {}
  for k = 1, 20 do firsts[k], lasts[k] = limit * (k - 1) // 20 + 1, limit * k // 20 end
  local best, most = 1, 0
  for _, n, steps in pool:map(longest, firsts, lasts) do
    if steps > most then best, most = n, steps end
  end
  print(("up to %d, %d has the longest way: %d steps"):format(limit, best, most))
end
