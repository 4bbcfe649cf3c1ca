-- SPDX-License-Identifier: MIT
-- Numbers as text: the same in every locale. Formats give the text of one tick.
local format = {}

-- With a decimal point, whatever the locale has.
function format.fixed(value, decimals)
  local text = ("%." .. decimals .. "f"):format(value):gsub(",", ".")
  return tonumber(text) == 0 and text:gsub("^-", "") or text
end

local function trimmed(text)
  if text:find(".", 1, true) then text = text:gsub("0+$", ""):gsub("%.$", "") end
  return text
end

-- A coordinate: two decimals at most.
function format.coordinate(value)
  return trimmed(format.fixed(value, 2))
end

local SUPERSCRIPTS <const> = {
  ["-"] = "⁻", ["0"] = "⁰", ["1"] = "¹", ["2"] = "²", ["3"] = "³", ["4"] = "⁴", ["5"] = "⁵", ["6"] = "⁶",
  ["7"] = "⁷", ["8"] = "⁸", ["9"] = "⁹",
}

-- base ^ exponent, as people write it.
function format.power(base, exponent)
  return ("%d%s"):format(base, (("%d"):format(exponent):gsub(".", SUPERSCRIPTS)))
end

-- A number by itself, with so many significant digits.
function format.number(value, digits)
  digits = digits or 6
  if value == 0 then return "0" end
  local size = math.abs(value)
  if size < 1e-4 or size >= 1e7 then
    local mantissa, exponent = (("%%.%de"):format(digits - 1)):format(value):gsub(",", "."):match "^(.-)e(.*)$"
    local power = format.power(10, math.tointeger(tonumber(exponent)))
    mantissa = trimmed(mantissa)
    if mantissa == "1" or mantissa == "-1" then return mantissa:sub(1, -2) .. power end
    return ("%s×%s"):format(mantissa, power)
  end
  local decimals = digits - 1 - math.floor(math.log(size, 10))
  return trimmed(format.fixed(value, math.max(0, decimals)))
end

local LARGE <const> = { "k", "M", "G", "T", "P", "E" }
local SMALL <const> = { "m", "µ", "n", "p", "f", "a" }

-- The value and the prefix with which it is 1 or more, but less than 1000.
local function prefixed(value, step, large, small)
  local size, i = math.abs(value), 0
  while size >= step * (1 - 1e-9) and i < #large do
    size, value, i = size / step, value / step, i + 1
  end
  if i > 0 then return value, large[i] end
  while size > 0 and size < 1 - 1e-9 and i < #small do
    size, value, i = size * step, value * step, i + 1
  end
  return value, i > 0 and small[i] or ""
end

local function si(value)
  local number, prefix = prefixed(value, 1000, LARGE, SMALL)
  return format.number(number, 4) .. prefix
end

local function bytes(value)
  local number, prefix = prefixed(value, 1024, { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" }, {})
  return ("%s %s"):format(format.number(number, 4), prefix == "" and "B" or prefix)
end

local function seconds(value)
  local number, prefix = prefixed(value, 1000, {}, SMALL)
  return value == 0 and "0 s" or ("%s %ss"):format(format.number(number, 4), prefix)
end

local function percent(value)
  return format.number(100 * value, 4) .. " %"
end

-- Of "plain" the ticks of an axis are written together.
format.named = { plain = format.number, si = si, bytes = bytes, seconds = seconds, percent = percent }

-- Ticks of a linear axis, all with the same number of decimals.
function format.plain_linear(values, decimals)
  local texts, largest = {}, 0
  for _, value in ipairs(values) do largest = math.max(largest, math.abs(value)) end
  local usual = largest < 1e6 and decimals <= 5
  for i, value in ipairs(values) do
    texts[i] = usual and format.fixed(value, decimals) or format.number(value, 12)
  end
  return texts
end

-- Ticks of a logarithmic axis that are powers of its base.
function format.plain_powers(values, exponents, base)
  local texts, first, last = {}, exponents[1], exponents[#exponents]
  local usual = base == 10 and first >= -3 and last <= 4 or base == 2 and first >= 0 and last <= 16
  for i, value in ipairs(values) do
    texts[i] = usual and trimmed(format.fixed(value, 3)) or format.power(base, exponents[i])
  end
  return texts
end

local PLAIN <const> = { ["×"] = "*", ["µ"] = "u", ["…"] = "...", ["±"] = "+-", ["–"] = "-", ["\u{FFFD}"] = "?" }
local DIGITS <const> = {}
for digit, superscript in pairs(SUPERSCRIPTS) do DIGITS[superscript] = digit end

-- What we write ourselves, in ASCII; anything else stays.
function format.ascii(text)
  text = text:gsub(utf8.charpattern, function(character) return PLAIN[character] end)
  local result, in_power = {}, false
  for _, code in utf8.codes(text) do
    local character = utf8.char(code)
    local digit = DIGITS[character]
    if digit and not in_power then result[#result + 1] = "^" end
    in_power = digit ~= nil
    result[#result + 1] = digit or character
  end
  return table.concat(result)
end

return format
