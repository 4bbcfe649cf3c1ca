-- SPDX-License-Identifier: MIT
-- The manual, followed by the letter: every block of README.md and docs/ that can be run is run, and its output compared.
-- What may stand around a block: CONTRIBUTING.md, "The manual".
package.path = "tests/spec/?.lua;" .. package.path
local manual = require "support.manual"

-- Pages with a test of their own; translations have the blocks of the page that they translate (manual_pages_spec.lua).
local ELSEWHERE = {
  ["docs/embedding.md"] = true, -- embed_docs_spec.lua
  ["docs/repl.md"] = true,      -- repl_history_spec.lua
}

for _, path in ipairs(manual.pages()) do
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
