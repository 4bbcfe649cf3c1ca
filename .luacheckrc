-- SPDX-License-Identifier: MIT
std = "lua54"
max_line_length = 125
files["tests/"] = { std = "+busted" }
files["tests/embed/loop.lua"] = { globals = { "handle" }, read_globals = { "say" } } -- of the tool
files["scripts/cookbook/database.lua"] = { globals = { "db" } } -- of its workers
files["lua/meta/"] = { only = {} }
exclude_files = { "build/" }
