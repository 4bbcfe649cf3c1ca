-- SPDX-License-Identifier: MIT
-- Colours. Those of series are M. Okabe's and K. Ito's, "Color Universal Design", 2008, which people with any kind of colour
-- vision can tell apart; the ones with the most contrast come first. Series differ in their markers as well.
local palette = {}

palette.light = {
  background = "#ffffff", text = "#1f2328", quiet = "#59636e", axis = "#8c959f", grid = "#e4e7eb", ideal = "#6e7781",
  series = { "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000" },
}

palette.dark = {
  background = "#15181d", text = "#e6e8eb", quiet = "#a3abb5", axis = "#6b7480", grid = "#2b3038", ideal = "#9aa3ad",
  series = { "#56b4e9", "#e69f00", "#00b485", "#cc79a7", "#f0e442", "#e8743b", "#ffffff" },
}

-- Markers, and how lines are dashed from the eighth series on.
palette.markers = { "circle", "square", "triangle", "diamond", "cross", "plus", "ring" }
palette.dashes = { "", "7 3", "2 3", "9 3 2 3" }

-- For a terminal: with Unicode, and without.
palette.signs = { "●", "■", "▲", "◆", "○", "□", "△", "◇" }
palette.ascii_signs = { "o", "x", "+", "*", "#", "@", "%", "&" }

return palette
