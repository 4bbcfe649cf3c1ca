-- SPDX-License-Identifier: MIT
-- What every executor must do, written once: describe(name, new, has) for one backend. `new` makes a pool; `has` says
-- what the backend is able to do: workers = true: tasks run beside the caller.
local busted = require "busted"

local contract = {}

function contract.describe(name, new, has)
  local parts = { "submit", "options", "map", "ending", "initializer" }
  if has.workers then table.move({ "workers", "values" }, 1, 2, #parts + 1, parts) end
  for _, part in ipairs(parts) do
    busted.describe(("%s: %s"):format(name, part), function() require("support.contract." .. part)(new) end)
  end
end

return contract
