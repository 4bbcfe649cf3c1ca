-- SPDX-License-Identifier: MIT
local async = require "async"
local proc_pool = require "proc_pool"
local thread_pool = require "thread_pool"

local function square(n) return n * n end

local n = math.tointeger(tonumber((...)))
if not n then error("a number is needed, got " .. tostring((...)), 0) end

do
  local processes <close> = proc_pool.new(2)
  local threads <close> = thread_pool.new(2)
  print(processes:submit(square, n):result(), threads:submit(square, n + 1):result())
  print(async.run(function() return async.gather { processes:submit(square, 3), threads:submit(square, 4) }[2] end))
end
if n == 0 then os.exit(7) end
