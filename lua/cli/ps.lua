-- SPDX-License-Identifier: MIT
-- `parhost ps`: see inspect.lua.
require("parhost.core.host").load_built_in("cli.inspect")()("ps", ...)
