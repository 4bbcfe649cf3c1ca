-- SPDX-License-Identifier: MIT
-- JSON in requests and responses. Objects and arrays become plain tables, so that they travel; null becomes `null`.
local Array = require "http.array"
local bind = require "parhost.core.json"
local errors = require "futures.error"
local null = require "http.null"

local core = bind(null, Array)
local json = { encode = core.encode }

-- Raises kind "http", code "json", with line and column.
function json.decode(text, url)
  local ok, value, line, column = core.decode((text:gsub("^\xef\xbb\xbf", ""))) -- a byte order mark says nothing
  if ok then return value end
  local message = ("%s: invalid JSON at line %d, column %d: %s"):format(url, line, column, value)
  error(errors.new("http", message, { code = "json", url = url, line = line, column = column }), 0)
end

function json.array(list)
  return setmetatable(list or {}, Array)
end

return json
