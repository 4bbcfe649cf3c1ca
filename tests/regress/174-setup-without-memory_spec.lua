-- SPDX-License-Identifier: MIT
-- A worker whose setup found no memory was said to be the failure of an initializer that nobody had given.
local has_faults = pcall(require, "parhost.core.fault")
local run = require "tests.spec.support.run"

-- A module that takes what memory there is, once, in the setup of a worker.
local GREEDY <const> = [[
  local fault = require "parhost.core.fault"
  if require("parhost").worker() then fault.arm "%s.lua_alloc:1*2" end
  return { {} }]]

local NO_WORKER <const> = "parhost.broken_pool: p is broken: a worker could not be started: Cannot allocate memory\n"
local FAILED <const> = "parhost.initializer_failed: the initializer of p failed: not enough memory\n"

local SCRIPT <const> = [[
  package.path = arg[1] .. ";" .. package.path
  local pool = require(arg[2]).new { max_workers = 1, name = "p", %s }
  local ok, err = pcall(function() return pool:submit(math.abs, -1):result(30) end)
  print(err)
  pool:close()]]

local function try(kind, place, options)
  local path = run.write(GREEDY:format(place))
  local name = path:match "[^/]+$"
  local script = SCRIPT:format(options:gsub("NAME", "%%q"):format(name))
  local result = run.script(script, run.quote(path:match ".*/" .. "?") .. " " .. kind)
  os.remove(path)
  assert.same({ "", 0 }, { result.err, result.code })
  return result.out
end

;(has_faults and describe or pending)("a setup without memory", function()
  for kind, place in pairs { proc_pool = "worker", thread_pool = "thread" } do
    it("is no failure of an initializer that is not there: " .. kind, function()
      assert.equal(NO_WORKER, try(kind, place, "preload = { NAME }"))
    end)

    it("is that of an initializer that is there: " .. kind, function()
      assert.equal(FAILED, try(kind, place, "initializer = function() require(NAME) end"))
    end)
  end

  it("is an error of the task that runs inline", function()
    assert.equal("parhost.os: not enough memory to run a task\n",
      try("proc_pool", "host", "inline = true, preload = { NAME }"))
  end)
end)
