-- SPDX-License-Identifier: MIT
-- What the prompt prints of the values of an expression: the values, as stock lua does, but futures with their state.
--   future: running (fib, submitted stdin:1)     future: done (proc_pool-1#1), returned number
local function describe(subject, module)
  local task, site, outcome = module.about(subject)
  local name = task and task:match("^(.-) %b()$") or task
  if not name or name == "?" or name:find("^function") then name = subject:name() or name end
  local words = { name }
  if site then words[#words + 1] = "submitted " .. (site:match("^(.-:%d+):") or site) end
  local where = words[1] and (" (%s)"):format(table.concat(words, ", ")) or ""
  return ("future: %s%s%s"):format(subject:state(), where, outcome ~= "" and "," .. outcome or "")
end

return function(...)
  local module = package.loaded["futures.future"]
  if not module then return ... end
  local values = table.pack(...)
  for i = 1, values.n do
    if module.is_future(values[i]) then values[i] = describe(values[i], module) end
  end
  return table.unpack(values, 1, values.n)
end
