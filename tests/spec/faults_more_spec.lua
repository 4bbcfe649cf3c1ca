-- SPDX-License-Identifier: MIT
-- The other half of the fault points: see faults_spec.lua.
package.path = "tests/spec/?.lua;" .. package.path
local rows = require "support.fault_rows"

;(rows.has_faults and describe or pending)("fault point", function()
  for _, row in ipairs(rows.half(2)) do
    it(row.name, function() assert.same(row.run()) end)
  end
end)
