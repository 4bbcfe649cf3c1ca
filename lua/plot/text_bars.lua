-- SPDX-License-Identifier: MIT
-- Bars in characters: they lie, in eighths of a cell, each with its name in front and its value behind.
local axis = require "plot.axis"
local values = require "plot.values"
local words = require "plot.words"

local EIGHTHS <const> = { "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█" }

-- The value with its spread.
local function value_text(model, series, i)
  if not series.drawn[i] then return "–" end
  local function number(value) return axis.text(model.y, value, 4) end
  local text = number(series.y[i])
  if not values.is_finite(series.low[i]) then return text end
  return ("%s (%s to %s)"):format(text, number(series.low[i]), number(series.high[i]))
end

-- The cells of a bar between two places on 0 .. 1.
local function bar(c, from, to, room)
  from, to = math.max(0, math.min(from, to)), math.min(1, math.max(from, to))
  if c.style == "ascii" then
    local first, last = math.floor(from * room + 0.5), math.floor(to * room + 0.5)
    return (" "):rep(first) .. ("#"):rep(last - first) .. (" "):rep(room - last)
  end
  local first, eighths = math.floor(from * room + 1e-9), math.floor(to * room * 8 + 0.5)
  local full, rest = eighths // 8, eighths % 8
  local begin = from * room - first > 0.5 and "▐" or "█" -- to the left of zero: halves
  local text = (" "):rep(first)
  if full > first then text = text .. begin .. ("█"):rep(full - first - 1) end
  if rest > 0 then text = text .. EIGHTHS[rest] end
  return text .. (" "):rep(math.max(0, room - math.max(full, first) - (rest > 0 and 1 or 0)))
end

local function names_of(c, shown)
  local model, many = c.model, #c.model.series > 1
  local groups, series, wide, wide_series = {}, {}, 0, 0
  for i, name in ipairs(model.groups) do
    groups[i] = words.cut(shown(name), c.width // 3, words.columns)
    wide = math.max(wide, words.columns(groups[i]))
  end
  for k, one in ipairs(model.series) do
    series[k] = many and words.cut(shown(one.name or tostring(k)), c.width // 4, words.columns) or ""
    wide_series = math.max(wide_series, words.columns(series[k]))
  end
  return groups, series, wide, wide_series
end

-- Without ticks there is no need for round ends.
local function tight(range)
  if range.base or range.lo == range.hi then return range end
  local copy = {}
  for key, value in pairs(range) do copy[key] = value end
  copy.fixed_lo, copy.fixed_hi = range.fixed_lo or range.lo, range.fixed_hi or range.hi
  return copy
end

local function padded(text, width)
  return text .. (" "):rep(width - words.columns(text))
end

-- c: what plot.text has made ready; adds to lines.
return function(c, lines, shown)
  local model = c.model
  local groups, series, wide, wide_series = names_of(c, shown)
  local texts, longest = {}, 0
  for k, one in ipairs(model.series) do
    texts[k] = {}
    for i = 1, one.n do
      texts[k][i] = shown(value_text(model, one, i))
      longest = math.max(longest, words.columns(texts[k][i]))
    end
  end
  local before = wide + 1 + (wide_series > 0 and wide_series + 1 or 0)
  local room = math.max(8, c.width - before - longest - 1)
  local made = axis.new(tight(model.y), 4)
  local base = made.at(model.y.base and made.lo or math.max(made.lo, math.min(0, made.hi)))
  base = math.floor(base * room + 0.5) / room -- bars of both signs meet between two cells
  for i = 1, #groups do
    for k, one in ipairs(model.series) do
      local line = padded(k == 1 and groups[i] or "", wide) .. " "
      if wide_series > 0 then line = line .. padded(series[k], wide_series) .. " " end
      local to = one.drawn[i] and made.at(one.y[i]) or base
      lines[#lines + 1] = line .. bar(c, base, to, room) .. " " .. texts[k][i]
    end
  end
  if model.x_label then lines[#lines + 1] = shown(model.x_label) end
end
