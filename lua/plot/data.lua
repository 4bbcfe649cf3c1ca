-- SPDX-License-Identifier: MIT
-- What a chart draws, read from its options: checked, with gaps, ranges and the words that describe it.
local check = require "parhost.check"
local options = require "parhost.options"
local axis = require "plot.axis"
local format = require "plot.format"
local palette = require "plot.palette"
local values = require "plot.values"
local words = require "plot.words"

local data = {}

local function text(value)
  if type(value) == "string" then return words.clean(value) end
  return nil, "string"
end

local function finite(value)
  if math.type(value) and values.is_finite(value) then return value + 0.0 end
  return nil, "finite number"
end

-- A program's own function for ticks, seen to.
local function own_format(write)
  return function(value)
    local result = write(value)
    if type(result) ~= "string" and math.type(result) == nil then
      local shown = check.type_name(result)
      check.misuse(("a format gave %s for %s: string expected"):format(shown, format.number(value)))
    end
    return words.clean(tostring(result))
  end
end

local function number_format(value)
  if type(value) == "function" then return own_format(value) end
  if type(value) == "string" and format.named[value] then return value end
  return nil, '"plain", "si", "bytes", "seconds", "percent" or a function'
end

local function color(value)
  if type(value) == "string" and value:find "^#%x%x%x%x%x%x$" then return value end
  return nil, '"#rrggbb"'
end

local SERIES <const> = {
  name = { test = text },
  x = { "table" },
  y = { "table" },
  error = { "table" },
  color = { test = color },
  dashed = { "boolean" },
  markers = { "boolean" },
}

local CHART <const> = {
  title = { test = text },
  subtitle = { test = text },
  description = { test = text },
  x_label = { test = text },
  y_label = { test = text },
  x_scale = { "one_of", "linear", "log", "log2", default = "linear" },
  y_scale = { "one_of", "linear", "log", "log2", default = "linear" },
  x_min = { test = finite },
  x_max = { test = finite },
  y_min = { test = finite },
  y_max = { test = finite },
  x_ticks = { "table" },
  y_ticks = { "table" },
  x_format = { test = number_format, default = "plain" },
  y_format = { test = number_format, default = "plain" },
  marks = { "table" },
  series = { "table" },
  legend = { "boolean", default = true },
  theme = { "one_of", "light", "dark", default = "light" },
  width = { "integer", min = 200, max = 10000, default = 720 },
  height = { "integer", min = 150, max = 10000, default = 440 },
}
for key, rule in pairs(SERIES) do CHART[key] = rule end

local MARK <const> = { x = { test = finite }, y = { test = finite }, label = { test = text } }

-- Series -----------------------------------------------------------------------------------------------------

local function counted(n)
  local list = { n = n }
  for i = 1, n do list[i] = i end
  return list
end

local function read_errors(entry, y, low, high, where)
  if not entry.error then return low, high end
  local down, up = values.errors(entry.error, y, where .. "error")
  for i = 1, y.n do
    if values.is_finite(low[i]) then
      if values.is_finite(down[i]) then
        values.refuse(where .. "error", "y[%d] has repetitions, which tell it already", i)
      end
      down[i], up[i] = low[i], high[i]
    end
  end
  return down, up
end

local function read_series(entry, kind, where)
  if not entry.y then values.refuse(where .. "y", "array of numbers expected, got nil") end
  local y, low, high = values.measured(entry.y, where .. "y")
  local x = (kind == "bar" and values.names or values.numbers)(entry.x or counted(y.n), where .. "x")
  if x.n ~= y.n then values.refuse(where .. "x", "%d values, but %d of y", x.n, y.n) end
  low, high = read_errors(entry, y, low, high, where)
  return {
    name = entry.name, x = x, y = y, low = low, high = high, n = y.n,
    color = entry.color, dashed = entry.dashed, markers = entry.markers, quiet = entry.quiet,
  }
end

local function entries_of(given, name)
  if not given.series then return { { entry = given, where = "" } } end
  for key in pairs(SERIES) do
    if given[key] ~= nil and key ~= "x" then
      values.refuse(key, "belongs into the entries of 'series' when there are any")
    end
  end
  local entries = {}
  for i = 1, values.length(given.series, "series") do
    local one = given.series[i]
    local entry = options.check(SERIES, one, 1, name, ("series[%d]: "):format(i))
    entry.x = entry.x or given.x
    entries[i] = { entry = entry, where = ("series[%d]."):format(i) }
  end
  if #entries == 0 then values.refuse("series", "there is none") end
  return entries
end

-- Ranges -----------------------------------------------------------------------------------------------------

local function widen(range, value)
  if not values.is_finite(value) or range.base and value <= 0 then return end
  range.lo, range.hi = math.min(range.lo, value), math.max(range.hi, value)
  if value % 1 ~= 0 then range.whole = false end
end

local function new_range(given, key)
  local scale = given[key .. "_scale"]
  local range = {
    key = key, scale = scale, base = axis.BASES[scale], format = given[key .. "_format"],
    lo = math.huge, hi = -math.huge, whole = true, fixed_lo = given[key .. "_min"], fixed_hi = given[key .. "_max"],
  }
  for _, side in ipairs { "_min", "_max" } do
    local value = given[key .. side]
    if range.base and value and value <= 0 then
      values.refuse(key .. side, "a number > 0 expected on a logarithmic axis, got %s", format.number(value))
    end
    if value then widen(range, value) end
  end
  return range
end

local function read_ticks(range, given)
  local key = range.key .. "_ticks"
  if not given[key] then return end
  local list = values.numbers(given[key], key)
  for i = 1, list.n do
    if not values.is_finite(list[i]) then values.refuse(key, "[%d]: finite number expected", i) end
  end
  table.sort(list)
  range.ticks = list
  for _, value in ipairs(list) do widen(range, value) end
end

-- The range is there and can be drawn.
local function settle(range)
  local key, lo, hi = range.key, range.fixed_lo or range.lo, range.fixed_hi or range.hi
  if range.fixed_lo and range.fixed_hi and lo >= hi then values.refuse(key .. "_min", "must be < '%s_max'", key) end
  if lo > hi or (range.fixed_lo or range.fixed_hi) and lo == hi then
    values.refuse(key .. (range.fixed_lo and "_min" or "_max"), "leaves none of the values to be seen")
  end
  if not values.is_finite(hi - lo) and not range.base then
    values.refuse(key, "%s and %s are too far apart", format.number(lo), format.number(hi))
  end
end

local function is_drawn(model, series, i)
  local x, y = series.x[i], series.y[i]
  local has_x = model.kind == "bar" or values.is_finite(x) and (not model.x.base or x > 0)
  return has_x and values.is_finite(y) and (not model.y.base or y > 0)
end

-- Which points there are, what is left out, the ranges of both axes.
local function measure(model)
  local count = 0
  for _, series in ipairs(model.series) do
    series.drawn, series.count = {}, 0
    for i = 1, series.n do
      if is_drawn(model, series, i) then
        series.drawn[i], series.count = true, series.count + 1
        if model.kind ~= "bar" then widen(model.x, series.x[i]) end
        widen(model.y, series.y[i])
        widen(model.y, series.low[i])
        widen(model.y, series.high[i])
      end
    end
    count = count + series.count
  end
  if count > 0 then return end
  local is_log = model.x.base or model.y.base
  values.refuse("y", "no point that can be drawn%s", is_log and " (logarithmic axes need values > 0)" or "")
end

-- Bars -------------------------------------------------------------------------------------------------------

-- One name for each group of bars; every series has the same.
local function read_groups(model)
  local groups = model.series[1].x
  for k = 2, #model.series do
    local series = model.series[k]
    if series.n ~= groups.n then
      values.refuse(("series[%d].y"):format(k), "%d values, but %d in the first series", series.n, groups.n)
    end
    for i = 1, groups.n do
      if series.x[i] ~= groups[i] then
        values.refuse(("series[%d].x"):format(k), "[%d]: another name than in the first series", i)
      end
    end
  end
  return groups
end

local function check_bars(given)
  for _, key in ipairs { "x_scale", "x_min", "x_max", "x_ticks", "x_format", "markers", "dashed" } do
    if given[key] ~= nil and given[key] ~= CHART[key].default then values.refuse(key, "not for bars") end
  end
end

-- The chart --------------------------------------------------------------------------------------------------

local function read_marks(given, kind, name)
  local marks = {}
  for i = 1, given.marks and values.length(given.marks, "marks") or 0 do
    local mark = options.check(MARK, given.marks[i], 1, name, ("marks[%d]: "):format(i))
    local where = ("marks[%d]"):format(i)
    if (mark.x == nil) == (mark.y == nil) then values.refuse(where, "either x or y expected") end
    if mark.x and kind == "bar" then values.refuse(where .. ".x", "not for bars") end
    marks[i] = mark
  end
  return marks
end

local function give_colors(model)
  local colors, next_color = palette[model.theme], 0
  for _, series in ipairs(model.series) do
    if series.quiet then
      series.color, series.index, series.dash = series.color or colors.ideal, 1, "6 4"
    else
      local round = next_color // #colors.series
      series.color = series.color or colors.series[next_color % #colors.series + 1]
      series.index = next_color % #palette.markers + 1
      series.sign = next_color % #palette.signs + 1
      series.dash = series.dashed and "6 4" or palette.dashes[round % #palette.dashes + 1]
      next_color = next_color + 1
    end
  end
end

local function read(kind, given, name, more)
  local model = {
    kind = kind, title = given.title, subtitle = given.subtitle, description = given.description,
    x_label = given.x_label, y_label = given.y_label, legend = given.legend, theme = given.theme,
    width = given.width, height = given.height, series = {},
  }
  if kind == "bar" then check_bars(given) end
  for i, item in ipairs(entries_of(given, name)) do
    local series = read_series(item.entry, kind, item.where)
    if kind == "bar" and (series.markers ~= nil or series.dashed ~= nil) then
      values.refuse(item.where .. (series.markers ~= nil and "markers" or "dashed"), "not for bars")
    end
    model.series[i] = series
  end
  for _, entry in ipairs(more or {}) do table.insert(model.series, read_series(entry, kind, "")) end
  model.x, model.y = new_range(given, "x"), new_range(given, "y")
  model.marks = read_marks(given, kind, name)
  for _, mark in ipairs(model.marks) do
    if mark.x then widen(model.x, mark.x) else widen(model.y, mark.y) end
  end
  measure(model)
  if kind == "bar" then
    model.groups = read_groups(model)
    if not model.y.base then widen(model.y, 0.0) end
  end
  for _, range in ipairs(kind == "bar" and { model.y } or { model.y, model.x }) do
    read_ticks(range, given)
    settle(range)
  end
  give_colors(model)
  return model
end

-- The options of a chart of this kind, argument #1 of plot.<name>, as a model. `more`: further series.
function data.read(kind, given, name, more)
  given = options.check(CHART, given, 1, name)
  return values.guard(name, read, kind, given, name, more)
end

-- The options of plot.speedup that are those of charts.
data.CHART = CHART

function data.check_series(list, name, rules)
  local entries = {}
  for i, one in ipairs(list) do entries[i] = options.check(rules, one, 1, name, ("series[%d]: "):format(i)) end
  if #entries == 0 then check.bad_argument(1, name, "option 'series': there is none") end
  return entries
end

return data
