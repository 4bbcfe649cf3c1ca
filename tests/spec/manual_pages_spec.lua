-- SPDX-License-Identifier: MIT
-- The manual agrees with the sources: names, kinds of errors, limits; its links lead somewhere, and a page in two languages
-- has the same programs.
package.path = "tests/spec/?.lua;" .. package.path
local manual = require "support.manual"
local run = require "support.run"

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
  thread_pool = { "docs/thread_pool.md", "docs/executors.md" },
  parhost = { "docs/parhost.md", "docs/progress.md" }, http = { "docs/http.md" },
  async = { "docs/async.md" }, async_sync = { "docs/async-sync.md" }, async_process = { "docs/process.md" },
  plot = { "docs/plot.md" },
}

describe("names", function()
  for path, stub in run.sh("ls lua/meta/*.lua").out:gmatch "(%S+/([%w_]+)%.lua)" do
    it(("of %s stand in its page"):format(path), function()
      local names = declared(path)
      assert.is_truthy(next(names))
      assert.same({}, missing_in(manual.text(table.unpack(PAGE_OF[stub])), names))
    end)
  end
end)

-- Where options are declared: a folder or file, the page and the stub that have them.
local OPTIONS = {
  { "lua/async/command.lua", { "docs/process.md" }, "async_process" },
  { "lua/async/queue.lua", { "docs/async-sync.md" }, "async_sync" },
  { "lua/async", { "docs/async.md" }, "async" },
  { "lua/plot", { "docs/plot.md" }, "plot" },
  { "lua/http", { "docs/http.md" }, "http" },
  { "lua/futures", { "docs/futures.md" }, "futures" },
  { "lua/parhost/progress.lua", { "docs/progress.md" }, "parhost" },
  { "lua/parhost", { "docs/executors.md", "docs/proc_pool.md", "docs/joblog.md" }, "proc_pool" },
}

local function owner_of(path)
  for _, row in ipairs(OPTIONS) do
    if path:sub(1, #row[1]) == row[1] then return row end
  end
end

-- The page says the default in the lines that name the option. (false goes without saying.)
local function says_default(text, key, default)
  local value = default:gsub('"', ""):gsub("%.0$", "")
  if value == "false" or value:find "^%u" then return true end
  for line in text:gmatch "[^\n]+" do
    if line:find("%f[%w_]" .. key .. "%f[^%w_]") and line:find("%f[%w_]" .. value .. "%f[^%w_]") then return true end
  end
  return false
end

describe("options", function()
  local rules = run.sh([[grep -rnE '^ *[a-z_]+ = \{ ("[a-z_]+"|test = )' lua --include=*.lua | grep -v '^lua/meta/']]).out
  for path, key, rule in rules:gmatch "([^\n:]+):%d+: *([%l_]+) = { ([^\n]*) }" do
    local owner = owner_of(path)
    if owner then
      it(("of %s: %s is described, with its default"):format(path, key), function()
        local text, default = manual.text(table.unpack(owner[2])), rule:match "default = ([^ ,}]+)"
        local stub = manual.text(("lua/meta/%s.lua"):format(owner[3]))
        assert.same({}, missing_in(text, { [key] = true }))
        assert.same({}, missing_in(stub, { [key] = true }))
        if default then assert.is_true(says_default(text, key, default), default) end
      end)
    end
  end
end)

describe("docs/errors.md", function()
  it("has every kind of error that the sources raise", function()
    local kinds = {}
    local raised = run.sh(
      [[grep -rhoE '(ph_error_push\(L, |errors\.new\()"[a-z_]+"|ph_err_set\([^"]*"[a-z_]+"' src lua]]).out
    for kind in raised:gmatch '"(%l[%l_]*)"' do kinds[kind] = true end
    assert.is_true(kinds.timeout and kinds.worker_died and kinds.invalid_state)
    assert.same({}, missing_in(manual.text "docs/errors.md", kinds))
  end)
end)

describe("links", function()
  local function anchors(path)
    local found = {}
    for heading in ("\n" .. manual.text(path)):gmatch "\n#+ ([^\n]+)" do
      found[heading:lower():gsub("[^%w%s_\128-\255-]", ""):gsub(" ", "-")] = true
    end
    return found
  end

  for _, path in ipairs(manual.pages()) do
    it("of " .. path .. " lead somewhere", function()
      local folder = path:match "^(.*/)" or ""
      for target in manual.text(path):gsub("\n```.-\n```\n", "\n"):gmatch "%]%(([^)%s]+)%)" do
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

-- Numbers of docs/limits.md: where the sources have them, and how the page says it.
local NUMBERS = {
  { "lua/parhost/pool_options.lua", "max = 10000", "1 to 10000" },
  { "lua/cli/options.lua", "n > 10000", "1 to 10000" },
  { "lua/parhost/pool_options.lua", "0x7fffffff", "2147483647" },
  { "lua/parhost/pool_options.lua", "grace = { \"number\", min = 0, default = 5 }", "`grace`, 5 s" },
  { "lua/parhost/pool_options.lua", "MAX_DEPTH <const> = 3", "3 deep" },
  { "lua/parhost/pool_options.lua", "3 * o.max_workers", "3 × `max_workers`" },
  { "lua/parhost/joblog.lua", "KEY_MAX <const> = 65535", "65535 bytes" },
  { "lua/parhost/joblog.lua", "OPEN_WITHIN <const> = 2 ", "after 2 s: code `EBUSY`" },
  { "lua/parhost/progress.lua", "plain_every = 10,", "every 10 s where there is no terminal" },
  { "lua/parhost/map.lua", "CHUNK_MAX <const> = 1000", "at most 1000" },
  { "src/pool/link.h", "PH_LINK_SLOTS 64u", "64, and about a millisecond" },
  { "src/pool/schedule.c", "AHEAD_NS 1000000 ", "about a millisecond" },
  { "src/vm/worker.c", "HELP_DEPTH_MAX 60", "| 60; after that" },
  { "src/pool/pool.h", "char name[64]", "first 63 bytes" },
  { "src/pool/worker_life.c", "KILL_AFTER_TERM_NS 250000000", "SIGKILL 0.25 s" },
  { "src/pool/backend_thread.c", "MERCY_NS 100000000 ", "| 0.1 s |" },
  { "src/codec/codec_int.h", "PH_MESSAGE_MAX ((size_t)1 << 31)", "2 GiB" },
  { "src/codec/codec_int.h", "PH_DEPTH_MAX 190000", "190 000 levels" },
  { "src/codec/codec_int.h", "PH_CAPTURE_MAX (64u << 10)", "64 KiB; a larger one" },
  { "src/pool/wire.h", "PH_BLOBS_MAX 4096u", "| 4096, and" },
  { "src/pool/pool_int.h", "PH_BLOB_BYTES_MAX ((size_t)64 << 20)", "64 MiB of them" },
  { "src/codec/bytecode.c", "MAX_DEPTH 220", "220 levels" },
  { "src/lib/task_lib.c", "EAGER_MAX 50", "50 deep" },
  { "lua/async/run.lua", "slow_step = { \"number\", above = 0, default = 1.0 }", "`slow_step`, 1 s" },
  { "lua/async/run.lua", "min = 0, default = 30", "`shutdown_timeout`, 30 s" },
  { "lua/async/run.lua", "GRACE <const> = 5", "| 5 s; at its normal end 30 s" },
  { "lua/async/map.lua", "AHEAD <const> = 4", "4 times as many" },
  { "lua/async/dump.lua", "MAX_LINES <const> = 200", "some 200" },
  { "lua/futures/trace.lua", "RECENT_MAX <const> = 8", "the last 8" },
  { "src/loop/exchange.c", "HEAD_MAX (256 * 1024)", "256 KiB: code" },
  { "lua/http/plan.lua", "WINDOW <const> = 256 * 1024", "256 KiB; then the server" },
  { "src/loop/curl_multi.c", "KEPT_CONNECTIONS 256L", "kept | 256" },
  { "src/lib/json_lib.c", "DEPTH_MAX 1000", "1000 levels when written" },
  { "lua/cli/report.lua", "events = 1000000, bytes = 400 * 1024 * 1024", "| 1 000 000, and 400 MB" },
  { "src/lib/dashboard_server.c", "CLIENTS_MAX 32", "| 32 at a time" },
  { "src/lib/dashboard_server.c", "LINGER_NS ((int64_t)1000000000)", "| within 1 s" },
  { "src/vm/worker_stdio.c", "LINE_MAX_BYTES ((size_t)1 << 20)", "up to 1 MiB" },
  { "lua/cli/history.lua", "MAX_BYTES <const> = 512 * 1024", "512 KiB" },
  { "lua/cli/history.lua", "MAX_ENTRIES <const> = 2000", "2000 entries" },
  { "lua/cli/history.lua", "MAX_ENTRY <const> = 16 * 1024", "16 KiB is not kept" },
}

describe("docs/limits.md", function()
  for _, row in ipairs(NUMBERS) do
    local path, source, said = table.unpack(row)
    it(("says '%s', as %s does"):format(said, path), function()
      assert.is_truthy(manual.text(path):find(source, 1, true), "not in the source: " .. source)
      assert.is_truthy(manual.text "docs/limits.md":find(said, 1, true), "not in the page: " .. said)
    end)
  end
end)

describe("a translation", function()
  -- Kind, name and text of every block.
  local function blocks_of(path)
    local list = {}
    for block in ("\n" .. manual.text(path)):gmatch "\n(```[^\n]+\n.-```)" do list[#list + 1] = block end
    return list
  end

  for _, path in ipairs(manual.pages()) do
    if path:find "%.zh%.md$" then
      it(("%s has the blocks of the page in English"):format(path), function()
        local english = path:gsub("%.zh%.md$", ".md")
        assert.is_true(#blocks_of(english) > 0)
        assert.same(blocks_of(english), blocks_of(path))
        local there, back = english:match "[^/]+$", path:match "[^/]+$"
        assert.is_truthy(manual.text(path):find("](" .. there .. ")", 1, true), "a link to " .. there)
        assert.is_truthy(manual.text(english):find("](" .. back .. ")", 1, true), "a link to " .. back)
      end)
    end
  end
end)
