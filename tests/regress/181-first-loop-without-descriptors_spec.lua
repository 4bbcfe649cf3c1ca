-- SPDX-License-Identifier: MIT
-- The first event loop of a program was an abort (libuv's) when there were too few descriptors for it, and each
-- that failed later kept one open.
package.path = "tests/spec/?.lua;" .. package.path
local hostile = require "support.hostile"
local run = require "support.run"

local SCRIPT <const> = [[
  local async, crash = require "async", require "crash"
  local before, files = crash.limit("nofile", 30), {}
  repeat local file = io.open "/dev/null" files[#files + 1] = file until not file
  for i = 0, 14 do
    if i > 0 then table.remove(files):close() end
    local ok, err = pcall(async.sleep, 0.001)
    io.write(ok and "slept" or err.code, " ")
  end
  crash.limit("nofile", before)]]

it("the first event loop of a program needs some descriptors, and says so", function()
  local result = run.script(hostile.prelude .. SCRIPT)
  assert.same({ "", 0 }, { result.err, result.code })
  local refused, slept = result.out:match "^([EMFIL ]*)([slept ]*)$"
  assert.is_true(#refused >= 4 * #"EMFILE " and #slept > 0, result.out)
end)
