-- SPDX-License-Identifier: MIT
-- A chart in sentences, for those who cannot see it.
local axis = require "plot.axis"

local KINDS <const> = { line = "Line chart", scatter = "Scatter chart", bar = "Bar chart" }
local SCALES <const> = { log = ", logarithmic", log2 = ", logarithmic" }

local function axis_words(name, label, range)
  local lo, hi = axis.text(range, range.lo), axis.text(range, range.hi)
  local from_to = range.lo <= range.hi and (", from %s to %s"):format(lo, hi) or ""
  return ("%s: %s%s%s."):format(name, label or "no label", from_to, SCALES[range.scale] or "")
end

local function point_words(model, series, i)
  local x = series.x[i]
  return ("%s at %s"):format(axis.text(model.y, series.y[i]), type(x) == "string" and x or axis.text(model.x, x))
end

local function series_words(model, series, i)
  local name = series.name or ("series %d"):format(i)
  if series.count == 0 then return name .. ": no points." end
  local first, last, lowest, highest
  for k = 1, series.n do
    if series.drawn[k] then
      first, last = first or k, k
      if not lowest or series.y[k] < series.y[lowest] then lowest = k end
      if not highest or series.y[k] > series.y[highest] then highest = k end
    end
  end
  local left_out = series.n - series.count
  return ("%s: %d %s, first %s, last %s, lowest %s, highest %s%s."):format(name, series.count,
    series.count == 1 and "point" or "points", point_words(model, series, first), point_words(model, series, last),
    point_words(model, series, lowest), point_words(model, series, highest),
    left_out > 0 and ("; %d left out"):format(left_out) or "")
end

return function(model)
  local sentences = {}
  local function say(text) sentences[#sentences + 1] = text end
  if model.description then say(model.description) end
  say(KINDS[model.kind] .. (model.subtitle and ": " .. model.subtitle or "") .. ".")
  if model.kind ~= "bar" then say(axis_words("x", model.x_label, model.x)) end
  say(axis_words("y", model.y_label, model.y))
  for i, series in ipairs(model.series) do say(series_words(model, series, i)) end
  for _, mark in ipairs(model.marks) do
    say(("Mark at %s = %s%s."):format(mark.x and "x" or "y",
      axis.text(mark.x and model.x or model.y, mark.x or mark.y),
      mark.label and ": " .. mark.label or ""))
  end
  return table.concat(sentences, " ")
end
