-- SPDX-License-Identifier: MIT
-- An axis: a range of values on 0 .. 1, with ticks and their texts. Made anew for each size that is drawn.
local format = require "plot.format"
local ticks = require "plot.ticks"

local axis = {}

local BASES <const> = { log = 10, log2 = 2 }

local LARGEST <const>, SMALLEST <const> = 0x1.fffffffffffffp1023, 0x1p-1074

axis.BASES = BASES

-- A range around one value, or around values that a number cannot tell apart.
local function widened(lo, hi, base)
  if base then
    if math.log(hi, base) - math.log(lo, base) > 1e-9 then return lo, hi end
    return math.max(lo / base, SMALLEST), math.min(hi * base, LARGEST)
  end
  local size = math.max(math.abs(lo), math.abs(hi))
  if hi - lo > 1e-10 * size and hi - lo > 1e-290 then return lo, hi end
  local margin = size > 1e-280 and size * 0.1 or 1
  return math.max(lo - margin, -LARGEST), math.min(hi + margin, LARGEST)
end

-- Beyond the largest and the smallest numbers there are no ticks.
local function is_usable(value, base)
  return value - value == 0 and (not base or value > 0)
end

local function is_whole(range)
  return range.whole and math.abs(range.lo) < 2 ^ 52 and math.abs(range.hi) < 2 ^ 52
end

local function automatic(range, lo, hi, n, base)
  if base then return ticks.log(lo, hi, n, base) end
  return ticks.linear(lo, hi, n, is_whole(range))
end

-- A value by itself, as this range has it; `digits` for plain numbers.
function axis.text(range, value, digits)
  local write = format.named[range.format] or range.format or format.number
  return write == format.number and format.number(value, digits) or write(value)
end

local function texts_of(range, values, extra, base)
  if extra and range.format == "plain" then
    if base then return format.plain_powers(values, extra, base) end
    return format.plain_linear(values, extra)
  end
  local texts = {}
  for i, value in ipairs(values) do texts[i] = axis.text(range, value) end
  return texts
end

-- range: { scale, lo, hi, fixed_lo, fixed_hi, whole, ticks, format } -> { lo, hi, ticks = { { value, at, text } ... },
-- minor = { at ... }, at = function(value) } with about n ticks.
function axis.new(range, n)
  local base = BASES[range.scale]
  local position = base and function(value) return math.log(value, base) end or function(value) return value end
  local lo, hi = widened(range.lo, range.hi, base)
  if range.fixed_lo then lo = range.fixed_lo end
  if range.fixed_hi then hi = range.fixed_hi end
  local values, extra, minor, first, last = range.ticks, nil, nil, lo, hi
  if not values then values, extra, minor, first, last = automatic(range, lo, hi, n, base) end
  if not range.fixed_lo and is_usable(first, base) then lo = math.min(lo, first) end
  if not range.fixed_hi and is_usable(last, base) then hi = math.max(hi, last) end
  local from, to = position(lo), position(hi)
  local made = { ticks = {}, minor = {}, lo = lo, hi = hi }
  function made.at(value) return (position(value) - from) / (to - from) end
  for i, text in ipairs(texts_of(range, values, extra, base)) do
    local at = is_usable(values[i], base) and made.at(values[i]) or -1
    if at > -1e-9 and at < 1 + 1e-9 then
      table.insert(made.ticks, { value = values[i], at = math.min(1, math.max(0, at)), text = text })
    end
  end
  for _, value in ipairs(minor or {}) do
    local at = made.at(value)
    if at > 0 and at < 1 then table.insert(made.minor, at) end
  end
  return made
end

return axis
