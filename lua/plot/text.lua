-- SPDX-License-Identifier: MIT
-- A chart in characters, for a terminal. Bars: plot.text_bars.
local axis = require "plot.axis"
local canvas = require "plot.canvas"
local clip = require "plot.clip"
local format = require "plot.format"
local palette = require "plot.palette"
local values = require "plot.values"
local words = require "plot.words"

local FRAME <const> = {
  braille = { side = "│", tick = "┤", corner = "└", under = "─", under_tick = "┬", mark = "┆", line = "⠒⠒" },
  ascii = { side = "|", tick = "+", corner = "+", under = "-", under_tick = "+", mark = ":", line = ".." },
}
local PATTERNS <const> = { -- of lines: which dots there are
  { true }, { true, true, true, true, false, false }, { true, false, false }, { true, true, true, false, true, false },
}
local QUIET <const> = { true, false, false, false }

-- ASCII for those who want nothing else; what a program has written itself is its own affair.
local function shown(c, text)
  return c.style == "ascii" and format.ascii(text) or text
end

local function pad(text, width, to_right)
  local space = (" "):rep(math.max(0, width - words.columns(text)))
  return to_right and space .. text or text .. space
end

local function fits(ticks, room)
  for i = 2, #ticks do
    local half = (words.columns(ticks[i - 1].text) + words.columns(ticks[i].text)) / 2
    if (ticks[i].at - ticks[i - 1].at) * (room - 1) < half + 1 then return false end
  end
  return true
end

local function ticks_shown(c, made)
  for _, tick in ipairs(made.ticks) do tick.text = words.cut(shown(c, tick.text), c.width // 4, words.columns) end
  return made
end

local function x_axis(c, room)
  local made
  for n = math.max(2, room // 9), 2, -1 do
    made = ticks_shown(c, axis.new(c.model.x, n))
    if fits(made.ticks, room) then return made end
  end
  while #made.ticks > 1 and not fits(made.ticks, room) do
    local kept = {}
    for i = 1, #made.ticks, 2 do kept[#kept + 1] = made.ticks[i] end
    made.ticks = kept
  end
  return made
end

-- Words above and below --------------------------------------------------------------------------------------

local function sign_of(c, series)
  if series.quiet then return nil end
  return (c.style == "ascii" and palette.ascii_signs or palette.signs)[series.sign]
end

local function legend_lines(c)
  local lines, line = {}, ""
  for _, series in ipairs(c.model.legend and c.model.series or {}) do
    if series.name and series.name ~= "" then
      local entry = (sign_of(c, series) or c.frame.line) .. " " .. series.name
      entry = words.cut(entry, c.width, words.columns)
      if line ~= "" and words.columns(line) + 3 + words.columns(entry) > c.width then
        lines[#lines + 1], line = line, ""
      end
      line = line == "" and entry or line .. "   " .. entry
    end
  end
  lines[#lines + 1] = line ~= "" and line or nil
  return lines
end

local function add_wrapped(c, lines, text)
  if not text or text == "" then return end
  for _, one in ipairs(words.wrap(shown(c, text), c.width, words.columns, 3)) do lines[#lines + 1] = one end
end

local function head_lines(c)
  local lines = {}
  add_wrapped(c, lines, c.model.title)
  add_wrapped(c, lines, c.model.subtitle)
  for _, line in ipairs(legend_lines(c)) do lines[#lines + 1] = line end
  add_wrapped(c, lines, c.model.y_label)
  return lines
end

local function mark_lines(c)
  local parts = {}
  for _, mark in ipairs(c.model.marks) do
    local key = mark.x and "x" or "y"
    parts[#parts + 1] = ("%s %s = %s"):format(mark.label or "mark", key, axis.text(c.model[key], mark.x or mark.y))
  end
  local lines = {}
  if #parts > 0 then add_wrapped(c, lines, c.frame.mark .. " " .. table.concat(parts, "; ")) end
  return lines
end

-- Data -------------------------------------------------------------------------------------------------------

local function dot_x(c, at) return math.floor(at * (c.canvas.dots_x - 1) + 0.5) end
local function dot_y(c, at) return math.floor(at * (c.canvas.dots_y - 1) + 0.5) end

local function draw_marks(c)
  local across, up = c.canvas.dots_x - 1, c.canvas.dots_y - 1
  for _, mark in ipairs(c.model.marks) do
    local at = mark.x and c.x.at(mark.x) or c.y.at(mark.y)
    if clip.is_inside(at, 0) then
      if mark.x then
        c.canvas:line(dot_x(c, at), 0, dot_x(c, at), up, { true, false }, 1, c.frame.mark)
      else
        c.canvas:line(0, dot_y(c, at), across, dot_y(c, at), QUIET, 1, "-")
      end
    end
  end
end

local function draw_error(c, series, i, x)
  local low, high = series.low[i], series.high[i]
  if not values.is_finite(low) or c.model.y.base and high <= 0 then return end
  low = c.model.y.base and low <= 0 and c.y.lo or low
  local _, bottom, _, top = clip.segment(0, c.y.at(low), 0, c.y.at(high))
  if bottom then c.canvas:line(x, dot_y(c, bottom), x, dot_y(c, top), { true }, 1, "|") end
end

local function draw_line(c, series, points, character)
  local pattern = series.quiet and QUIET or PATTERNS[(series.sign - 1) % #PATTERNS + 1]
  if #c.model.series == 1 then pattern = PATTERNS[1] end
  local i = 1
  for _, piece in ipairs(clip.lines(points)) do
    piece = clip.thin(piece, c.canvas.dots_x)
    for k = 2, #piece do
      local from, to = piece[k - 1], piece[k]
      i = c.canvas:line(dot_x(c, from[1]), dot_y(c, from[2]), dot_x(c, to[1]), dot_y(c, to[2]), pattern, i, character)
    end
  end
end

-- Signs stand at each point of a line, or here and there.
local function sign_distance(c, series)
  if series.quiet or series.markers == false and #c.model.series == 1 then return math.huge end
  local most = c.canvas.columns // 2
  if c.model.kind == "scatter" or series.markers or series.count <= most then return 1 end
  return #c.model.series > 1 and -(-series.n // 8) or math.huge
end

local function draw_series(c, series)
  local points, sign = {}, sign_of(c, series)
  for i = 1, series.n do
    points[i] = series.drawn[i] and { c.x.at(series.x[i]), c.y.at(series.y[i]) } or false
  end
  local distance = sign_distance(c, series)
  if c.model.kind == "line" then draw_line(c, series, points, distance == math.huge and sign or ".") end
  for i, point in ipairs(points) do
    if point and clip.is_inside(point[1], 0) then draw_error(c, series, i, dot_x(c, point[1])) end
    if point and clip.is_inside(point[1], point[2]) then
      local x, y = dot_x(c, point[1]), dot_y(c, point[2])
      if sign and distance < math.huge and (i - 1) % distance == 0 then
        c.canvas:sign(x, y, sign)
      elseif not points[i - 1] and not points[i + 1] then
        c.canvas:dot(x, y, sign)
      end
    end
  end
end

-- The whole --------------------------------------------------------------------------------------------------

local function frame_lines(c, lines, gutter)
  local at_row = {}
  for _, tick in ipairs(c.y.ticks) do
    local row = c.canvas.rows - 1 - dot_y(c, tick.at) // c.canvas.down
    at_row[row] = at_row[row] or tick.text
  end
  for row = 0, c.canvas.rows - 1 do
    local text = at_row[row]
    local side = text and c.frame.tick or c.frame.side
    lines[#lines + 1] = pad(text or "", gutter - 2, true) .. " " .. side .. c.canvas:row(row)
  end
end

local function under_lines(c, lines, gutter)
  local under, texts, at = {}, "", 0
  for column = 1, c.canvas.columns do under[column] = c.frame.under end
  for _, tick in ipairs(c.x.ticks) do
    local column = dot_x(c, tick.at) // c.canvas.across
    under[column + 1] = c.frame.under_tick
    local width = words.columns(tick.text)
    local from = math.max(at, math.min(gutter + column - width // 2, c.width - width))
    if from + width <= c.width then
      texts = pad(texts, from) .. tick.text
      at = from + width + 1
    end
  end
  lines[#lines + 1] = (" "):rep(gutter - 1) .. c.frame.corner .. table.concat(under)
  lines[#lines + 1] = texts
  if c.model.x_label then
    local label = words.cut(shown(c, c.model.x_label), c.canvas.columns, words.columns)
    lines[#lines + 1] = (" "):rep(gutter + (c.canvas.columns - words.columns(label)) // 2) .. label
  end
end

local function points_lines(c)
  local lines, marks = head_lines(c), mark_lines(c)
  local rows = math.max(3, c.height - #lines - #marks - (c.model.x_label and 3 or 2))
  c.y = ticks_shown(c, axis.new(c.model.y, math.max(3, rows // 3)))
  local gutter = 2
  for _, tick in ipairs(c.y.ticks) do gutter = math.max(gutter, words.columns(tick.text) + 2) end
  local columns = math.max(8, c.width - gutter)
  c.x = x_axis(c, columns)
  c.canvas = canvas.new(columns, rows, c.style)
  draw_marks(c)
  for _, series in ipairs(c.model.series) do draw_series(c, series) end
  frame_lines(c, lines, gutter)
  under_lines(c, lines, gutter)
  return table.move(marks, 1, #marks, #lines + 1, lines)
end

-- model, { width, height, style } -> lines of text
return function(model, size)
  local c = { model = model, width = size.width, height = size.height, style = size.style, frame = FRAME[size.style] }
  local lines
  if model.kind == "bar" then
    lines = head_lines(c)
    require "plot.text_bars" (c, lines, function(text) return shown(c, text) end)
  else
    lines = points_lines(c)
  end
  for i, line in ipairs(lines) do lines[i] = line:gsub(" +$", "") end
  return table.concat(lines, "\n") .. "\n"
end
