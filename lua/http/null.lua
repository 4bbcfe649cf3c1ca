-- SPDX-License-Identifier: MIT
-- What stands for JSON's null. A module of its own: so it travels by name, and is the same value everywhere.
return setmetatable({}, { __name = "http.null", __tostring = function() return "null" end })
