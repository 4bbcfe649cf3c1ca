-- SPDX-License-Identifier: MIT
-- A chart as SVG: a picture with a background of its own, no ids, no scripts, no fonts, no references to elsewhere.
local axis = require "plot.axis"
local clip = require "plot.clip"
local describe = require "plot.describe"
local number = require "plot.format".coordinate
local layout = require "plot.layout"
local palette = require "plot.palette"
local shapes = require "plot.shapes"
local values = require "plot.values"
local xml = require "plot.xml"

local SIZE <const> = layout.SIZE
local FONTS <const> = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'Noto Sans CJK SC', Helvetica, Arial, sans-serif"
local MARKERS_MOST <const> = 60 -- lines with more points go without markers, unless told
local TITLES_MOST <const> = 500 -- points with a text of their own that viewers show

local function draw_text(c, text, x, y, size, color, more)
  local attributes = { "x", x, "y", y, "font-size", size, "fill", color }
  c.out:element("text", table.move(more or {}, 1, #(more or {}), #attributes + 1, attributes), text)
end

local function line(c, x1, y1, x2, y2, color, width, more)
  local attributes = { "x1", x1, "y1", y1, "x2", x2, "y2", y2, "stroke", color, "stroke-width", width }
  c.out:element("line", table.move(more or {}, 1, #(more or {}), #attributes + 1, attributes))
end

-- From 0 .. 1 to the picture.
local function px(c, x) return c.place.left + x * c.place.width end
local function py(c, y) return c.place.top + (1 - y) * c.place.height end

local function marker(c, series, x, y, title)
  local function out(attributes, name, text)
    if not text then return c.out:element(name, attributes) end
    c.out:group(name, attributes, function() c.out:element("title", {}, text) end)
  end
  shapes[palette.markers[series.index]](out, x, y, c.colors, series.color, title)
end

-- Frame ------------------------------------------------------------------------------------------------------

local function draw_head(c)
  local place, model = c.place, c.model
  for i, text in ipairs(place.title) do
    draw_text(c, text, place.edge, place.title_y + (i - 1) * 21, SIZE.title, c.colors.text, { "font-weight", "600" })
  end
  for i, text in ipairs(place.subtitle) do
    draw_text(c, text, place.edge, place.subtitle_y + (i - 1) * 18, SIZE.subtitle, c.colors.quiet)
  end
  if model.y_label then draw_text(c, place.y_label, place.edge, place.y_label_y, SIZE.text, c.colors.quiet) end
end

local function draw_legend(c)
  for _, entry in ipairs(c.place.legend) do
    local series, x, y = entry.series, entry.x, entry.y
    if c.model.kind == "bar" then
      c.out:element("rect", { "x", x + 4, "y", y - 6, "width", 12, "height", 12, "fill", series.color })
    else
      if c.model.kind == "line" then
        line(c, x, y, x + 20, y, series.color, 2.2, { "stroke-dasharray", series.dash })
      end
      if c.model.kind == "scatter" or series.markers ~= false then marker(c, series, x + 10, y) end
    end
    draw_text(c, entry.text, x + 28, y + 4, SIZE.text, c.colors.text)
  end
end

local function draw_y_axis(c)
  local place = c.place
  for _, at in ipairs(#place.y.minor * 3 < place.height and place.y.minor or {}) do
    line(c, place.left, py(c, at), place.left + place.width, py(c, at), c.colors.grid, 0.6, { "opacity", "0.6" })
  end
  for _, tick in ipairs(place.y.ticks) do
    line(c, place.left, py(c, tick.at), place.left + place.width, py(c, tick.at), c.colors.grid, 1)
    draw_text(c, tick.text, place.left - 8, py(c, tick.at) + 4, SIZE.text, c.colors.quiet, { "text-anchor", "end" })
  end
end

local function draw_x_axis(c)
  local place = c.place
  local bottom = place.top + place.height
  for _, at in ipairs(place.x.minor) do
    line(c, px(c, at), bottom, px(c, at), bottom + 3, c.colors.axis, 1)
  end
  for _, tick in ipairs(place.x.ticks) do
    line(c, px(c, tick.at), place.top, px(c, tick.at), bottom, c.colors.grid, 1)
    line(c, px(c, tick.at), bottom, px(c, tick.at), bottom + 5, c.colors.axis, 1)
    draw_text(c, tick.text, px(c, tick.at), bottom + 19, SIZE.text, c.colors.quiet, { "text-anchor", "middle" })
  end
end

local function draw_groups(c)
  local place = c.place
  for i, name in ipairs(place.groups) do
    local x, y = place.left + (i - 0.5) * place.slot, place.top + place.height + 19
    if place.slanted then
      local turn = ("rotate(-35 %s %s)"):format(number(x + 4), number(y - 4))
      draw_text(c, name, x + 4, y - 4, SIZE.text, c.colors.quiet, { "text-anchor", "end", "transform", turn })
    else
      draw_text(c, name, x, y, SIZE.text, c.colors.quiet, { "text-anchor", "middle" })
    end
  end
end

local function draw_base(c)
  local place = c.place
  local zero = place.y.lo <= 0 and not c.model.y.base and c.model.kind == "bar" and place.y.at(0) or 0
  line(c, place.left, py(c, zero), place.left + place.width, py(c, zero), c.colors.axis, 1.2)
  if c.model.x_label then
    draw_text(c, place.x_label, place.left + place.width / 2, c.model.height - 14, SIZE.text, c.colors.quiet,
      { "text-anchor", "middle" })
  end
end

local HALO <const> = { "paint-order", "stroke", "stroke-width", 3, "stroke-linejoin", "round" }

local function draw_marks(c)
  local place = c.place
  for _, mark in ipairs(c.model.marks) do
    if mark.x and clip.is_inside(place.x.at(mark.x), 0) then
      local x, label = px(c, place.x.at(mark.x)), place.marks[mark]
      local up = label and (place.mark_rows - label.row) * 15 or 0
      line(c, x, place.top - up, x, place.top + place.height, c.colors.quiet, 1, { "stroke-dasharray", "2 3" })
      if label then draw_text(c, label.text, label.x, place.top - up - 4, SIZE.small, c.colors.quiet) end
    elseif mark.y and clip.is_inside(0, place.y.at(mark.y)) then
      local y = py(c, place.y.at(mark.y))
      line(c, place.left, y, place.left + place.width, y, c.colors.quiet, 1, { "stroke-dasharray", "2 3" })
      if mark.label then
        local more = table.move(HALO, 1, #HALO, 5, { "text-anchor", "end", "stroke", c.colors.background })
        draw_text(c, mark.label, place.left + place.width - 4, y - 5, SIZE.small, c.colors.quiet, more)
      end
    end
  end
end

-- Data -------------------------------------------------------------------------------------------------------

-- The points of a series on 0 .. 1, false where there is a gap.
local function points_of(c, series)
  local points, place = {}, c.place
  for i = 1, series.n do
    points[i] = series.drawn[i] and { place.x.at(series.x[i]), place.y.at(series.y[i]), i } or false
  end
  return points
end

local function error_bar(c, series, i, x, width)
  local low, high, at = series.low[i], series.high[i], c.place.y.at
  if not values.is_finite(low) or c.model.y.base and high <= 0 then return end
  low = c.model.y.base and low <= 0 and c.place.y.lo or low
  local _, bottom, _, top = clip.segment(0, at(low), 0, at(high))
  if not bottom then return end
  local color = c.model.kind == "bar" and c.colors.text or series.color
  local path = ("M%s %sV%s"):format(number(x), number(py(c, bottom)), number(py(c, top)))
  local caps = { math.abs(at(low) - bottom) < 1e-9 and bottom or nil } -- where it is not cut off
  if math.abs(at(high) - top) < 1e-9 then caps[#caps + 1] = top end
  for _, y in ipairs(caps) do
    path = path .. ("M%s %sh%s"):format(number(x - width), number(py(c, y)), number(2 * width))
  end
  c.out:element("path", {
    "d", path, "fill", "none", "stroke", color, "stroke-width", 1.4, "stroke-opacity", "0.8",
  })
end

local function draw_line(c, series, points)
  for _, piece in ipairs(clip.lines(points)) do
    local path = {}
    for i, point in ipairs(clip.thin(piece, c.place.width // 1)) do
      path[i] = ("%s%s %s"):format(i == 1 and "M" or "L", number(px(c, point[1])), number(py(c, point[2])))
    end
    local is_thin = series.quiet or series.count > 500
    c.out:element("path", {
      "d", table.concat(path), "fill", "none", "stroke", series.color, "stroke-width", is_thin and 1.6 or 2.2,
      "stroke-linejoin", "round", "stroke-dasharray", series.dash,
    })
  end
end

local function title_of(c, series, i)
  local name = series.name and series.name .. ": " or ""
  local spread = ""
  if values.is_finite(series.low[i]) then
    spread = (" (%s to %s)"):format(axis.text(c.model.y, series.low[i], 4), axis.text(c.model.y, series.high[i], 4))
  end
  local x = series.x[i]
  x = type(x) == "string" and x or axis.text(c.model.x, x)
  return ("%s%s, %s%s"):format(name, x, axis.text(c.model.y, series.y[i]), spread)
end

local function draw_series(c, series)
  local points = points_of(c, series)
  if c.model.kind == "line" then draw_line(c, series, points) end
  local all = c.model.kind == "scatter" or series.markers
  if series.markers == nil then all = all or series.count <= MARKERS_MOST end
  for k, point in ipairs(points) do
    local x = point and px(c, point[1])
    if point and clip.is_inside(point[1], 0) then error_bar(c, series, point[3], x, 4) end
    local alone = not points[k - 1] and not points[k + 1] -- between gaps: no line shows it
    if point and (all or alone) and clip.is_inside(point[1], point[2]) then
      marker(c, series, x, py(c, point[2]), series.count <= TITLES_MOST and title_of(c, series, point[3]) or nil)
    end
  end
end

local function bar_width(c)
  return math.min(80, c.place.slot * 0.76 / #c.model.series)
end

-- The texts of the values above the bars, when all of them have room.
local function bar_texts(c, width)
  local texts = {}
  for k, series in ipairs(c.model.series) do
    texts[k] = {}
    for i = 1, series.n do
      local text = series.drawn[i] and axis.text(c.model.y, series.y[i], 3) or ""
      if layout.text_width(text, SIZE.small) > width + 4 then return nil end
      texts[k][i] = text
    end
  end
  return texts
end

local function draw_bar(c, series, i, x, width)
  local at = c.place.y.at
  local base = at(c.model.y.base and c.place.y.lo or 0)
  local _, from, _, to = clip.segment(0, base, 0, at(series.y[i]))
  if not from then return end
  local top = py(c, math.max(from, to))
  c.out:group("rect", {
    "x", x, "y", top, "width", width, "height", math.abs(py(c, from) - py(c, to)), "fill", series.color,
  }, function() c.out:element("title", {}, title_of(c, series, i)) end)
  error_bar(c, series, i, x + width / 2, math.min(5, width / 3))
end

local function draw_bar_text(c, series, i, x, text)
  local at, y = c.place.y.at, series.y[i]
  local outer = y < 0 and series.low[i] or series.high[i]
  local tip = at(values.is_finite(outer) and (not c.model.y.base or outer > 0) and outer or y)
  if clip.is_inside(0, tip) then
    local down = y < 0 and 13 or -5
    local more = table.move(HALO, 1, #HALO, 5, { "text-anchor", "middle", "stroke", c.colors.background })
    draw_text(c, text, x, py(c, tip) + down, SIZE.small, c.colors.text, more)
  end
end

local function draw_bars(c)
  local width = bar_width(c)
  local texts = bar_texts(c, width)
  for k, series in ipairs(c.model.series) do
    c.out:group("g", {}, function()
      for i = 1, series.n do
        local left = c.place.left + (i - 0.5) * c.place.slot + (k - 1 - #c.model.series / 2) * width
        if series.drawn[i] then
          draw_bar(c, series, i, left + 0.5, width - 1)
          if texts then draw_bar_text(c, series, i, left + width / 2, texts[k][i]) end
        end
      end
    end)
  end
end

-- model -> text of an SVG file
return function(model)
  local c = { model = model, place = layout.new(model), colors = palette[model.theme], out = xml.new() }
  c.out:put('<?xml version="1.0" encoding="UTF-8"?>')
  c.out:group("svg", {
    "xmlns", "http://www.w3.org/2000/svg", "width", model.width, "height", model.height,
    "viewBox", ("0 0 %d %d"):format(model.width, model.height), "role", "img", "font-family", FONTS,
  }, function()
    c.out:element("title", {}, model.title or model.y_label or "Chart")
    c.out:element("desc", {}, describe(model))
    c.out:element("rect", { "width", model.width, "height", model.height, "fill", c.colors.background })
    c.out:group("g", {}, function()
      draw_head(c)
      draw_legend(c)
    end)
    c.out:group("g", {}, function()
      draw_y_axis(c)
      if model.kind == "bar" then draw_groups(c) else draw_x_axis(c) end
      draw_base(c)
      draw_marks(c)
    end)
    if model.kind == "bar" then return draw_bars(c) end
    for _, series in ipairs(model.series) do
      c.out:group("g", {}, function() draw_series(c, series) end)
    end
  end)
  return c.out:text()
end
