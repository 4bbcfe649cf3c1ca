-- SPDX-License-Identifier: MIT
-- A module that a __dump was the first to load travelled as a copy of its table, not by name, when the message had a table
-- before that object.
local parhost = require "parhost"

it("a module that a __dump has loaded travels by name", function()
  local Late, name, module = {}, "regress.module_in_dump", { "module" }
  Late.__dump = function()
    package.loaded[name] = module
    return { module }
  end
  Late.__load = function(data) return setmetatable({ module = data[1] }, Late) end
  parhost.register("regress.late", Late)
  local c = parhost.load_value(parhost.dump_value { {}, setmetatable({}, Late), module })
  package.loaded[name] = nil
  assert.is_true(c[2].module == module and c[3] == module)
end)
