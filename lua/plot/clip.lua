-- SPDX-License-Identifier: MIT
-- Lines as pieces inside of the square 0 .. 1: gaps split them, and what lies outside is cut off (Liang and Barsky, 1984).
local clip = {}

-- Far outside is far outside: differences stay finite.
local function near(value)
  return math.max(-1e6, math.min(1e6, value))
end

-- The part of a segment that lies inside, or nothing.
function clip.segment(x1, y1, x2, y2)
  x1, y1, x2, y2 = near(x1), near(y1), near(x2), near(y2)
  local dx, dy, from, to = x2 - x1, y2 - y1, 0.0, 1.0
  for _, side in ipairs { { -dx, x1 }, { dx, 1 - x1 }, { -dy, y1 }, { dy, 1 - y1 } } do
    local p, q = side[1], side[2]
    if p == 0 then
      if q < 0 then return nil end
    elseif p < 0 then
      from = math.max(from, q / p)
    else
      to = math.min(to, q / p)
    end
  end
  if from > to then return nil end
  return x1 + from * dx, y1 + from * dy, x1 + to * dx, y1 + to * dy
end

function clip.is_inside(x, y)
  return x >= -1e-9 and x <= 1 + 1e-9 and y >= -1e-9 and y <= 1 + 1e-9
end

-- Points { x, y } on 0 .. 1 (false: a gap) -> arrays of points, each a line without a break.
function clip.lines(points)
  local lines, line, last = {}, nil, nil
  for _, point in ipairs(points) do
    local x1, y1, x2, y2
    if point and last then x1, y1, x2, y2 = clip.segment(last[1], last[2], point[1], point[2]) end
    local goes_on = x1 and line and line[#line][1] == x1 and line[#line][2] == y1
    if x1 and not goes_on then
      line = { { x1, y1 } }
      lines[#lines + 1] = line
    end
    if x1 then
      line[#line + 1] = { x2, y2 }
    else
      line = nil
    end
    last = point
  end
  return lines
end

local function extremes(points, from, to)
  local lowest, highest = from, from
  for i = from, to do
    if points[i][2] < points[lowest][2] then lowest = i end
    if points[i][2] > points[highest][2] then highest = i end
  end
  return lowest, highest
end

-- A line with at most four points for each of so many columns: first, lowest, highest, last of each, which draw the same
-- pixels (U. Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", VLDB 2014). x must not go back.
function clip.thin(line, columns)
  if #line <= 4 * columns then return line end
  local kept, from = {}, 1
  while from <= #line do
    local column, to = line[from][1] * columns // 1, from
    while line[to + 1] and line[to + 1][1] * columns // 1 == column do to = to + 1 end
    local lowest, highest = extremes(line, from, to)
    local order = { from, math.min(lowest, highest), math.max(lowest, highest), to }
    for k, i in ipairs(order) do
      if k == 1 or i > order[k - 1] then kept[#kept + 1] = line[i] end
    end
    from = to + 1
  end
  return kept
end

return clip
