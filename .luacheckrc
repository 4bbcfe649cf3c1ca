-- SPDX-License-Identifier: MIT
std = "lua54"
max_line_length = 125
files["tests/"] = { std = "+busted" }
files["lua/meta/"] = { only = {} }
exclude_files = { "build/" }
