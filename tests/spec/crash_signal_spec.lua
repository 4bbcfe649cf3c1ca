-- SPDX-License-Identifier: MIT
-- Ctrl-C and its kin, once and twice, in every phase of a program with a process pool.
package.path = "tests/spec/?.lua;" .. package.path
local hostile = require "support.hostile"
local run = require "support.run"

-- The program tells of its worker, comes to its phase, and is sent the signals from outside while it is there.
local PRELUDE <const> = [[
  local proc_pool = require "proc_pool"
  local pool = proc_pool.new { max_workers = 1, grace = %s }
  local function spin() while true do end end
  local function block() require("crash").block(100) end
  local stuck = pool:submit(%s)
  while not stuck:running() do end
  io.write(pool:workers()[1].pid, "\n")
  io.stdout:flush()
]]

local PHASES <const> = {
  result = [[stuck:result()]],
  outcome_protected = [[while true do pcall(stuck.outcome, stuck) end]],
  as_completed = [[for _ in proc_pool.as_completed { stuck, pool:submit(math.abs, -1) } do end]],
  wait = [[proc_pool.wait { stuck }]],
  map = [[for _ in pool:map(math.abs, { -1, -2 }) do end]],
  map_endless = [[for _ in pool:with { buffer_size = 4 }:map(math.abs, function() return -1 end) do end]],
  submit = [[while true do pool:submit(math.abs, -1) end]],
  submit_blocked = [[
    local small = proc_pool.new { max_workers = 1, max_queue = 1, grace = 0.1 }
    while true do small:submit(function() while true do end end) end]],
  close = [[pool:close()]],
  scope = [[do local scoped <close> = pool end]],
  drain = [[pool:drain()]],
  join = [[pool:shutdown { wait = false } pool:join()]],
  compute = [[while true do end]],
  at_exit = [[]],
  on_exit = [[require("parhost").on_exit(function() stuck:result() end)]],
}

-- Runs it and sends the signals, the first once the worker is known, the others after the host has answered.
local function interrupt(phase, signals, grace, task)
  local name = run.write(hostile.prelude .. PRELUDE:format(grace, task or "spin") .. PHASES[phase])
  local fifo = os.tmpname()
  os.remove(fifo)
  local lines = {}
  for i, signal in ipairs(signals) do
    lines[i] = ("%s; kill -%s $pid 2>/dev/null"):format(i > 1 and "sleep 0.2" or "sleep 0.05", signal)
  end
  local result = run.sh(([[
    mkfifo %s
    %s %s %s >%s & pid=$!
    exec 3<%s; read worker <&3; echo $worker
    ( sleep 20; kill -KILL $pid ) 2>/dev/null & guard=$!
    %s
    wait $pid; code=$?
    kill $guard
    rm %s
    exit $code]]):format(fifo, run.fresh, run.parhost, name, fifo, fifo, table.concat(lines, "\n"), fifo))
  os.remove(name)
  return result
end

describe("one signal", function()
  for phase in pairs(PHASES) do
    it("SD-41 ends a program in phase " .. phase .. " within the grace", function()
      local result = interrupt(phase, { "INT" }, 0.1)
      assert.equal(130, result.code)
      assert.matches("^parhost: interrupted; waiting for %d running tasks? %(Ctrl%-C again to end at once%)\n$", result.err)
      assert.is_true(hostile.gone { result.out:match("%d+") })
    end)
  end

  it("of another name does so too", function()
    for signal, code in pairs { TERM = 143, HUP = 129 } do
      local result = interrupt("result", { signal }, 0.1)
      assert.equal(code, result.code)
      assert.is_true(hostile.gone { result.out:match("%d+") })
    end
  end)

  it("ends one whose task sits in C code", function()
    local result = interrupt("result", { "INT" }, 0.1, "block")
    assert.equal(130, result.code)
    assert.is_true(hostile.gone { result.out:match("%d+") })
  end)
end)

describe("a second signal", function()
  for phase in pairs(PHASES) do
    it("SD-41 ends a program in phase " .. phase .. " at once", function()
      local result = interrupt(phase, { "INT", "INT" }, 600)
      assert.equal(130, result.code)
      assert.is_true(hostile.gone { result.out:match("%d+") })
    end)
  end

  it("of another name does so too", function()
    local result = interrupt("close", { "INT", "TERM" }, 600)
    assert.equal(143, result.code)
    assert.is_true(hostile.gone { result.out:match("%d+") })
  end)
end)
