-- SPDX-License-Identifier: MIT
-- The module `http`: requests that wait as everything in parhost waits. Loads libcurl at the first request.
local json = require "http.json"
local null = require "http.null"
local session = require "http.session"

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
