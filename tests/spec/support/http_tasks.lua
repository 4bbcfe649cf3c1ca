-- SPDX-License-Identifier: MIT
-- What the specs of http run in workers and tasks.
local http = require "http"
local parhost = require "parhost"

local tasks = {}

function tasks.status_and_length(url, options)
  local response = http.get(url, options)
  return response.status, #response.body
end

-- How long a failing request takes, and its error.
function tasks.failure(url, options)
  local begun = parhost.monotonic()
  local ok, err = pcall(http.get, url, options)
  return parhost.monotonic() - begun, not ok and err or nil
end

function tasks.body_of(url, options)
  return http.get(url, options).body
end

function tasks.response(url)
  return http.get(url)
end

function tasks.status_of(response)
  return response:raise_for_status().status
end

function tasks.same(...) return ... end

-- A request that is given up, and one after it.
function tasks.abandon_and_go_on(url)
  local session <close> = http.session()
  local ok, err = pcall(session.get, session, url .. "/silent?id=abandoned", { timeout = 0.2 })
  assert(not ok and err.code == "timeout")
  local gone = session:get(url .. "/gone/abandoned", { timeout = 20 }).body
  return gone, session:get(url .. "/echo", { timeout = 20 }).status
end

function tasks.line(url)
  local ok, response = pcall(http.get, url, { timeout = 20 })
  if not ok then return "error " .. response.code end
  return "status " .. response.status
end

return tasks
