-- SPDX-License-Identifier: MIT
-- A socket that there was no memory to watch was an error of its session's whole machinery: the request went on to its
-- timeout, and libcurl, with handles in its tables that were freed, crashed at a later one.
local has_faults = pcall(require, "parhost.core.fault")
local run = require "tests.spec.support.run"

local SCRIPT <const> = [[
  local fault, http = require "parhost.core.fault", require "http"
  local function get() return select(2, pcall(http.get, arg[1], { timeout = 20 })) end
  fault.arm "host.alloc:%d*4"
  local first = get()
  fault.arm ""
  print(first.code, get().code, get().code, first.message)]]

local function try(url, code)
  local unwatched = false
  for n = 1, 12 do
    local result = run.script(SCRIPT:format(n), url)
    assert.same({ "", 0 }, { result.err, result.code })
    local first, second, third, message = result.out:match "^(%S+)\t(%S+)\t(%S+)\t(.*)"
    assert.same({ code, code }, { second, third })
    assert.not_equal("timeout", first)
    unwatched = unwatched or message:find "not enough memory to watch a socket" ~= nil
  end
  return unwatched
end

;(has_faults and describe or pending)("a request without memory to watch its socket", function()
  it("ends, and the next ones work: a connection", function() try("http://127.0.0.1:1/", "connect") end)

  it("ends, and the next ones work: the resolver's", function()
    local unwatched = false -- it may be resolved before there is anything to watch
    for _ = 1, 10 do unwatched = unwatched or try("http://nowhere.invalid/", "resolve") end
    assert.is_true(unwatched)
  end)
end)
