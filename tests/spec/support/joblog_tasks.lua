-- SPDX-License-Identifier: MIT
-- Tasks for specs of job logs; functions of this file, as busted gives spec files an environment of their own.
local tasks = {}

-- Notes in a file that it has run.
function tasks.effect(path, n, fails)
  local file <close> = assert(io.open(path, "a"))
  file:write(n, "\n")
  if n == fails then error("refused", 0) end
  return n * 10
end

function tasks.kill_worker(signal)
  os.execute(("kill -%s $PPID"):format(signal))
end

-- Ends its worker the first time.
function tasks.exit_once(path)
  local mark = io.open(path, "r")
  if mark then return 7, mark:close(), os.remove(path) end
  io.open(path, "w"):close()
  os.exit(1)
end

function tasks.spin()
  while true do end
end

-- What a view that came along skips.
function tasks.map_inside(view, path)
  local list = {}
  for i in view:map(tasks.effect, { path, path, path }, { 1, 2, 3 }) do list[#list + 1] = i end
  return table.unpack(list)
end

return tasks
