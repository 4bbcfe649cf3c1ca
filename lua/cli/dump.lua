-- SPDX-License-Identifier: MIT
-- `parhost dump`: see inspect.lua.
require("parhost.core.host").load_built_in("cli.inspect")()("dump", ...)
