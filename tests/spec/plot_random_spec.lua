-- SPDX-License-Identifier: MIT
-- plot, properties over random data: ticks enclose the data, are few and rise; whatever the numbers are, a picture has
-- finite places inside of its frame, and the characters have the width that was asked for.
package.path = "tests/spec/?.lua;" .. package.path
local axis = require "plot.axis"
local plot = require "plot"
local svg = require "support.svg"
local ticks = require "plot.ticks"
local words = require "plot.words"

lazy_teardown(svg.stop)

local seed <const> = tonumber(os.getenv "SEED") or os.time()
local NAN <const>, INF <const> = 0 / 0, math.huge

-- Of any size and sign.
local function any_number()
  return (math.random() - 0.5) * 10.0 ^ math.random(-12, 12)
end

describe("seed " .. seed .. ":", function()
  setup(function() math.randomseed(seed) end)

  it("linear ticks enclose the range, rise evenly, and are about as many as asked for", function()
    for _ = 1, 3000 do
      local lo = any_number()
      local hi = lo + math.abs(lo) * 10.0 ^ math.random(-8, 3) + 10.0 ^ math.random(-9, 6) * math.random()
      local n = math.random(2, 20)
      local values = ticks.linear(lo, hi, n)
      local step = values[2] - values[1]
      local encloses = values[1] <= lo + 1e-6 * step and values[#values] >= hi - 1e-6 * step
      assert.is_true(encloses, ("%.17g .. %.17g"):format(lo, hi))
      assert.is_true(#values >= 2 and #values <= 2 * n + 2, #values)
      for i = 2, #values do assert.is_true(values[i] > values[i - 1]) end
    end
  end)

  it("whole ticks are whole", function()
    for _ = 1, 300 do
      local lo = math.random(-1000, 1000)
      for _, value in ipairs((ticks.linear(lo, lo + math.random(1, 50), math.random(2, 20), true))) do
        assert.equal(0, value % 1)
      end
    end
  end)

  it("logarithmic axes enclose the data, with ticks that rise", function()
    for _ = 1, 2000 do
      local lo = 10.0 ^ math.random(-300, 290) * (1 + math.random() * 9)
      local hi = lo * 10.0 ^ (math.random() * math.random(0, 18))
      if hi > lo and hi < INF then
        local scale = math.random(2) == 1 and "log" or "log2"
        local made = axis.new({ scale = scale, lo = lo, hi = hi, format = "plain" }, math.random(2, 12))
        local where = ("%s, %.17g .. %.17g, %d ticks"):format(scale, lo, hi, #made.ticks)
        assert.is_true(made.lo <= lo * (1 + 1e-9) and made.hi >= hi * (1 - 1e-9), where)
        assert.is_true(#made.ticks >= 2 and #made.ticks <= 16, where)
        for i = 2, #made.ticks do assert.is_true(made.ticks[i].at > made.ticks[i - 1].at) end
        assert.is_true(made.at(lo) >= -1e-9 and made.at(hi) <= 1 + 1e-9)
      end
    end
  end)

  local ODD <const> = { NAN, INF, -INF, 0, -0.0, 5e-324, 1e300, -1e300, 1e-300, false, 1, 2 ^ 53 }

  local function odd_series(n)
    local y = { n = n }
    for i = 1, n do y[i] = math.random(2) == 1 and ODD[math.random(#ODD)] or any_number() end
    y[math.random(n)] = 1 + math.random()
    return y
  end

  local function odd_chart()
    local n = math.random(1, 12)
    local kind = ({ "line", "scatter", "bar" })[math.random(3)]
    local options = { width = math.random(200, 900), height = math.random(150, 600), series = {} }
    options.y_scale = ({ "linear", "log", "log2" })[math.random(3)]
    options.y_format = ({ "plain", "si", "bytes", "seconds", "percent" })[math.random(5)]
    for k = 1, math.random(1, 9) do options.series[k] = { name = "s" .. k, y = odd_series(n) } end
    if kind ~= "bar" and math.random(2) == 1 then options.x, options.x_scale = odd_series(n), "log" end
    if math.random(4) == 1 then options.y_min, options.y_max = 0.5, 3 end
    options.x = options.x or options.y_min == nil and kind ~= "bar" and odd_series(n) or nil
    return kind, options
  end

  local PLACES <const> = { "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height" }

  local function check_places(node, width, height)
    for _, key in ipairs(PLACES) do
      local text = node[key]
      local value = text and tonumber(text)
      if text then
        assert.is_truthy(text:find "^%-?%d+%.?%d*$", text)
        assert.is_true(value >= -1 and value <= math.max(width, height) + 1, key .. " " .. text)
      end
    end
    assert.is_nil((node.d or node.points or ""):find "[naif]")
    for _, child in ipairs(node) do check_places(child, width, height) end
  end

  it("odd numbers give pictures with finite places, or an error that names an option", function()
    local drawn = 0
    for _ = 1, 60 do
      local kind, options = odd_chart()
      local ok, chart = pcall(plot[kind], options)
      if ok then
        drawn = drawn + 1
        check_places(svg.parse(chart:svg()), options.width, options.height)
        local width = math.random(20, 90)
        for _, style in ipairs { "braille", "ascii" } do
          for line in chart:text({ width = width, height = 12, style = style }):gmatch "[^\n]+" do
            assert.is_true(kind == "bar" or words.columns(line) <= width, line)
          end
        end
      else
        assert.matches("bad argument #1 to '" .. kind .. "' %(option '", chart)
      end
    end
    assert.is_true(drawn > 20, drawn)
  end)

  it("ticks' texts never meet", function()
    for _ = 1, 30 do
      local x = {}
      for i = 1, 5 do x[i] = any_number() end
      local format = ({ "plain", "si", "bytes", "seconds" })[math.random(4)]
      local chart = plot.line { x = x, y = { 1, 2, 3, 4, 5 }, x_format = format, width = math.random(200, 900) }
      local last_end, last_y = -INF, nil
      for _, text in ipairs(svg.all(svg.parse(chart:svg()), "text", "text-anchor", "middle")) do
        local half = words.em(text.text) * 12 / 2
        assert.is_true(text.y ~= last_y or tonumber(text.x) - half > last_end, text.text)
        last_end, last_y = tonumber(text.x) + half, text.y
      end
    end
  end)

  it("any bytes become clean words", function()
    for _ = 1, 2000 do
      local bytes = {}
      for i = 1, math.random(0, 30) do bytes[i] = string.char(math.random(0, 255)) end
      local clean = words.clean(table.concat(bytes))
      assert.is_truthy(utf8.len(clean))
      assert.is_nil(clean:find "%c")
      local width = math.random(1, 20)
      assert.is_true(words.columns(words.cut(clean, width, words.columns)) <= width)
      for _, line in ipairs(words.wrap(clean, width, words.columns, 3)) do assert.is_true(words.columns(line) <= width) end
    end
  end)
end)
