-- SPDX-License-Identifier: MIT
-- Text without fonts: what is fit to be shown, how wide it is about, how it is cut and wrapped.
local words = {}

local REPLACEMENT <const> = "\u{FFFD}"

local function valid_utf8(text)
  local _, bad = utf8.len(text)
  while bad do
    text = text:sub(1, bad - 1) .. REPLACEMENT .. text:sub(bad + 1)
    _, bad = utf8.len(text, bad)
  end
  return text
end

-- One line of valid UTF-8 without control characters, C1 among them: neither XML nor a terminal minds it.
function words.clean(text)
  text = valid_utf8(text):gsub("[\t\n\r]+", " ")
  text = text:gsub("%c", REPLACEMENT):gsub("\xC2[\x80-\x9F]", REPLACEMENT)
  return (text:gsub("\xEF\xBF[\xBE\xBF]", REPLACEMENT))
end

local WIDE <const> = { -- first and last characters of what takes two columns: East Asian wide, and emoji
  0x1100, 0x115F, 0x2E80, 0x303E, 0x3041, 0x33FF, 0x3400, 0x4DBF, 0x4E00, 0x9FFF, 0xA000, 0xA4CF, 0xAC00, 0xD7A3,
  0xF900, 0xFAFF, 0xFE30, 0xFE6F, 0xFF00, 0xFF60, 0xFFE0, 0xFFE6, 0x1F300, 0x1F64F, 0x1F680, 0x1F6FF,
  0x1F900, 0x1F9FF, 0x20000, 0x3FFFD,
}
local NONE <const> = { -- combining marks, joiners, variation selectors
  0x0300, 0x036F, 0x0483, 0x0489, 0x0591, 0x05BD, 0x0610, 0x061A, 0x064B, 0x065F, 0x1AB0, 0x1AFF, 0x1DC0, 0x1DFF,
  0x200B, 0x200F, 0x202A, 0x202E, 0x2060, 0x206F, 0x20D0, 0x20FF, 0xFE00, 0xFE0F, 0xFE20, 0xFE2F, 0xE0100, 0xE01EF,
}

local function is_in(ranges, code)
  for i = 1, #ranges, 2 do
    if code < ranges[i] then return false end
    if code <= ranges[i + 1] then return true end
  end
  return false
end

local function columns_of(code)
  if code < 0x300 then return 1 end
  return is_in(NONE, code) and 0 or is_in(WIDE, code) and 2 or 1
end

-- Advance widths in em of usual sans-serif fonts, rounded up: to reserve room, not to set type.
local EM <const> = {}
for class, width in pairs {
  [" !',.:;|ijlI`"] = 0.31, ["()[]{}/\\-rtf\"*"] = 0.42, ["csvxyzkJ?_^"] = 0.54, ["mM@%"] = 0.95,
  ["wWOQGDHNUC&+=<>~"] = 0.78,
} do
  for character in class:gmatch "." do EM[character:byte()] = width end
end

local function em_of(code)
  if code < 128 then return EM[code] or 0.62 end
  local columns = columns_of(code)
  return columns == 2 and 1.02 or columns == 0 and 0 or 0.66
end

local function sum(text, measure)
  local total = 0
  for _, code in utf8.codes(text) do total = total + measure(code) end
  return total
end

-- Columns on a terminal.
function words.columns(text) return sum(text, columns_of) end

-- About so many em in a picture.
function words.em(text) return sum(text, em_of) end

-- The text, or its beginning and an ellipsis, in a width measured by words.columns or words.em.
function words.cut(text, width, measure, ellipsis)
  if measure(text) <= width then return text end
  ellipsis = ellipsis or "…"
  local room, last = width - measure(ellipsis), 0
  for position, code in utf8.codes(text) do
    room = room - measure(utf8.char(code))
    if room < 0 then break end
    last = position + #utf8.char(code) - 1
  end
  return text:sub(1, last):gsub("%s+$", "") .. ellipsis
end

-- Where a line that is too long may be broken: behind spaces, and at wide characters.
local function pieces(text)
  local list, from = {}, 1
  for position, code in utf8.codes(text) do
    local after = position + #utf8.char(code)
    if code == 32 or is_in(WIDE, code) then
      list[#list + 1] = text:sub(from, after - 1)
      from = after
    end
  end
  list[#list + 1] = text:sub(from)
  return list
end

-- The text in at most `most` lines, the last one cut.
function words.wrap(text, width, measure, most)
  local lines, line = {}, ""
  for _, piece in ipairs(pieces(text)) do
    local longer = line .. piece
    if line ~= "" and #lines + 1 < most and measure((longer:gsub("%s+$", ""))) > width then
      lines[#lines + 1] = line
      line = piece
    else
      line = longer
    end
  end
  lines[#lines + 1] = line
  for i, one in ipairs(lines) do lines[i] = words.cut((one:gsub("%s+$", "")), width, measure) end
  return lines
end

return words
