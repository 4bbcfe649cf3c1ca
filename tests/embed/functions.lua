-- SPDX-License-Identifier: MIT
local proc_pool = require "proc_pool"
local thread_pool = require "thread_pool"
local tool = require "tool"

local function count(text) return tool.count_letter(text, "a") end

for _, kind in ipairs { proc_pool, thread_pool } do
  local pool <close> = kind.new(2)
  print(pool:submit(count, "banana"):result())                 -- in a function of Lua
  print(pool:submit(tool.count_letter, "banana", "n"):result()) -- as the task itself
  print(pool:submit("tool:count_letter", "banana", "b"):result())
end
