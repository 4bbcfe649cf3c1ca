-- SPDX-License-Identifier: MIT
-- What the curves ask the system.
local system = {}

-- Bytes of this process that are in memory.
function system.resident()
  local file <close> = assert(io.open "/proc/self/statm")
  local _, pages = file:read("n", "n")
  return pages * require("parhost.core.inspect").page
end

-- Seconds of processor time that this process and the workers of its pool have had.
function system.processor_time(pool)
  local seconds = os.clock()
  for _, worker in ipairs(pool:workers()) do
    local file <close> = worker.pid and io.open(("/proc/%d/schedstat"):format(worker.pid))
    if file then seconds = seconds + file:read "n" / 1e9 end
  end
  return seconds
end

return system
