-- SPDX-License-Identifier: MIT
-- A copy of the program that had forked closed the trace at its end, and told the numbers of --stats: nothing was written of
-- what the program itself did from then on.
package.path = "tests/spec/?.lua;" .. package.path
local hostile = require "support.hostile"
local run = require "support.run"

local PROGRAM <const> = hostile.prelude .. [[
local crash = require "crash"
local pid = crash.fork()
if pid == 0 then return end
crash.wait(pid)
local pool <close> = require "proc_pool".new(1)
pool:submit(math.abs, -3):result()
]]

local function count(text, pattern)
  return select(2, text:gsub(pattern, ""))
end

describe("a copy of the program that has forked", function()
  it("ends neither trace nor numbers", function()
    local path, script = os.tmpname(), run.write(PROGRAM)
    local result = run.sh(("exec timeout 60 %s --stats --trace %s %s"):format(run.parhost, path, script))
    local file <close> = assert(io.open(path))
    local text = file:read("a")
    os.remove(path)
    os.remove(script)
    assert.same({ 1, 1 }, { count(text, '"parhost_end"'), count(text, '"cat":"task"') })
    assert.match("\n%]\n$", text)
    assert.equal(1, count(result.err, "parallel efficiency"))
  end)
end)
