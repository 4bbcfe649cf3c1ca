-- SPDX-License-Identifier: MIT
-- Times with so many workers -> a chart of speed-ups, with the ideal line.
local check = require "parhost.check"
local data = require "plot.data"
local options = require "parhost.options"
local values = require "plot.values"

local OWN <const> = {
  name = data.CHART.name,
  workers = { "table" },
  seconds = { "table" },
  baseline = { "number", above = 0 },
  color = data.CHART.color,
}
local REFUSED <const> = { "x", "y", "error", "dashed", "markers", "x_scale", "y_scale", "x_format", "y_format" }

local RULES <const> = {}
for key, rule in pairs(data.CHART) do RULES[key] = rule end
for _, key in ipairs(REFUSED) do RULES[key] = nil end
for key, rule in pairs(OWN) do RULES[key] = rule end
RULES.x_label = { test = data.CHART.x_label.test, default = "workers" }
RULES.title = { test = data.CHART.title.test, default = "Speed-up" }

-- Times of one number of workers, one or several -> those that count.
local function times_of(value, where, i)
  local times = values.finite(type(value) == "table" and value or { value }, where, i)
  for _, seconds in ipairs(times) do
    if seconds <= 0 then values.refuse(where, "[%d]: seconds > 0 expected, got %s", i, seconds) end
  end
  return times
end

local function baseline_of(entry, workers, times, where)
  if entry.baseline then return entry.baseline end
  for i = 1, workers.n do
    if workers[i] == 1 and #times[i] > 0 then return (values.summary(times[i])) end
  end
  values.refuse(where .. "baseline", "needed, as there is no time with 1 worker")
end

local function read_one(entry, shared, where)
  if not entry.seconds then values.refuse(where .. "seconds", "array of numbers expected, got nil") end
  local n = values.length(entry.seconds, where .. "seconds")
  local workers = entry.workers or shared
  if not workers then
    workers = {}
    for i = 1, n do workers[i] = i end
  end
  workers = values.numbers(workers, where .. "workers")
  if workers.n ~= n then values.refuse(where .. "workers", "%d values, but %d of seconds", workers.n, n) end
  local times, gains, spread = {}, { n = n }, { n = n }
  for i = 1, n do
    if workers[i] ~= workers[i] or workers[i] < 1 then
      values.refuse(where .. "workers", "[%d]: a number >= 1 expected", i)
    end
    times[i] = times_of(entry.seconds[i], where .. "seconds", i)
  end
  local alone = baseline_of(entry, workers, times, where)
  for i = 1, n do
    local middle, least, greatest = values.summary(times[i])
    gains[i] = alone / middle
    spread[i] = least ~= greatest and { gains[i] - alone / greatest, alone / least - gains[i] }
  end
  return { name = entry.name, x = workers, y = gains, error = spread, color = entry.color }
end

local function read_all(given)
  local series = {}
  for i = 1, values.length(given.series, "series") do
    local entry = options.check(OWN, given.series[i], 1, "speedup", ("series[%d]: "):format(i))
    series[i] = read_one(entry, given.workers, ("series[%d]."):format(i))
  end
  return series
end

local function workers_of(series)
  local seen, list = {}, {}
  for _, entry in ipairs(series) do
    for _, workers in ipairs(entry.x) do
      if not seen[workers] then
        seen[workers] = true
        list[#list + 1] = workers
      end
    end
  end
  table.sort(list)
  return list
end

local function read(given)
  for _, key in ipairs { "seconds", "baseline", "name", "color" } do
    if given.series and given[key] ~= nil then
      values.refuse(key, "belongs into the entries of 'series' when there are any")
    end
  end
  local series = given.series and read_all(given) or { read_one(given, nil, "") }
  if #series == 1 and not series[1].name then series[1].name = "measured" end
  local workers = workers_of(series)
  local chart = { series = series, y_min = given.y_min or 0 }
  for key in pairs(data.CHART) do
    if chart[key] == nil and not OWN[key] then chart[key] = given[key] end
  end
  if #workers <= 16 then chart.x_ticks = chart.x_ticks or workers end
  local ideal = #workers > 0 and { name = "ideal", x = { 1, workers[#workers] }, y = { 1, workers[#workers] } }
  return { chart = chart, ideal = ideal }
end

return function(given)
  if type(given) ~= "table" then check.expected(1, "speedup", "table of options", given) end
  given = options.check(RULES, given, 1, "speedup")
  local result = values.guard("speedup", read, given)
  local ideal = result.ideal
  if ideal then ideal.quiet, ideal.markers = true, false end
  return data.read("line", result.chart, "speedup", { ideal })
end
