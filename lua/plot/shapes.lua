-- SPDX-License-Identifier: MIT
-- Markers as SVG elements, centred on a point and about equally heavy: shape(out, x, y, colors, color, title) calls
-- out(attributes, name of the element, title).
local format = require "plot.format"

local shapes = {}

local function points(x, y, offsets)
  local parts = {}
  for i = 1, #offsets, 2 do
    parts[#parts + 1] = format.coordinate(x + offsets[i]) .. "," .. format.coordinate(y + offsets[i + 1])
  end
  return table.concat(parts, " ")
end

local function polygon(offsets)
  return function(out, x, y, colors, color, title)
    out({
      "points", points(x, y, offsets), "fill", color, "stroke", colors.background, "stroke-width", 1.2,
    }, "polygon", title)
  end
end

local function path(text)
  return function(out, x, y, _, color, title)
    local from = ("M%s %s"):format(format.coordinate(x), format.coordinate(y))
    out({
      "d", from .. text, "fill", "none", "stroke", color, "stroke-width", 2.4, "stroke-linecap", "round",
    }, "path", title)
  end
end

shapes.square = polygon { -3.8, -3.8, 3.8, -3.8, 3.8, 3.8, -3.8, 3.8 }
shapes.triangle = polygon { 0, -5.2, 4.9, 3.6, -4.9, 3.6 }
shapes.diamond = polygon { 0, -5.4, 5.4, 0, 0, 5.4, -5.4, 0 }
shapes.cross = path "m-3.6 -3.6l7.2 7.2m0 -7.2l-7.2 7.2"
shapes.plus = path "m-4.6 0h9.2m-4.6 -4.6v9.2"

function shapes.circle(out, x, y, colors, color, title)
  out({
    "cx", x, "cy", y, "r", 4.2, "fill", color, "stroke", colors.background, "stroke-width", 1.2,
  }, "circle", title)
end

function shapes.ring(out, x, y, colors, color, title)
  out({ "cx", x, "cy", y, "r", 3.8, "fill", colors.background, "stroke", color, "stroke-width", 2 }, "circle", title)
end

return shapes
