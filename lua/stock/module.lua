-- SPDX-License-Identifier: MIT
-- Installed for stock Lua under the name of every public module: gives the one that is built into parhost.stock.
return require "parhost.stock" (...)
