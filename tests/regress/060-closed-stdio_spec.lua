-- SPDX-License-Identifier: MIT
-- Started with standard input closed, the loop got descriptor 0, and libuv gave up when that was closed again.
local run = require "tests.spec.support.run"

describe("closed standard input, output and errors", function()
  it("are taken by nothing else", function()
    local script = run.write([[
      local process = require "async.process"
      local file = io.open(arg[1], "w")
      file:write(process.run_process({ "ls -v /proc/$PPID/fd | head -n 3", shell = true }).stdout)
      file:write(process.process({ "cat" }):wait(), "\n")
    ]])
    local out = os.tmpname()
    local result = run.sh(("%s %s %s <&- >&- 2>&-"):format(run.parhost, script, out))
    local file = assert(io.open(out))
    assert.same({ 0, "0\n1\n2\n0\n" }, { result.code, file:read("a") })
    file:close()
    os.remove(out)
    os.remove(script)
  end)
end)
