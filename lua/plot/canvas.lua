-- SPDX-License-Identifier: MIT
-- Dots on a terminal: two by four in each cell as braille characters (Unicode, U+2800), or one in each cell in ASCII. A cell
-- may have a sign instead.
local canvas = {}
canvas.__index = canvas

local BITS <const> = { { 0x01, 0x02, 0x04, 0x40 }, { 0x08, 0x10, 0x20, 0x80 } } -- [column][row], from above

function canvas.new(columns, rows, style)
  local across, down = 2, 4
  if style == "ascii" then across, down = 1, 1 end
  return setmetatable({
    columns = columns, rows = rows, across = across, down = down, cells = {}, signs = {},
    dots_x = columns * across, dots_y = rows * down,
  }, canvas)
end

-- A dot, counted from the lower left corner. `character`: what it is in ASCII.
function canvas:dot(x, y, character)
  if x < 0 or y < 0 or x >= self.dots_x or y >= self.dots_y then return end
  local row, column = (self.dots_y - 1 - y) // self.down, x // self.across
  local cell = row * self.columns + column
  if self.across == 1 then
    self.cells[cell] = self.cells[cell] or character
  else
    local bit = BITS[x % 2 + 1][(self.dots_y - 1 - y) % 4 + 1]
    self.cells[cell] = (self.cells[cell] or 0) | bit
  end
end

-- A line between dots, of which it draws those where pattern[i] is not false (i goes round); gives the next i.
function canvas:line(x1, y1, x2, y2, pattern, i, character)
  local steps = math.max(math.abs(x2 - x1), math.abs(y2 - y1))
  for step = 0, steps do
    local t = steps == 0 and 0 or step / steps
    if pattern[i] then
      self:dot(math.floor(x1 + (x2 - x1) * t + 0.5), math.floor(y1 + (y2 - y1) * t + 0.5), character)
    end
    if step < steps then i = i % #pattern + 1 end
  end
  return i
end

-- A sign in the cell of a dot.
function canvas:sign(x, y, sign)
  x, y = math.max(0, math.min(x, self.dots_x - 1)), math.max(0, math.min(y, self.dots_y - 1))
  self.signs[(self.dots_y - 1 - y) // self.down * self.columns + x // self.across] = sign
end

-- The text of a row, counted from 0 at the top.
function canvas:row(row)
  local parts = {}
  for column = 0, self.columns - 1 do
    local cell = row * self.columns + column
    local dots = self.cells[cell]
    parts[column + 1] = self.signs[cell] or (dots and (math.type(dots) and utf8.char(0x2800 + dots) or dots)) or " "
  end
  return table.concat(parts)
end

return canvas
