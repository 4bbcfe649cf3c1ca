-- SPDX-License-Identifier: MIT
-- Without memory for the upcall, news of a request or of a process was lost: whoever waited for it did so for ever.
local has_faults, fault = pcall(require, "parhost.core.fault")
local block = require "parhost.block"

-- What a subject is to tell finds no memory: not at the first attempt, not at the second one, which follows at once.
local function forgetful_watcher()
  local watcher = { attempts = 0, told = false, _lively = true }
  function watcher:_settled()
    self.attempts = self.attempts + 1
    if self.attempts <= 2 then fault.arm "host.lua_alloc:1*2" end
    self.news = {}
    self.told = true
  end
  function watcher:_ready() return self.told end
  return watcher
end

local function check(watch)
  local watcher = forgetful_watcher()
  local _ <close> = watch(watcher)
  local ok, err = pcall(block.wait, watcher, block.deadline(20))
  fault.arm ""
  assert.is_false(ok)
  assert.matches("not enough memory", tostring(err))
  assert.equal(2, watcher.attempts)
  assert.is_true(block.wait(watcher, block.deadline(20)))
  assert.equal(3, watcher.attempts)
end

;(has_faults and describe or pending)("news without memory to tell it comes again", function()
  it("of a request", function()
    require "http"
    local core = require "parhost.core.http"
    local options, plans = require "http.options", require "http.plan"
    check(function(watcher)
      local session = core.session(0, 0, false)
      local o = options.read_request({ timeout = 30 }, options.DEFAULTS, 2, "get")
      local exchange = plans.start(plans.new("GET", "http://127.0.0.1:1/", o, 2, "get"), session)
      assert.is_false(exchange:want "end")
      exchange:_watch(watcher)
      return exchange
    end)
  end)

  it("of a process", function()
    check(function(watcher)
      local p = require("async").process { "true" }
      p.settled:_watch(watcher)
      return p
    end)
  end)
end)
