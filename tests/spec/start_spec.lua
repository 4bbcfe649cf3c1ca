-- SPDX-License-Identifier: MIT
-- When workers begin: those of several submits together, and none of them waits for its owner.
package.path = "tests/spec/?.lua;" .. package.path
local hostile = require "support.hostile"
local run = require "support.run"

local WITHOUT_WAITING <const> = hostile.prelude .. [[
  local monotonic = require "parhost".monotonic
  local function comes(path)
    local limit = monotonic() + 20
    repeat
      local file = io.open(path)
      if file then return file:close() end
    until monotonic() > limit
  end
  local function make(path) assert(io.open(path, "w")):close() end
  local pool <close> = require(arg[1]).new { max_workers = 4, name = "p" }
  local mark = os.tmpname()
  os.remove(mark)
]]

local function prints(expected, warning, text, ...)
  local result = run.script(WITHOUT_WAITING .. text, ...)
  assert.same({ out = expected, err = warning, code = 0 }, result)
end

describe("a first task, in a pool that may have more workers", function()
  for _, kind in ipairs { "proc_pool", "thread_pool" } do
    it("begins while its owner computes: " .. kind, function()
      prints("true\n", "", [[
        pool:submit(make, mark)
        print(comes(mark))
        os.remove(mark)]], kind)
    end)
  end

  -- The stack of a thread takes 8 MiB of address space, the link of a worker 1; sanitizers take all there is.
  local it_plain = hostile.address_space() < 1 << 40 and it or pending
  it_plain("begins at once where there is no dispatcher to start it later", function()
    local warning = "Lua warning: parhost: the dispatcher of p could not be started (Resource temporarily unavailable): "
      .. "tasks are handed to workers only while the program submits or waits\n"
    prints("true\n", warning, [[
      local size = io.open("/proc/self/status"):read("a"):match("VmSize:%s*(%d+)") * 1024
      local before = require("crash").limit("as", size + (6 << 20))
      pool:submit(make, mark)
      print(comes(mark))
      require("crash").limit("as", before)
      os.remove(mark)]], "proc_pool")
  end)
end)
