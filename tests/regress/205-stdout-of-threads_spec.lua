-- SPDX-License-Identifier: MIT
-- After each task a worker thread looked at the C library's stdout, while the prompt was putting its own stream there: it
-- might have flushed half a line of the editor's. Lines that threads print still come whole, above the line that is edited.
-- (The race itself is ThreadSanitizer's to report: this spec fails in that build without the remedy.)
package.path = "tests/spec/?.lua;" .. package.path
local terminal = require "tests.spec.support.terminal"

local SCRIPT <const> =
  [['pool = require "thread_pool".new(2) f = {} for i = 1, 40 do f[i] = pool:submit(print, "line", i) end']]

describe("threads that print while the prompt comes and goes", function()
  terminal.test("look at no stream of the prompt's", { arguments = "-e " .. SCRIPT .. " -i", height = 60 }, function(t)
    t:ask("#require 'futures'.wait(f)", "40")
    local screen = "\n" .. t:screen()
    for i = 1, 40 do
      assert.equal(1, select(2, screen:gsub(("\nline%%s+%d%%f[%%D]"):format(i), "%0")), "line " .. i)
    end
  end)
end)
