-- SPDX-License-Identifier: MIT
-- Measures how things grow, and draws it: ./parhost tests/bench/scale.lua [curve...] [options]; docs/scale.md shows what
-- came of it. Curves are in curves/; each point is measured by a process of its own, several times.
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path

local plot = require "plot"
local sides = require "support.sides"

local USAGE <const> = [[
usage: parhost tests/bench/scale.lua [curve...] [options]
  curve        curves to measure; default: all
  --runs N     runs of each point (default 5, of payload 3)
  --big        the largest points as well, which want gigabytes
  --add        keep the runs that were measured before
  --draw       measure nothing, draw what was measured before
  --smoke      the smallest point of each curve once, and nothing is written
  --out PATH   folder for scale-CURVE.tsv and scale-CURVE-WHAT.svg (default docs/img)
  --list       name the curves
]]

local function fail(message)
  io.stderr:write("scale: ", message, "\n", USAGE)
  os.exit(2)
end

local function read_options(words)
  local o = { wanted = {}, out = "docs/img" }
  local i = 1
  while words[i] do
    local word = words[i]
    if word == "--runs" then
      i = i + 1
      o.runs = math.tointeger(tonumber(words[i])) or 0
      if o.runs < 1 then fail("--runs wants a number of runs") end
    elseif word == "--out" then
      i = i + 1
      o.out = words[i] or fail("--out wants a folder")
    elseif word == "--big" or word == "--add" or word == "--draw" or word == "--smoke" or word == "--list" then
      o[word:sub(3)] = true
    elseif word == "--point" then -- in a process of its own
      o.point = { curve = words[i + 1], series = words[i + 2], x = math.tointeger(tonumber(words[i + 3])) }
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

local function load_curves()
  local curves = {}
  for path in sides.lines(("ls %s/curves/*.lua"):format(sides.quote(here))) do
    for _, curve in ipairs(dofile(path)) do
      curves[#curves + 1], curves[curve.id] = curve, curve
    end
  end
  return curves
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- Measuring --------------------------------------------------------------------------------------------------

-- One run of one point -> { what = value }
local function run_point(curve, series, x)
  local side = { command = ("%s %s/scale.lua --point %s %s"):format(sides.host, sides.quote(here), curve.id, series) }
  local url = sides.url and "BENCH_URL=" .. sides.url .. " " or ""
  local values = {}
  for line in sides.lines(("%s%s %d"):format(url, side.command, x)) do
    local what, value = line:match "^(%w+) (%S+)$"
    if what then values[what] = tonumber(value) end
  end
  if next(values) == nil then error(("scale: %s %s %d said nothing"):format(curve.id, series, x), 0) end
  return values
end

local stop_server = { __close = function(server) server.stop() end }

-- Adds to data[what][series][x] = { value... }.
local function measure(curve, o, data)
  local server = curve.setup and assert(curve.setup())
  local _ <close> = server and setmetatable(server, stop_server) or nil
  sides.url = server and server.url
  local xs = o.smoke and { curve.x[1] } or table.move(curve.x, 1, #curve.x, 1, {})
  if o.big then table.move(curve.big or {}, 1, #(curve.big or {}), #xs + 1, xs) end
  for _ = 1, o.smoke and 1 or o.runs or curve.runs or 5 do -- the whole curve again: each point sees all weathers
    for _, x in ipairs(xs) do
      for _, series in ipairs(curve.series) do
        for what, value in pairs(run_point(curve, series, x)) do
          data[what] = data[what] or {}
          data[what][series] = data[what][series] or {}
          data[what][series][x] = data[what][series][x] or {}
          table.insert(data[what][series][x], value)
        end
      end
    end
  end
  return data
end

-- The numbers as a file: what, series, x, then each run's value.
local function write_data(path, data)
  local file <close> = assert(io.open(path, "w"))
  file:write("what\tseries\tx\truns\n")
  for _, what in ipairs(sorted_keys(data)) do
    for _, series in ipairs(sorted_keys(data[what])) do
      for _, x in ipairs(sorted_keys(data[what][series])) do
        local texts = {}
        for i, value in ipairs(data[what][series][x]) do texts[i] = ("%.5g"):format(value) end
        file:write(("%s\t%s\t%d\t%s\n"):format(what, series, x, table.concat(texts, "\t")))
      end
    end
  end
end

local function read_data(path)
  local data = {}
  for line in io.lines(path) do
    local what, series, x, rest = line:match "^(%w+)\t(%w+)\t(%d+)\t(.*)$"
    if what then
      local runs = {}
      for value in rest:gmatch "%S+" do runs[#runs + 1] = tonumber(value) end
      data[what] = data[what] or {}
      data[what][series] = data[what][series] or {}
      data[what][series][tonumber(x)] = runs
    end
  end
  return data
end

-- Drawing ----------------------------------------------------------------------------------------------------

-- Of several runs: what others did on the machine has only made the rest worse.
local function best(runs, more)
  return (more and math.max or math.min)(table.unpack(runs))
end

local function draw(curve, data, what, path)
  local options, series = {}, {}
  for key, value in pairs(curve.charts[what]) do options[key] = value end
  for _, name in ipairs(curve.series) do
    local one = { x = {}, y = {} }
    if #curve.series > 1 then one.name = (curve.names or {})[name] or name end
    for _, x in ipairs(sorted_keys(data[what][name])) do
      if x >= (options.x_min or 0) then
        one.x[#one.x + 1], one.y[#one.y + 1] = x, best(data[what][name][x], options.more)
      end
    end
    series[#series + 1] = one
  end
  options.series, options.x_min, options.more = series, nil, nil
  plot.line(options):save(path)
end

local function chosen(curves, wanted)
  if #wanted == 0 then return curves end
  local list = {}
  for i, id in ipairs(wanted) do
    list[i] = curves[id] or fail(("no curve '%s' (see --list)"):format(id))
  end
  return list
end

local function work_on(curve, o)
  local path = ("%s/scale-%s.tsv"):format(o.out, curve.id)
  if o.smoke then
    local data = measure(curve, o, {})
    for what in pairs(curve.charts) do assert(data[what], what) end
    return print(("%-12s works"):format(curve.id))
  end
  local data = (o.draw or o.add) and read_data(path) or {}
  if not o.draw then write_data(path, measure(curve, o, data)) end
  for _, what in ipairs(sorted_keys(curve.charts)) do
    draw(curve, data, what, ("%s/scale-%s-%s.svg"):format(o.out, curve.id, what))
  end
  print(path)
end

local function main()
  local o = read_options(arg)
  local curves = load_curves()
  if o.point then
    for what, value in pairs(curves[o.point.curve].measure(o.point.series, o.point.x)) do print(what .. " " .. value) end
    return
  end
  sides.setup(here, o.smoke)
  for _, curve in ipairs(chosen(curves, o.wanted)) do
    if o.list then print(("%-12s %s"):format(curve.id, curve.what)) else work_on(curve, o) end
  end
end

main()
