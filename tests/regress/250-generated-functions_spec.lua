-- SPDX-License-Identifier: MIT
-- A pool kept the name of each function, and the place of each submit, that it had ever seen: a program that writes
-- functions all the time grew by 130 bytes with each.
local futures = require "futures"
local thread_pool = require "thread_pool"

local pool = thread_pool.new { max_workers = 1, name = "p" }
local written = 0

-- What is submitted has a name of its own each time.
local function submit(text)
  written = written + 1
  return pool:submit(assert(load(("local number = %d; "):format(written) .. text)))
end

local function kilobytes_after(n)
  for _ = 1, n do submit("return number") end
  pool:drain()
  collectgarbage()
  collectgarbage()
  return collectgarbage "count"
end

local function described()
  local future = submit("error('wrong', 0)")
  local ok, err = pcall(future.result, future)
  assert.is_false(ok)
  return futures.describe(err)
end

describe("functions that are written at run time", function()
  it("are forgotten", function()
    local before = kilobytes_after(10000)
    assert.is_true(kilobytes_after(8500) - before < 300)
  end)

  it("have names, and a place where they were submitted, when many others have gone", function()
    local text = described()
    assert.is_truthy(text:find(('in task \'function <[string "local number = %d;'):format(written), 1, true), text)
    assert.matches("submitted at:\n\t.*generated%-functions_spec.lua:13: in function 'submit'", text)
  end)
end)
