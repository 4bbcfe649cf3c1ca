-- SPDX-License-Identifier: MIT
-- Instructions of the hot paths, compared with those that are on record: they do not depend on the machine's mood.
--
--   ./parhost tests/bench/instructions.lua [--update] [path...]
--
-- Each file of paths/ is a program that does one thing n times. It runs twice under callgrind, with two values of n: the
-- difference by the difference of n is what once costs, without start and end. Counted is what our program itself executes
-- (Lua is part of it), not the C library or libcurl, which choose their code by the processor. The record, instructions.txt,
-- belongs to one compiler: with another nothing is compared.
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local servers = require "support.servers"
local sides = require "support.sides"

local url -- where the server is that the path http asks

local RECORD <const> = here .. "/instructions.txt"
local ALLOWANCE <const> = 0.03
local TRIES <const> = 5
local PATHS <const> = {
  { name = "submit", what = "submit + settle", from = 1000, to = 4000 },
  { name = "map", what = "map, an item of a chunk", from = 1000, to = 9000 },
  { name = "codec", what = "encode + decode", from = 1000, to = 4000 },
  { name = "switch", what = "park + resume", from = 2000, to = 20000 },
  { name = "timer", what = "sleep", from = 1000, to = 5000 },
  { name = "http", what = "HTTP exchange", from = 200, to = 1200, allowance = 0.2 }, -- turns of the loop differ
  { name = "start", what = "start and end", whole = true },
}

local function fail(message)
  io.stderr:write("instructions: ", message, "\n")
  os.exit(1, true)
end

local function first_line(command)
  local pipe <close> = io.popen(command .. " 2>/dev/null")
  return pipe:read "l"
end

-- Adds up what the object files named parhost execute themselves: lines "position cost", but for the one behind
-- "calls=", which is the callee's. Names are given once, then only numbers.
-- Format: https://valgrind.org/docs/manual/cl-format.html
local function add_up(path)
  local names, ours, sum, of_callee = {}, false, 0, false
  for line in io.lines(path) do
    local kind, number, name = line:match "^(c?ob)=%((%d+)%)%s*(.*)"
    if kind then
      if name ~= "" then names[number] = name end
      if kind == "ob" then ours = names[number]:find "/parhost$" ~= nil end
    elseif line:find "^calls=" then
      of_callee = true
    elseif line:find "^[%d+*-]" then
      if ours and not of_callee then sum = sum + tonumber(line:match "^%S+ (%d+)") end
      of_callee = false
    end
  end
  return sum
end

-- The first line of what it prints is its pid: "%p" in a file's name is that of whoever writes it, its workers as well.
local COMMAND <const> = "exec 2>&1; echo $$; BENCH_URL=%s exec "
  .. "valgrind --tool=callgrind --callgrind-out-file=%s.%%p %s %s %s"

local function count(path, n)
  local out, program = sides.folder .. "/callgrind", ("%s/paths/%s.lua"):format(here, path.name)
  local pipe <close> = io.popen(COMMAND:format(url, sides.quote(out), sides.quote(arg[-1]), sides.quote(program), n or ""))
  local pid, text = pipe:read("l", "a")
  local sum = pipe:close() and add_up(("%s.%s"):format(out, pid))
  os.execute("rm -f " .. sides.quote(out) .. ".*")
  return sum or fail(("%s: %s"):format(path.name, text))
end

local function measure(path)
  if path.whole then return count(path) end
  return (count(path, path.to) - count(path, path.from)) / (path.to - path.from)
end

-- How often one waits for a server, or a worker, is the machine's mood after all: what looks worse is measured again.
local function least_of(path, enough)
  local least = measure(path)
  for _ = 2, TRIES do
    if least <= enough then break end
    least = math.min(least, measure(path))
  end
  return least
end

local function read_record()
  local record, compiler = {}, nil
  for line in io.lines(RECORD) do
    compiler = compiler or line:match "^# compiler: (.*)"
    local name, value = line:match "^(%w+)%s+(%d+)"
    if name then record[name] = tonumber(value) end
  end
  return record, compiler
end

local function write_record(record, compiler)
  local file <close> = assert(io.open(RECORD, "w"))
  file:write("# Instructions of the hot paths, once each. Written by tests/bench/instructions.lua --update.\n")
  file:write("# compiler: ", compiler, "\n")
  for _, path in ipairs(PATHS) do
    if record[path.name] then file:write(("%-8s %d\n"):format(path.name, record[path.name])) end
  end
end

local function verdict(value, before, allowance)
  if not before then return "not on record" end
  local change = value / before - 1
  if change > allowance then return ("WORSE by %.1f %%"):format(change * 100), true end
  if change < -allowance then return ("better by %.1f %%: put it on record (--update)"):format(-change * 100) end
  return "as before"
end

local function read_words()
  local chosen, update = {}, false
  for _, word in ipairs(arg) do
    if word == "--update" then update = true else chosen[word] = true end
  end
  for word in pairs(chosen) do
    local known = false
    for _, path in ipairs(PATHS) do known = known or path.name == word end
    if not known then fail(("no path '%s'"):format(word)) end
  end
  return chosen, update
end

local function main()
  local chosen, update = read_words()
  local record, recorded_with = read_record()
  local compiler = first_line "cc --version" or "unknown"
  if not first_line "valgrind --version" then fail "valgrind is not installed (./bootstrap packages check)" end
  if compiler ~= recorded_with and not update then
    return print(("instructions: skipped: the record was made with '%s', here is '%s'"):format(recorded_with, compiler))
  end
  sides.setup(here)
  local server = assert(servers.nginx(sides.folder))
  local _ <close> = setmetatable({}, { __close = server.stop })
  url = server.url
  local worse = false
  for _, path in ipairs(PATHS) do
    if not next(chosen) or chosen[path.name] then
      local before, allowance = record[path.name], path.allowance or ALLOWANCE
      local value = least_of(path, update and 0 or before and before * (1 + allowance) or math.huge)
      local text, is_worse = verdict(value, before, allowance)
      print(("%-8s %-24s %9.0f  %s"):format(path.name, path.what, value, text))
      record[path.name], worse = math.floor(value + 0.5), worse or is_worse
    end
  end
  if update then return write_record(record, compiler) end
  if worse then fail "worse than is allowed: make it as cheap as it was; or use --update, and say why in the commit" end
end

main()
