-- SPDX-License-Identifier: MIT
-- The manual: every block of README.md and docs/ that can be run is run, and its output compared; names, links and the two
-- languages agree. What may stand around a block: CONTRIBUTING.md, "The manual".
package.path = "tests/spec/?.lua;" .. package.path
local manual = require "support.manual"
local run = require "support.run"

-- Pages with a test of their own.
local ELSEWHERE = {
  ["docs/embedding.md"] = true, -- embed_docs_spec.lua
  ["docs/repl.md"] = true,      -- repl_history_spec.lua
}

local pages = {}
for path in run.sh("ls README.md docs/*.md").out:gmatch "[^\n]+" do pages[#pages + 1] = path end

for _, path in ipairs(pages) do
  if not ELSEWHERE[path] and not path:find "%.zh%.md$" then
    describe(path, function()
      local folder
      setup(function() folder = manual.folder() end)
      teardown(function() manual.remove(folder) end)

      for _, program in ipairs(manual.programs(path)) do
        local first = program[1]
        if first.skip or program.file then
          it(("has a block in line %d"):format(first.line), function() manual.save(first, folder) end)
        else
          it(("runs from line %d"):format(first.line), function() manual.run(program, folder) end)
        end
      end
    end)
  end
end
