-- SPDX-License-Identifier: MIT
-- alive(pid): whether there is such a process, and it is no zombie.
return function(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  if not file then return false end
  local text = file:read("a") -- nil: it has ended since
  file:close()
  return text ~= nil and text:match("^%d+ %(.*%) (%a)") ~= "Z"
end
