-- SPDX-License-Identifier: MIT
-- The program's build tree, installed into a temporary prefix.
local run = require "support.run"

local stage = { build = run.path:match("^(.*)/") or "." }

-- Runs a command of the shell that has to succeed; gives its output.
function stage.sh(command)
  local result = run.sh(command)
  if result.code ~= 0 then error(("%s\nexit code %d\n%s%s"):format(command, result.code, result.out, result.err), 2) end
  return result.out
end

function stage.folder()
  return (stage.sh "mktemp -d":gsub("\n", ""))
end

function stage.remove(folder)
  stage.sh("rm -rf " .. run.quote(folder))
end

-- Gives the prefix, which is the caller's to remove.
function stage.install()
  local prefix = stage.folder()
  stage.sh(("cmake --install %s --prefix %s"):format(run.quote(stage.build), prefix))
  return prefix
end

return stage
