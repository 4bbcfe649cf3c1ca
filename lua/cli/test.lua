-- SPDX-License-Identifier: MIT
-- `parhost test [arguments]`: busted, inside this program.
local found, runner = pcall(require, "busted.runner")
if not found then
  if not tostring(runner):find("module 'busted.runner' not found", 1, true) then error(runner, 0) end
  io.stderr:write("parhost: test: busted is not installed (Debian: apt-get install lua-busted; ",
    "elsewhere: luarocks install busted)\n")
  os.exit(1)
end
-- The runner looks at the name of its caller's chunk: without a file name it calls itself "busted".
load("local run = ... run({ standalone = false })", "=busted")(runner)
