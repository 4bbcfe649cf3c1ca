-- SPDX-License-Identifier: MIT
-- A side of a row, ready to be run: what it needs, how it is started, what it says.
--
-- Every side is a process that gets a size and prints one line, "VALUE CHECK": the measured number, and the result of
-- the work in a form that must be the same on every side. With `whole`, the process itself is measured from start to
-- exit by support/measure.c: VALUE is then the time in ms ("time") or the peak memory in MB ("memory"), and everything
-- that it printed is the CHECK.
local sides = {}

-- language -> { program that must be there, suffix of the file, command }
local LANGUAGES <const> = {
  python = { "python3", ".py", "python3 %s" },
  lua = { "lua5.4", ".lua", "lua5.4 %s" },
  parhost = { nil, ".lua", "%s %s" },
  node = { "node", ".js", "node %s" },
  c = { "cc", ".c", "%s" },
}

function sides.quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local quote = sides.quote

function sides.lines(command)
  local pipe <close> = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  local i = 0
  return function()
    i = i + 1
    return lines[i]
  end
end

local function write_file(path, text)
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(text))
end

local function installed(program)
  return (os.execute(("command -v %s >/dev/null 2>&1"):format(program)))
end

local function compile(source, program, flags)
  local command = ("cc -O2 -D_GNU_SOURCE -o %s %s -pthread %s 2>&1"):format(quote(program), quote(source), flags or "")
  local pipe = assert(io.popen(command))
  local said = pipe:read "a"
  if pipe:close() then return nil end
  return "does not compile: " .. (said:match "[^\n]*error[^\n]*" or said)
end

-- Where programs and results go; the program that measures others; this host.
function sides.setup(here, smoke)
  sides.here = here
  sides.host = quote(arg[-1])
  sides.folder = here .. "/../../build/bench" .. (smoke and "/smoke" or "")
  assert(os.execute("mkdir -p " .. quote(sides.folder .. "/programs")))
end

local measurer_problem
local function prepare_measurer()
  if sides.measurer or measurer_problem then return measurer_problem end
  local program = sides.folder .. "/programs/measure"
  measurer_problem = installed "cc" and compile(sides.here .. "/support/measure.c", program) or
    not installed "cc" and "no C compiler here" or nil
  sides.measurer = quote(program)
  return measurer_problem
end

-- Makes side.command. Gives what is in the way, or nil; side.absent: it is only not installed.
function sides.prepare(row, side)
  local language = LANGUAGES[side.language or "parhost"]
  if side.absent_unless and not installed(side.absent_unless) or language[1] and not installed(language[1]) then
    side.absent = true
    return "not installed here"
  end
  if side.whole then
    local problem = prepare_measurer()
    if problem then return problem end
  end
  if type(side.code) == "function" then
    side.command = ("%s %s/run.lua --side %s"):format(sides.host, quote(sides.here), row.id)
    return nil
  end
  local name = ("%s/programs/%s-%s"):format(sides.folder, row.id, side.name:gsub("%W+", "_"))
  write_file(name .. language[2], side.code)
  if side.language == "c" then
    side.command = quote(name)
    local problem = compile(name .. ".c", name, side.flags)
    side.absent = problem ~= nil and side.flags ~= nil -- its library is missing
    return problem
  end
  local file = quote(name .. language[2])
  side.command = language[1] and language[3]:format(file) or language[3]:format(sides.host, file)
end

local function read_line(side, text)
  if side.whole then
    local ms, mb, said = text:match "^(%S+) (%S+)\n(.*)$"
    return tonumber(side.whole == "memory" and mb or ms), said and said:gsub("%s+$", "")
  end
  local value, check = text:match "^(%S+)%s*(%S*)"
  return tonumber(value), check
end

-- value, check; or nil and what went wrong.
function sides.run(side, n)
  local log = sides.folder .. "/programs/stderr"
  local prefix = side.whole and sides.measurer .. " " or ""
  local environment = sides.url and "BENCH_URL=" .. sides.url .. " " or ""
  local pipe = assert(io.popen(("%s%s%s %d 2>%s"):format(environment, prefix, side.command, n, quote(log))))
  local text = pipe:read "a"
  local ok = pipe:close()
  local value, check = read_line(side, text)
  if ok and value then return value, check end
  local file <close> = assert(io.open(log))
  local last
  for line in file:lines() do
    if line:find "%S" then last = side.ours and last or line end
  end
  return nil, last or ("it said '%s'"):format(text)
end

return sides
