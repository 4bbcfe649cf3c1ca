-- SPDX-License-Identifier: MIT
-- Tasks and assertions of the executor's contract. Tasks are functions of this file, as busted gives the spec files an
-- environment of their own.
local assert = require "luassert"
local futures = require "futures"
local gate = require "support.gate"

local common = {}

function common.power(a, b) return a ^ b end

function common.add(a, b) return a + b end

function common.divmod(a, b) return a // b, a % b end

function common.same(...) return ... end

function common.fail(err) error(err, 0) end

function common.pass(path) return gate.pass(path) end

function common.fail_here() error("here") end

function common.raised_by(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

function common.assert_kind(kind, err)
  assert.is_true(futures.is(err, kind), ("%s expected, got %s"):format(kind, tostring(err)))
end

function common.count_states(list)
  local counts = {}
  for _, f in ipairs(list) do counts[f:state()] = (counts[f:state()] or 0) + 1 end
  return counts
end

return common
