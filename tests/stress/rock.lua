-- SPDX-License-Identifier: MIT
-- rock.lua: `luarocks make` into a tree of its own, without network, and a program of stock Lua that uses it.
package.path = "tests/spec/?.lua;" .. package.path
local stage = require "support.stage"

local tree = stage.folder()
stage.sh(("unshare -rn true 2>/dev/null && offline='unshare -rn'; $offline luarocks --lua-version 5.4 --tree %s make")
  :format(tree))
local out = stage.sh(("LUA_PATH='%s/share/lua/5.4/?.lua;;' LUA_CPATH='%s/lib/lua/5.4/?.so;;' timeout 60 lua5.4 %s 5"):format(
  tree, tree, "tests/embed/minimal.lua"))
stage.remove(tree)
assert(out == "25\t36\n16\n", out)
