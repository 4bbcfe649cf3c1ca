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

-- What lua/meta/ declares: functions, methods, fields, and the options of tables that are written out.
local function declared(path)
  local names = {}
  for line in io.lines(path) do
    local name = line:match "^function [%w_.]+[.:]([%w_]+)%(" or line:match "^%-%-%-@field ([%a_]+)"
    if name then names[name] = true end
    if line:find "^%-%-%-@" then
      for inner in line:gmatch "[{,] *([%l_]+)%??:" do names[inner] = true end
    end
  end
  return names
end

local function text_of(paths)
  return run.sh("cat " .. table.concat(paths, " ")).out
end

local function missing_in(text, names)
  local missing = {}
  for name in pairs(names) do
    if not text:find("%f[%w_]" .. name .. "%f[^%w_]") then missing[#missing + 1] = name end
  end
  table.sort(missing)
  return missing
end

local PAGE_OF = {
  futures = { "docs/futures.md" }, proc_pool = { "docs/proc_pool.md", "docs/executors.md" },
  thread_pool = { "docs/thread_pool.md", "docs/executors.md" }, parhost = { "docs/parhost.md" }, http = { "docs/http.md" },
  async = { "docs/async.md" }, async_sync = { "docs/async-sync.md" }, async_process = { "docs/process.md" },
}

describe("names", function()
  for path, stub in run.sh("ls lua/meta/*.lua").out:gmatch "(%S+/([%w_]+)%.lua)" do
    it(("of %s stand in its page"):format(path), function()
      local names = declared(path)
      assert.is_truthy(next(names))
      assert.same({}, missing_in(text_of(PAGE_OF[stub]), names))
    end)
  end
end)

describe("docs/errors.md", function()
  it("has every kind of error that the sources raise", function()
    local kinds = {}
    local raised = run.sh([[grep -rhoE '(ph_error_push\(L, |errors\.new\()"[a-z_]+"|ph_err_set\([^"]*"[a-z_]+"' src lua]]).out
    for kind in raised:gmatch '"(%l[%l_]*)"' do kinds[kind] = true end
    assert.is_true(kinds.timeout and kinds.worker_died and kinds.invalid_state)
    assert.same({}, missing_in(text_of { "docs/errors.md" }, kinds))
  end)
end)

describe("links", function()
  local function anchors(path)
    local found = {}
    for heading in ("\n" .. text_of { path }):gmatch "\n#+ ([^\n]+)" do
      found[heading:lower():gsub("[^%w%s_\128-\255-]", ""):gsub(" ", "-")] = true
    end
    return found
  end

  for _, path in ipairs(pages) do
    it("of " .. path .. " lead somewhere", function()
      local folder = path:match "^(.*/)" or ""
      for target in text_of { path }:gsub("\n```.-\n```\n", "\n"):gmatch "%]%(([^)%s]+)%)" do
        local file, anchor = target:match "^([^#]*)#?(.*)$"
        if not target:find "^%a+:" then
          file = file == "" and path or folder .. file
          assert.equal(0, run.sh("test -e " .. run.quote(file)).code, target)
          if anchor ~= "" then assert.is_true(anchors(file)[anchor], target) end
        end
      end
    end)
  end
end)
