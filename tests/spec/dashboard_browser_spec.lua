-- SPDX-License-Identifier: MIT
-- The live dashboard in a browser: tests/browser/dashboard_test.py.
package.path = "tests/spec/?.lua;" .. package.path
local browser = require "support.browser"
local run = require "support.run"

local trial = run.sh(run.parhost .. " --dashboard -e ''")
local why = trial.code ~= 0 and trial.err or nil

describe("the dashboard in a browser", function()
  browser.declare("dashboard_test.py", { pending = pending, setup = setup, it = it }, why)
end)
