-- SPDX-License-Identifier: MIT
-- alive(pid): whether there is such a process, and it is no zombie.
return function(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  if not file then return false end
  local state = file:read("a"):match("^%d+ %(.*%) (%a)")
  file:close()
  return state ~= "Z"
end
