-- SPDX-License-Identifier: MIT
-- For start_method = "fork": which tables both sides hold already. The workers are copies of this process, so a table
-- that a task's function refers to need not travel; it is named by a number that means the same on both sides.
--
-- Looked at are the locals of the functions that run, the upvalues of all functions found on the way, and the globals;
-- not what lies inside tables, so that this takes no time however big they are.
local snapshot = {}

local function visit(seen, value)
  local kind = type(value)
  if seen.numbers[value] or (kind ~= "table" and kind ~= "function" and kind ~= "userdata") then return end
  if kind == "function" then
    if seen.functions[value] then return end
    seen.functions[value] = true
    seen.queue[#seen.queue + 1] = value
    return
  end
  local n = #seen.values + 1
  seen.values[n], seen.numbers[value] = value, n
end

local function visit_frames(seen)
  local level = 2
  while true do
    local info = debug.getinfo(level, "f")
    if not info then return end
    visit(seen, info.func)
    local i = 1
    while true do
      local name, value = debug.getlocal(level, i)
      if not name then break end
      visit(seen, value)
      i = i + 1
    end
    level = level + 1
  end
end

local function visit_upvalues(seen)
  local at = 1
  while seen.queue[at] do
    local i = 1
    while true do
      local name, value = debug.getupvalue(seen.queue[at], i)
      if not name then break end
      visit(seen, value)
      i = i + 1
    end
    at = at + 1
  end
end

-- Gives { numbers = value -> number, values = number -> value }.
function snapshot.take()
  local seen = { numbers = {}, values = {}, functions = {}, queue = {} }
  visit_frames(seen)
  for _, value in next, _G do visit(seen, value) end
  visit_upvalues(seen)
  seen.numbers[_G] = nil -- goes by itself
  return { numbers = seen.numbers, values = seen.values }
end

return snapshot
