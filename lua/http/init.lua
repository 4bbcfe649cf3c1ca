-- SPDX-License-Identifier: MIT
-- The module `http`: requests that wait as everything in parhost waits. Loads libcurl at the first request.
local core_pool = require "parhost.core.pool"
local host = require "parhost.core.host"
local json = require "http.json"
local null = require "http.null"
local session = require "http.session"

-- The fork server of process pools can only be there before the loop and libcurl are.
if not host.worker() then core_pool.prepare() end

local default = session.default()

local http = { session = session.new, null = null, array = json.array }

for _, name in ipairs { "get", "post", "put", "patch", "delete", "head" } do
  local method = default[name]
  http[name] = function(url, options) return method(default, url, options) end
end

function http.request(options)
  return default:request(options)
end

return http
