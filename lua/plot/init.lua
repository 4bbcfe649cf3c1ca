-- SPDX-License-Identifier: MIT
-- Module `plot`: charts from tables of numbers, as SVG or as text. Pure Lua, for stock Lua as well. The way of a chart:
-- options -> data.lua (a checked model) -> layout.lua, axis.lua (where things go) -> svg.lua or text.lua (what is written).
local check = require "parhost.check"
local data = require "plot.data"
local options = require "parhost.options"

local Chart = { __name = "plot.Chart" }
Chart.__index = Chart

local TEXT <const> = {
  width = { "integer", min = 20, max = 1000, default = 72 },
  height = { "integer", min = 5, max = 1000, default = 20 },
  style = { "one_of", "braille", "ascii", default = "braille" },
}

local models = setmetatable({}, { __mode = "k" }) -- a chart shows nothing of itself

local function new(model)
  local chart = setmetatable({}, Chart)
  models[chart] = model
  return chart
end

-- A failure of the system, as an error object where parhost's C part is there.
local function raise_os(message, code)
  local ok, errors = pcall(require, "futures.error")
  if not ok then error(message, 0) end
  error(errors.new("os", message, { code = require "parhost.core.host".error_name(code) }), 0)
end

-- The text of an SVG file.
function Chart:svg()
  check.self(self, Chart, "svg")
  return require "plot.svg" (models[self])
end

local OTHERS <const> = { png = true, jpg = true, jpeg = true, gif = true, webp = true, pdf = true, eps = true }

-- Writes an SVG file; without a path, prints. Gives the chart.
function Chart:save(path)
  check.self(self, Chart, "save")
  if path == nil then return self:print() end
  if type(path) ~= "string" then check.expected(1, "save", "string", path) end
  local kind = (path:match "%.(%w+)$" or ""):lower()
  if OTHERS[kind] then check.bad_argument(1, "save", ("SVG is what is written, not %s: '%s'"):format(kind, path)) end
  local text = self:svg()
  local file <close>, message, code = io.open(path, "wb")
  if not file then raise_os(message, code) end
  local ok
  ok, message, code = file:write(text)
  if ok then ok, message, code = file:flush() end
  if not ok then raise_os(("%s: %s"):format(path, message), code) end
  return self
end

local function to_text(chart, given, name)
  return require "plot.text" (models[chart], options.check(TEXT, given == nil and {} or given, 1, name))
end

-- The chart in characters.
function Chart:text(given)
  check.self(self, Chart, "text")
  return to_text(self, given, "text")
end

-- Whether the environment's characters are Unicode.
local function has_unicode()
  for _, name in ipairs { "LC_ALL", "LC_CTYPE", "LANG" } do
    local value = os.getenv(name)
    if value and value ~= "" then return value:lower():find "utf%-?8" ~= nil end
  end
  return false
end

-- Writes the chart in characters to the default output. Gives the chart.
function Chart:print(given)
  check.self(self, Chart, "print")
  if type(given) == "table" and given.style == nil and getmetatable(given) == nil or given == nil then
    local chosen = { style = has_unicode() and "braille" or "ascii" }
    for key, value in next, given or {} do chosen[key] = value end
    given = chosen
  end
  io.write(to_text(self, given, "print"))
  return self
end

function Chart:__tostring()
  return to_text(self, {}, "text")
end

local plot = {}

for _, kind in ipairs { "line", "scatter", "bar" } do
  plot[kind] = function(given) return new(data.read(kind, given, kind)) end
end

function plot.speedup(given)
  return new(require "plot.speedup" (given))
end

return plot
