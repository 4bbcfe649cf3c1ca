-- SPDX-License-Identifier: MIT
-- Module `parhost`.
local parhost = require "parhost"
local run = require "tests.spec.support.run"

describe("parhost", function()
  it("has a version", function()
    assert.match("^%d+%.%d+%.%d+$", parhost.version)
  end)

  it("counts the processors it may use", function()
    local n = parhost.cpu_count()
    assert.equal("integer", math.type(n))
    assert.is_true(n >= 1)
    if run.sh("command -v taskset").code ~= 0 then return end
    local one = run.sh("taskset -c $(taskset -cp $$ | sed 's/.*: //; s/[-,].*//') " .. run.parhost
      .. " -e 'print(require \"parhost\".cpu_count())'")
    assert.equal("1\n", one.out)
  end)

  it("has a clock that never goes back", function()
    local before = parhost.monotonic()
    assert.equal("float", math.type(before))
    for _ = 1, 1000 do
      local now = parhost.monotonic()
      assert.is_true(now >= before)
      before = now
    end
  end)

  it("is no worker in the main program", function()
    assert.is_nil(parhost.worker())
  end)

  it("has nothing to cancel in the main program", function()
    assert.equal(0, select("#", parhost.check_cancelled()))
  end)

  it("stops a task at check_cancelled, again and again", function()
    local result = run.script [[
      local parhost, proc_pool = require "parhost", require "proc_pool"
      local pool <close> = proc_pool.new(1)
      local pid = pool:submit(function() return require("parhost").worker().pid end):result()
      local path = os.tmpname()
      os.remove(path)
      local function is_there()
        local file = io.open(path)
        return file and file:close()
      end
      local task = pool:submit(function()
        local parhost = require "parhost"
        local x <close> = setmetatable({}, { __close = function(_, signal)
          local again = select(2, require("parhost.core.host").catch(parhost.check_cancelled))
          print("closed", signal.source, again.source)
        end })
        io.open(path, "w"):close()
        while true do pcall(parhost.check_cancelled) end
      end)
      while not is_there() do require("parhost.core.loop").step(parhost.monotonic() + 0.01) end
      os.remove(path)
      local stopping = task:cancel { force = true }
      local ok, err = task:outcome()
      print(stopping, ok, err.kind)
      pool:drain()
      print(pool:submit(function() return require("parhost").worker().pid end):result() == pid)]]
    assert.same({ out = "closed\texplicit\texplicit\ntrue\tfalse\tcancelled\ntrue\n", err = "", code = 0 }, result)
  end)

  it("dumps and loads values", function()
    local value = parhost.load_value(parhost.dump_value { 1, 2.0, "three", { nested = true } })
    assert.same({ 1, 2.0, "three", { nested = true } }, value)
    assert.equal("float", math.type(value[2]))
  end)

  it("registers classes", function()
    local Point = { __name = "spec.Point" }
    parhost.register("spec.Point", Point)
    local copy = parhost.load_value(parhost.dump_value(setmetatable({ x = 1 }, Point)))
    assert.equal(Point, getmetatable(copy))
    assert.equal(1, copy.x)
  end)
end)
