-- SPDX-License-Identifier: MIT
-- Measures parhost beside its peers: ./parhost tests/bench/run.lua [row...] [options]; docs/bench.md explains.
--
-- This file is the program: which rows, how often, in which order. A side of a row (ours, a peer) is a process of its
-- own, started by support/sides.lua; what the numbers mean for people is support/report.lua. Rows are the files of
-- rows/, each of which returns one row or an array of rows (fields: docs/bench.md).
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path

local report = require "support.report"
local sides = require "support.sides"

local USAGE <const> = [[
usage: parhost tests/bench/run.lua [row...] [options]
  row         rows to measure, such as b1 or d (all rows that begin with it); default: all
  --runs N    runs of each side, the median counts (default 5)
  --json      write the results to standard output as JSON
  --smoke     one tiny run of each side, to see that it works: fails when one does not
  --list      name the rows
]]

local function fail(message)
  io.stderr:write("bench: ", message, "\n", USAGE)
  os.exit(2)
end

local function read_options(words)
  local o = { wanted = {}, runs = 5 }
  local i = 1
  while words[i] do
    local word = words[i]
    if word == "--runs" then
      i = i + 1
      o.runs = math.tointeger(tonumber(words[i])) or 0
      if o.runs < 1 then fail("--runs wants a number of runs") end
    elseif word == "--json" or word == "--smoke" or word == "--list" then
      o[word:sub(3)] = true
    elseif word == "--side" then -- ours, in a process of its own
      o.side, o.n = words[i + 1], math.tointeger(tonumber(words[i + 2]))
      return o
    elseif word == "-h" or word == "--help" then
      io.write(USAGE)
      os.exit(0)
    elseif word:sub(1, 1) == "-" then
      fail(("unknown option '%s'"):format(word))
    else
      o.wanted[#o.wanted + 1] = word
    end
    i = i + 1
  end
  return o
end

local function load_rows()
  local rows = {}
  for path in sides.lines(("ls %s/rows/*.lua"):format(sides.quote(here))) do
    local loaded = dofile(path)
    for _, row in ipairs(loaded[1] and loaded or { loaded }) do rows[#rows + 1] = row end
  end
  return rows
end

local function chosen(rows, wanted)
  if #wanted == 0 then return rows end
  local list = {}
  for _, word in ipairs(wanted) do
    local found = false
    for _, row in ipairs(rows) do
      if row.id == word or row.id:sub(1, #word) == word then
        list[#list + 1], found = row, true
      end
    end
    if not found then fail(("no row begins with '%s' (see --list)"):format(word)) end
  end
  return list
end

-- Module that the row needs and that is not there (yet), or nil.
local function missing_module(row)
  for _, name in ipairs(row.needs or {}) do
    if not pcall(require, name) then return name end
  end
end

local function size_of(row, side, smoke)
  local n = smoke and row.smoke or row.n
  return math.max(1, math.floor(n * (not smoke and side.scale or 1)))
end

local function measure(row, all, o)
  local values, checks = {}, {}
  for k = 1, #all do values[k] = {} end
  for _ = 1, o.smoke and 1 or row.runs or o.runs do
    for k, side in ipairs(all) do -- interleaved: all sides see the same weather
      if not side.problem then
        local value, check = sides.run(side, size_of(row, side, o.smoke))
        if value then
          table.insert(values[k], value)
          checks[k] = check
        else
          side.problem = check
        end
      end
    end
  end
  for k, side in ipairs(all) do
    side.value = report.median(values[k])
    if not side.problem and checks[k] ~= checks[1] then
      side.problem = ("other results than ours: '%s', ours '%s'"):format(checks[k], checks[1])
    end
  end
end

local stop_server = { __close = function(server) server.stop() end }

local function run_row(row, o)
  local missing = missing_module(row)
  if missing then return { row = row, sides = {}, missing = "not there yet: " .. missing } end
  local server, problem
  if row.setup then
    server, problem = row.setup(sides.folder)
    if not server then return { row = row, sides = {}, missing = "skipped: " .. problem } end
  end
  local _ <close> = server and setmetatable(server, stop_server) or nil
  sides.url = server and server.url
  local all = { { name = "parhost", ours = true, code = row.ours, whole = row.whole } }
  for _, peer in ipairs(row.peers or {}) do all[#all + 1] = setmetatable({}, { __index = peer }) end
  for _, side in ipairs(all) do side.problem = sides.prepare(row, side) end
  measure(row, all, o)
  return { row = row, sides = all }
end

local function any_problem(results)
  for _, result in ipairs(results) do
    for _, side in ipairs(result.sides) do
      if side.problem and not side.absent then return true end
    end
  end
  return false
end

local function main()
  local o = read_options(arg)
  local rows = load_rows()
  if o.side then
    for _, row in ipairs(rows) do
      if row.id == o.side then return print(row.ours(o.n)) end
    end
    fail(("no row '%s'"):format(o.side))
  end
  sides.setup(here, o.smoke)
  rows = chosen(rows, o.wanted)
  if o.list then
    for _, row in ipairs(rows) do print(("%-12s %s"):format(row.id, row.what)) end
    return
  end
  local results = {}
  local printed = not o.json and report.table_head()
  for _, row in ipairs(rows) do
    local result = report.judge(run_row(row, o), o.smoke)
    results[#results + 1] = result
    if printed then report.table_row(result) end
  end
  if o.json then io.write(report.json(results)) end
  if o.smoke then os.exit(not any_problem(results), true) end
  report.compare_and_keep(results, sides.folder, not o.json)
end

main()
