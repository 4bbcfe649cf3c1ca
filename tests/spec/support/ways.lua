-- SPDX-License-Identifier: MIT
-- The ways in which values are copied: each spec of the codec holds for all of them.
local busted = require "busted"
local parhost = require "parhost"
local proc_pool = require "proc_pool"

local ways = {}

local function echo(...) return ... end

local function through_bytes(value)
  return parhost.load_value(parhost.dump_value(value))
end

-- it(name) once for each way; `check` gets a function that gives the copy of a value.
function ways.it(name, check)
  busted.it(name .. " (dump_value)", function() check(through_bytes) end)
  busted.it(name .. " (worker)", function()
    local pool <close> = proc_pool.new(1)
    check(function(value) return pool:submit(echo, value):result() end)
  end)
end

-- A function whose globals are the real ones: busted gives the spec files an environment of their own.
function ways.compile(text)
  return assert(load("return " .. text, "=task"))()
end

return ways
