-- SPDX-License-Identifier: MIT
-- The report in a browser: tests/browser/report_test.py, in one run, as starting Chromium takes longer than the tests.
package.path = "tests/spec/?.lua;" .. package.path
local browser = require "support.browser"

describe("the report in a browser", function()
  browser.declare("report_test.py", { pending = pending, setup = setup, it = it })
end)
