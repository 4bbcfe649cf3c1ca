-- SPDX-License-Identifier: MIT
-- Under a limit on the size of files, the first worker process of a program ended it by SIGXFSZ.
local run = require "tests.spec.support.run"

describe("a limit on the size of files", function()
  it("is an error of the pool, and threads do without files", function()
    local script = run.write [[
      local pool <close> = require("proc_pool").new(1)
      print(pool:submit(math.abs, -1):error().message)
      local threads <close> = require("thread_pool").new(1)
      print(threads:submit(math.abs, -1):result())]]
    local result = run.sh(("ulimit -f 16; timeout 60 %s %s"):format(run.parhost, script))
    os.remove(script)
    local why = "proc_pool-1 is broken: a worker could not be started: cannot make a link: File too large\n"
    assert.same({ out = why .. "1\n", err = "", code = 0 }, result)
  end)
end)
