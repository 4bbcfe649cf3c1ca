-- SPDX-License-Identifier: MIT
-- Trying again with back-off: after each failure wait twice as long, a little off, so that many do not come back at once.
--   parhost scripts/cookbook/retry.lua [URL]     without: a service of our own that fails twice
local async = require "async"
local futures = require "futures"
local http = require "http"

-- Calls fn(...) until it succeeds: at most how.tries times, as long as how.retry_if(err) says so. Works in tasks,
-- in workers and in plain code, and may be cancelled while it waits.
local function retry(how, fn, ...)
  local delay = how.delay
  for try = 1, how.tries do
    local outcome = table.pack(pcall(fn, ...))
    if outcome[1] then return table.unpack(outcome, 2, outcome.n) end
    local err = outcome[2]
    if try == how.tries or not how.retry_if(err) then error(err, 0) end
    print(("try %d of %d: %s"):format(try, how.tries, err))
    async.sleep(delay * (0.5 + math.random()))
    delay = delay * 2
  end
end

local calls = 0
local function service()
  calls = calls + 1
  if calls < 3 then error(futures.error("http", "busy, come back later", { code = "status", status = 503 })) end
  return ("answered at call %d"):format(calls)
end

local function get(url)
  local response = http.get(url, { timeout = 5 }):raise_for_status()
  return ("%d bytes"):format(#response.body)
end

local WORTH_IT <const> = { connect = true, timeout = true, closed = true, incomplete = true, receive = true }
local function retry_if(err)
  if not futures.is(err, "http") then return false end
  return WORTH_IT[err.code] or err.code == "status" and err.status >= 500
end

local how = { tries = 5, delay = 0.1, retry_if = retry_if }
if arg[1] then print(retry(how, get, arg[1])) else print(retry(how, service)) end
