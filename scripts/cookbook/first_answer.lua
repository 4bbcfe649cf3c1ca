-- SPDX-License-Identifier: MIT
-- The first answer wins: two ways to take a number apart run in processes; when one is done, the other is stopped.
--   parhost scripts/cookbook/first_answer.lua [odd number]     try 2147490089450941: there the other one wins
local async = require "async"

-- Fast when a factor is small.
local function by_division(n)
  for divisor = 3, math.tointeger(math.sqrt(n) // 1), 2 do
    if n % divisor == 0 then return "division", divisor, n // divisor end
  end
  return "division", 1, n
end

-- Fast when two factors are close to each other: n = a^2 - b^2 = (a - b) * (a + b).
local function by_squares(n)
  local a = math.tointeger(math.ceil(math.sqrt(n)))
  while true do
    local b = math.tointeger((math.sqrt(a * a - n) + 0.5) // 1)
    if a * a - b * b == n then return "squares", a - b, a + b end
    a = a + 1
  end
end

local n = math.tointeger(tonumber(arg[1] or 4611685975477714963))
assert(n and n % 2 == 1 and n >= 3 and n < 1 << 62, "an odd integer from 3 to 2^62 expected")

async.run(function()
  local _, how, p, q = async.any {
    function() return async.to_process(by_division, n) end,
    function() return async.to_process(by_squares, n) end,
  }
  print(("%d = %d * %d, found by %s"):format(n, p, q, how))
end)
