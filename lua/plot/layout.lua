-- SPDX-License-Identifier: MIT
-- Where things are in a picture: room for title, legend, labels and ticks is reserved first, the rest is for the data.
local axis = require "plot.axis"
local words = require "plot.words"

local layout = {}

layout.SIZE = { title = 17, subtitle = 13, text = 12, small = 11 }
local SIZE <const> = layout.SIZE
local EDGE <const> = 16 -- around everything
local SWATCH <const> = 28 -- of an entry of the legend, with the space behind

function layout.text_width(text, size)
  return words.em(text) * size
end

local function lines_of(text, width, size, most)
  return text and text ~= "" and words.wrap(text, width / size, words.em, most) or {}
end

-- Entries of the legend in rows: { x, y, series, text }. Gives the height.
local function place_legend(place, model, top)
  local named = {}
  for _, series in ipairs(model.series) do
    if series.name and series.name ~= "" then named[#named + 1] = series end
  end
  place.legend = {}
  if not model.legend or #named == 0 then return 0 end
  local room, x, y = model.width - 2 * EDGE, 0, 0
  for _, series in ipairs(named) do
    local text = words.cut(series.name, (room - SWATCH) / SIZE.text, words.em)
    local width = SWATCH + layout.text_width(text, SIZE.text)
    if x > 0 and x + width > room then x, y = 0, y + 20 end
    table.insert(place.legend, { x = EDGE + x, y = top + y + 10, series = series, text = text })
    x = x + width + 20
  end
  return y + 28
end

-- Labels of vertical marks in rows above the data, each where it is free. Gives the height.
local function place_marks(place, model)
  local ends, rows = {}, 0
  for _, mark in ipairs(model.marks) do
    if mark.x and mark.label then
      local text = words.cut(mark.label, place.width / SIZE.small, words.em)
      local width = layout.text_width(text, SIZE.small)
      local center = place.left + place.x.at(mark.x) * place.width
      local from = math.max(place.left, math.min(center - width / 2, place.left + place.width - width))
      local row = 1
      while ends[row] and ends[row] > from - 6 do row = row + 1 end
      ends[row], rows = from + width, math.max(rows, row)
      place.marks[mark] = { x = from, row = row, text = text }
    end
  end
  place.mark_rows = rows
  return rows * 15
end

local function widest(ticks, size)
  local width = 0
  for _, tick in ipairs(ticks) do width = math.max(width, layout.text_width(tick.text, size)) end
  return width
end

-- Whether no tick's text meets the next one's.
local function fits(ticks, room)
  for i = 2, #ticks do
    local half = layout.text_width(ticks[i - 1].text, SIZE.text) / 2 + layout.text_width(ticks[i].text, SIZE.text) / 2
    if (ticks[i].at - ticks[i - 1].at) * room < half + 8 then return false end
  end
  return true
end

-- Given ticks that meet: every second one of them, and so on.
local function thin_out(ticks, room)
  while #ticks > 1 and not fits(ticks, room) do
    local kept = {}
    for i = 1, #ticks, 2 do kept[#kept + 1] = ticks[i] end
    ticks = kept
  end
  return ticks
end

local function x_axis(model, room)
  local made
  for n = math.max(2, room // 64), 2, -1 do
    made = axis.new(model.x, n)
    if fits(made.ticks, room) then return made end
  end
  made.ticks = thin_out(made.ticks, room)
  return made
end

local function cut_ticks(ticks, room, size)
  for _, tick in ipairs(ticks) do tick.text = words.cut(tick.text, room / size, words.em) end
end

-- Names of groups of bars: upright if there is room, else slanted. Gives the height.
local function place_groups(place, model)
  local slot, longest = place.width / math.max(1, #model.groups), 0
  for _, name in ipairs(model.groups) do longest = math.max(longest, layout.text_width(name, SIZE.text)) end
  place.slot, place.slanted = slot, longest > slot - 6
  place.groups = {}
  for i, name in ipairs(model.groups) do
    local room = place.slanted and math.min(140, model.height / 3, (place.left + (i - 0.5) * slot - 8) / 0.82) or slot
    place.groups[i] = words.cut(name, room / SIZE.text, words.em)
  end
  if not place.slanted then return 22 end
  return 20 + math.min(140, model.height / 3, longest) * 0.6
end

-- Everything from the top down to the data. Gives where that begins.
local function place_head(place, model)
  local room, y = model.width - 2 * EDGE, EDGE
  place.title = lines_of(model.title, room, SIZE.title, 3)
  place.title_y = y + 14
  y = y + #place.title * 21
  place.subtitle = lines_of(model.subtitle, room, SIZE.subtitle, 3)
  place.subtitle_y = y + 13
  y = y + #place.subtitle * 18
  if #place.title + #place.subtitle > 0 then y = y + 8 end
  y = y + place_legend(place, model, y)
  if model.y_label then
    place.y_label = words.cut(model.y_label, room / SIZE.text, words.em)
    place.y_label_y = y + 10
    y = y + 20
  end
  return y + 6
end

local function y_axis(model, height)
  local n = math.max(2, height // 46)
  local made = axis.new(model.y, n)
  while n > 2 and #made.ticks * 15 > height do
    n = n - 1
    made = axis.new(model.y, n)
  end
  if #made.ticks * 15 > height then
    local kept = {}
    for i = 1, #made.ticks, -(-#made.ticks * 15 // math.max(15, height // 1)) do kept[#kept + 1] = made.ticks[i] end
    made.ticks = kept
  end
  return made
end

-- model -> left, top, width, height of the data, axes x, y, and the words with their places.
function layout.new(model)
  local place = { marks = {}, edge = EDGE }
  place.top = place_head(place, model)
  local below = (model.x_label and 22 or 0) + 26
  place.height = math.max(40, model.height - place.top - below - 8)
  place.y = y_axis(model, place.height)
  cut_ticks(place.y.ticks, model.width / 4, SIZE.text)
  place.left = EDGE + widest(place.y.ticks, SIZE.text) + 8
  place.width = math.max(40, model.width - place.left - EDGE - 4)
  if model.kind == "bar" then
    place.height = math.max(40, place.height - place_groups(place, model) + 18)
    place.y = y_axis(model, place.height)
    cut_ticks(place.y.ticks, model.width / 4, SIZE.text)
  else
    place.x = x_axis(model, place.width)
    cut_ticks(place.x.ticks, place.width / 2, SIZE.text)
    local ticks = place.x.ticks
    local last = ticks[#ticks] -- its text may need more room at the right
    local over = last and last.at * place.width + layout.text_width(last.text, SIZE.text) / 2 - place.width - 4 or 0
    if over > 0 then
      place.width = math.max(40, place.width - over)
      place.x.ticks = thin_out(ticks, place.width)
    end
    local height = place_marks(place, model)
    place.top, place.height = place.top + height, math.max(40, place.height - height)
  end
  place.x_label = model.x_label and words.cut(model.x_label, place.width / SIZE.text, words.em)
  return place
end

return layout
