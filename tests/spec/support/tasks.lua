-- SPDX-License-Identifier: MIT
-- Tasks whose globals are the real ones: busted gives the spec files an environment of their own.
local tasks = { big = {} }

function tasks.surroundings()
  local pipe = assert(io.popen("echo $(pwd) $(nice)"))
  local text = pipe:read("l")
  pipe:close()
  return text
end

-- What only this worker's state has.
function tasks.thread_id()
  tasks.token = tasks.token or math.random(1 << 60)
  return tasks.token
end

function tasks.first_and_length(list)
  return list[1], #list
end

return tasks
