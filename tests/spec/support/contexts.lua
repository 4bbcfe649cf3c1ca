-- SPDX-License-Identifier: MIT
-- The places where one and the same call has to work. contexts.each(function(name, call) ... end): call(fn, ...) runs
-- fn there and gives what pcall would. fn belongs into a module: busted gives the spec files an environment of their own.
local contexts = {}

function contexts.plain()
  return pcall
end

local function in_pool(module)
  local pool = require(module).new(1)
  return function(fn, ...) return pool:submit(fn, ...):outcome() end, function() pool:close() end
end

function contexts.proc_pool() return in_pool("proc_pool") end
function contexts.thread_pool() return in_pool("thread_pool") end

function contexts.async()
  local async = require "async"
  return function(fn, ...) return pcall(async.run, fn, ...) end
end

local NAMES = { "plain", "proc_pool", "thread_pool", "async" }

-- Those that this build has.
function contexts.each(visit)
  for _, name in ipairs(NAMES) do
    if name == "plain" or pcall(require, name) then
      local call, finish = contexts[name]()
      visit(name, call)
      if finish then finish() end
    end
  end
end

return contexts
