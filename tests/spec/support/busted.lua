-- SPDX-License-Identifier: MIT
-- For stock Lua: lua5.4 tests/spec/support/busted.lua [busted arguments]
require "busted.runner" { standalone = false }
