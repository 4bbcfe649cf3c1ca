-- SPDX-License-Identifier: MIT
-- `for v in queue:items() do`: takes items until there will be no more.
local check = require "parhost.check"
local errors = require "futures.error"

local Items = { __name = "parhost.items" }
Items.__index = Items

local items = {}

-- next_item(source) -> true, value | false at the end.
function items.of(source, next_item)
  local self = setmetatable({ source = source, next_item = next_item }, Items)
  return self, nil, nil, self
end

-- The next item, waiting for it; nil at the end.
function Items:next()
  check.self(self, Items, "next")
  local source = self.source
  if not source then return nil end
  local got, value = self.next_item(source)
  if not got then
    self.source = nil
    return nil
  end
  if value == nil then
    local message = "items: an item is nil, which would look like the end; take such items one by one"
    error(errors.new("invalid_state", message, { state = "nil" }), 0)
  end
  return value
end

-- Ends the iteration; what is in the queue stays there.
function Items:close()
  check.self(self, Items, "close")
  self.source = nil
end

Items.__call = Items.next
Items.__close = Items.close

return items
