-- SPDX-License-Identifier: MIT
-- The class that marks a table as a JSON array, which matters when it is empty: {} alone is an object.
local codec = require "parhost.core.codec"

local Array = { __name = "http.array" }
codec.register("http.array", Array)

return Array
