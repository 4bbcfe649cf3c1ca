-- SPDX-License-Identifier: MIT
-- encode + decode: a record with a list in it, n times.
local parhost = require "parhost"
local record = { id = 0, name = "a name", x = 0.5, tags = { "one", "two", "three" }, on = true }
for i = 1, tonumber(arg[1]) do
  record.id = i
  assert(parhost.load_value(parhost.dump_value(record)).id == i)
end
