-- SPDX-License-Identifier: MIT
-- Subjects for block.wait that one waiter at a time waits for, until they are fired: from the state's loop, or by what
-- they wait for themselves. They stay ready until somebody sets `fired` to false.
local readiness = {}

-- A new class of them; its objects have `fired`, and what the class says for _describe.
function readiness.class()
  local class = { _lively = true }
  class.__index = class

  function class:_ready() return self.fired end
  function class:_watch(watcher) self.watcher = watcher end
  function class:_unwatch() self.watcher = nil end

  function class:_fire()
    self.fired = true
    local watcher = self.watcher
    self.watcher = nil
    if watcher then watcher:_settled(self) end
  end

  return class
end

return readiness
