-- SPDX-License-Identifier: MIT
-- Where an axis has its ticks. Linear ones: P. Heckbert, "Nice Numbers for Graph Labels", Graphics Gems, 1990 ("loose": the
-- first and the last tick enclose the data). Logarithmic ones: powers of the base, or 1, 2 and 5 times them.
local ticks = {}

-- Exponent of ten, and a factor 1, 2, 5 or 10 near (or, not rounded, above) the number.
local function nice(number, rounded)
  local exponent = math.floor(math.log(number, 10))
  local fraction = number / 10.0 ^ exponent
  local limits = rounded and { 1.5, 3, 7 } or { 1, 2, 5 }
  local near = 1e-9 * fraction
  if rounded and fraction < limits[1] or not rounded and fraction <= limits[1] + near then return exponent, 1 end
  if rounded and fraction < limits[2] or not rounded and fraction <= limits[2] + near then return exponent, 2 end
  if rounded and fraction < limits[3] or not rounded and fraction <= limits[3] + near then return exponent, 5 end
  return exponent + 1, 1
end

-- i * factor * 10 ^ exponent with one rounding: 0.3, not 0.30000000000000004.
local function multiple(i, factor, exponent)
  if exponent >= 0 then return i * factor * 10.0 ^ exponent end
  if exponent < -300 then return i * factor * 10.0 ^ exponent end
  return i * factor / 10.0 ^ -exponent
end

-- About n ticks that enclose lo .. hi (lo < hi) -> values, decimals that they need, nil, the first and the last one.
-- `whole`: no fractions.
function ticks.linear(lo, hi, n, whole)
  local exponent, factor = nice(hi - lo, false)
  exponent, factor = nice(factor * 10.0 ^ exponent / math.max(1, n - 1), true)
  if whole and exponent < 0 then exponent, factor = 0, 1 end
  local step = factor * 10.0 ^ exponent
  local first, last = math.floor(lo / step + 1e-9), math.ceil(hi / step - 1e-9)
  local values = {}
  for i = first, last do
    local value = multiple(i, factor, exponent)
    values[#values + 1] = value == 0 and 0.0 or value -- no -0.0
  end
  return values, math.max(0, -exponent), nil, values[1], values[#values]
end

local STEPS <const> = { 1, 2, 3, 5, 10, 20, 50, 100, 200 }

-- Powers of the base, every so many of them, for whole powers lo .. hi -> exponents, distance.
local function powers(lo, hi, n)
  for _, step in ipairs(STEPS) do
    local first, last = -(-lo // step), hi // step
    if last - first <= math.max(1, n - 1) or step == STEPS[#STEPS] then
      local exponents = {}
      for i = first, last do exponents[#exponents + 1] = i * step end
      if #exponents == 1 and lo < hi then exponents = { lo, hi } end
      return exponents, step
    end
  end
end

local MULTIPLES <const> = { 1, 2, 5 }

-- 1, 2 and 5 times powers of ten that enclose lo .. hi, for a range of less than two decades.
local function one_two_five(lo, hi)
  local values = {}
  for exponent = math.floor(math.log(lo, 10)) - 1, math.ceil(math.log(hi, 10)) + 1 do
    for _, factor in ipairs(MULTIPLES) do values[#values + 1] = multiple(factor, 1, exponent) end
  end
  local first, last = 1, #values
  while values[first + 1] <= lo * (1 + 1e-9) do first = first + 1 end
  while values[last - 1] >= hi * (1 - 1e-9) do last = last - 1 end
  return table.move(values, first, last, 1, {})
end

-- Ticks for a logarithmic axis with 0 < lo < hi -> values, exponents (of the base; nil where they are no powers), minor
-- ones, and what encloses lo .. hi.
function ticks.log(lo, hi, n, base)
  if base == 10 and hi / lo < 99 and lo > 1e-300 and hi < 1e300 then
    local values = one_two_five(lo, hi)
    if #values <= n + 1 then return values, nil, {}, values[1], values[#values] end
  end
  local first, last = math.floor(math.log(lo, base) + 1e-9), math.ceil(math.log(hi, base) - 1e-9)
  local exponents, step = powers(first, math.max(last, first + 1), n)
  local values, minor = {}, {}
  for i, exponent in ipairs(exponents) do
    values[i] = (base + 0.0) ^ exponent
    if step == 1 and base == 10 and i < #exponents then
      for factor = 2, 9 do minor[#minor + 1] = factor * values[i] end
    end
  end
  return values, exponents, minor, (base + 0.0) ^ first, (base + 0.0) ^ math.max(last, first + 1)
end

return ticks
