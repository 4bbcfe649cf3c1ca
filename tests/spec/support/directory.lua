-- SPDX-License-Identifier: MIT
-- A directory with files, for as long as a variable is open.
local run = require "support.run"

local directory = {}

local Directory = { __close = function(self) assert(run.sh("rm -r " .. self.path).code == 0) end }
Directory.__index = Directory

local parhost = run.quote(run.sh("realpath " .. run.parhost).out:match "[^\n]+")

-- Runs the program under test there, with these arguments: as run.sh.
function Directory:parhost(arguments)
  return run.sh(("cd %s && exec timeout 60 %s %s"):format(self.path, parhost, arguments))
end

-- files: name -> text; names may have directories in front.
function directory.new(files)
  local path = os.tmpname()
  os.remove(path)
  local self = setmetatable({ path = path }, Directory)
  assert(run.sh("mkdir " .. path).code == 0)
  for name, text in pairs(files) do
    local above = name:match "^(.*)/"
    if above then assert(run.sh(("mkdir -p %s/%s"):format(path, above)).code == 0) end
    local file <close> = assert(io.open(path .. "/" .. name, "wb"))
    file:write(text)
  end
  return self
end

return directory
