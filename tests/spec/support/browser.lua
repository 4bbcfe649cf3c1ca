-- SPDX-License-Identifier: MIT
-- Tests in a browser, written in Python (tests/browser/), as tests of busted: one run of the script gives the results of
-- all.
local host = require "parhost.core.host"
local run = require "support.run"
local stage = require "support.stage"

local browser = {}

local FIND <const> = "cd tests/browser && python3 -c 'import browser; print(browser.find() or \"\")'"

-- Why there can be no such tests, or nil.
local function hindrance()
  local found = run.sh(FIND)
  if found.code ~= 0 then return "no python3" end
  if not found.out:find "%S" then return "no Chromium (Debian: apt-get install chromium)" end
end

-- The names of the tests in a script: its functions behind "@test".
local function names_in(script)
  local names = {}
  local file <close> = assert(io.open("tests/browser/" .. script))
  for name in file:read("a"):gmatch("\n@test\ndef ([%w_]+)%(") do names[#names + 1] = name end
  return names
end

-- Declares the tests of a script, with busted's functions; they are pending where there is no browser, or for what reason
-- (`why`) the caller has.
function browser.declare(script, busted, why)
  local names, results = names_in(script), {}
  why = why or hindrance()
  if why then
    busted.pending(("%d tests of %s: %s"):format(#names, script, why))
    return
  end
  busted.setup(function()
    local folder = stage.folder()
    local result = run.sh(("exec timeout 110 python3 tests/browser/%s %s %s"):format(
      script, run.quote(host.program_path()), folder))
    stage.remove(folder)
    for line in result.out:gmatch("[^\n]+") do
      local name = line:match("^ok (.*)$")
      if name then results[name] = "ok" end
      local failed, message = line:match("^not ok ([%w_]+): (.*)$")
      if failed then results[failed] = message end
    end
    results.rest = ("exit code %d\n%s%s"):format(result.code, result.out, result.err)
  end)
  for _, name in ipairs(names) do
    busted.it((name:gsub("_", " ")), function()
      if results[name] ~= "ok" then error(results[name] or "no result: " .. results.rest, 0) end
    end)
  end
end

return browser
