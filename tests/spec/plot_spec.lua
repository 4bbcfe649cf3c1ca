-- SPDX-License-Identifier: MIT
-- plot: where things are in the SVG, as an XML parser reads it; what is refused; what hostile data and words come to.
package.path = "tests/spec/?.lua;" .. package.path
local futures = require "futures"
local manual = require "support.manual"
local plot = require "plot"
local run = require "support.run"
local svg = require "support.svg"

lazy_teardown(svg.stop)

local NAN <const>, INF <const> = 0 / 0, math.huge

-- A function from values of an axis to the picture, found by two of its ticks.
local function scale_of(picture, axis, first, last, position)
  position = position or function(value) return value end
  local anchor = axis == "y" and "end" or "middle"
  local a, b = svg.text(picture, first[1], anchor), svg.text(picture, last[1], anchor)
  assert(a and b, "no such ticks")
  local from, to = tonumber(a[axis]), tonumber(b[axis])
  if axis == "y" then from, to = from - 4, to - 4 end -- texts stand a little below their ticks
  local low, high = position(first[2]), position(last[2])
  return function(value) return from + (position(value) - low) / (high - low) * (to - from) end
end

local function near(expected, got)
  assert.is_true(math.abs(expected - got) < 0.02, ("%s expected, got %s"):format(expected, got))
end

describe("positions", function()
  it("of points are those of their values", function()
    local picture = svg.parse(plot.line { x = { 0, 2, 5, 10 }, y = { 1, 4, 2.5, 8 } }:svg())
    local x = scale_of(picture, "x", { "0", 0 }, { "10", 10 })
    local y = scale_of(picture, "y", { "1", 1 }, { "8", 8 })
    local circles = svg.all(picture, "circle")
    assert.equal(4, #circles)
    for i, point in ipairs { { 0, 1 }, { 2, 4 }, { 5, 2.5 }, { 10, 8 } } do
      near(x(point[1]), tonumber(circles[i].cx))
      near(y(point[2]), tonumber(circles[i].cy))
      assert.equal(("%d, %s"):format(point[1], point[2]), svg.title(circles[i]))
    end
    local path = svg.numbers(svg.all(picture, "path")[1].d)
    assert.equal(8, #path)
    near(x(5), path[5])
    near(y(2.5), path[6])
  end)

  it("on logarithmic axes are those of the logarithms", function()
    local picture = svg.parse(plot.scatter {
      x = { 1, 64, 4096 }, x_scale = "log2", x_format = "bytes",
      y = { 1e-6, 3e-3, 10 }, y_scale = "log", y_format = "seconds",
    }:svg())
    local log = function(value) return math.log(value) end
    local x = scale_of(picture, "x", { "1 B", 1 }, { "4 KiB", 4096 }, log)
    local y = scale_of(picture, "y", { "1 µs", 1e-6 }, { "10 ms", 1e-2 }, log)
    local circles = svg.all(picture, "circle")
    near(x(64), tonumber(circles[2].cx))
    near(y(3e-3), tonumber(circles[2].cy))
    near(y(10), tonumber(circles[3].cy))
    assert.equal("64 B, 3 ms", svg.title(circles[2]))
  end)

  it("of error bars are those of the ends, also of repetitions", function()
    local picture = svg.parse(plot.scatter { y = { 4, { 7, 1, 6 }, 5, 8 }, error = { 1, false, { 2, 0.5 } } }:svg())
    local y = scale_of(picture, "y", { "1", 1 }, { "8", 8 })
    local bars = svg.all(picture, "path", "stroke-opacity", "0.8")
    assert.equal(3, #bars)
    for i, ends in ipairs { { 3, 5 }, { 1, 7 }, { 3, 5.5 } } do
      local numbers = svg.numbers(bars[i].d) -- M x bottom V top ...
      near(y(ends[1]), numbers[2])
      near(y(ends[2]), numbers[3])
    end
    near(y(6), tonumber(svg.all(picture, "circle")[2].cy))
  end)

  it("of bars begin at 0, downwards too", function()
    local picture = svg.parse(plot.bar { x = { "a", "b", 3 }, y = { 2, -1, 0.5 } }:svg())
    local y = scale_of(picture, "y", { "0", 0 }, { "2", 2 })
    local bars = {}
    for _, rect in ipairs(svg.all(picture, "rect")) do bars[#bars + 1] = svg.title(rect) and rect or nil end
    assert.equal(3, #bars)
    near(y(2), tonumber(bars[1].y))
    near(y(0) - y(2), tonumber(bars[1].height))
    near(y(0), tonumber(bars[2].y))
    near(y(-1) - y(0), tonumber(bars[2].height))
    near((y(0) - y(2)) / 4, tonumber(bars[3].height))
    assert.equal("3, 0.5", svg.title(bars[3]))
    for i, name in ipairs { "a", "b", "3" } do
      near(tonumber(svg.text(picture, name).x), bars[i].x + bars[i].width / 2)
    end
  end)

  it("outside of given limits are cut off at the edge", function()
    local chart = plot.line { x = { 0, 10, 20 }, y = { 0, 10, 0 }, x_min = 5, x_max = 15, y_min = 0, y_max = 8 }
    local picture = svg.parse(chart:svg())
    local x = scale_of(picture, "x", { "5", 5 }, { "15", 15 })
    local y = scale_of(picture, "y", { "0", 0 }, { "8", 8 })
    local paths = svg.all(picture, "path")
    assert.equal(2, #paths) -- the tip is outside
    local first, second = svg.numbers(paths[1].d), svg.numbers(paths[2].d)
    for i, value in ipairs { x(5), y(5), x(8), y(8) } do near(value, first[i]) end
    for i, value in ipairs { x(12), y(8), x(15), y(5) } do near(value, second[i]) end
    assert.equal(0, #svg.all(picture, "circle"))
  end)

  it("of marks are those of their values, with the label above", function()
    local chart = plot.line { y = { 0, 10 }, x = { 0, 10 }, marks = { { x = 2.5, label = "knee" }, { y = 5 } } }
    local picture = svg.parse(chart:svg())
    local x = scale_of(picture, "x", { "0", 0 }, { "10", 10 })
    local lines = svg.all(picture, "line", "stroke-dasharray", "2 3")
    assert.equal(2, #lines)
    near(x(2.5), tonumber(lines[1].x1))
    assert.equal(lines[1].x1, lines[1].x2)
    assert.equal(lines[2].y1, lines[2].y2)
    assert.is_true(tonumber(svg.text(picture, "knee").y) < tonumber(lines[1].y2))
  end)
end)

describe("gaps", function()
  it("break a line, and a point alone is marked all the same", function()
    local picture = svg.parse(plot.line { y = { 1, 2, NAN, 3, INF, 4, false, 5, n = 9, [9] = 6 }, markers = false }:svg())
    assert.equal(2, #svg.all(picture, "path")) -- 1 2, 5 6
    assert.equal(2, #svg.all(picture, "circle")) -- 3, 4
    assert.matches("6 points, .* 3 left out", svg.all(picture, "desc")[1].text)
  end)

  it("are what a logarithmic axis cannot show", function()
    local picture = svg.parse(plot.line { y = { 1, 0, -5, 10 }, y_scale = "log" }:svg())
    assert.equal(2, #svg.all(picture, "circle"))
    assert.matches("2 points, first 1 at 1, last 10 at 4, .* 2 left out", svg.all(picture, "desc")[1].text)
  end)

  it("are no error as long as there is one point", function()
    for _, y in ipairs { { 5 }, { NAN, 0 }, { 1e308 }, { 5e-324 }, { -3, -3, -3 }, { 1, 1 + 2 ^ -52 } } do
      local picture = svg.parse(plot.line { y = y }:svg())
      assert.is_true(#svg.all(picture, "circle") >= 1)
    end
  end)
end)

describe("speedup", function()
  it("is the time of one worker over the others', with the spread of repetitions", function()
    local chart = plot.speedup { seconds = { { 4, 4.2, 3.8 }, { 2, 2.5, 1.6 }, 1 }, workers = { 1, 2, 4 } }
    local picture = svg.parse(chart:svg())
    local y = scale_of(picture, "y", { "0", 0 }, { "4", 4 })
    local circles = svg.all(picture, "circle")
    for i, gain in ipairs { 1, 2, 4 } do near(y(gain), tonumber(circles[i + 1].cy)) end -- the first is of the legend
    local bar = svg.numbers(svg.all(picture, "path", "stroke-opacity", "0.8")[2].d)
    near(y(4 / 2.5), bar[2])
    near(y(4 / 1.6), bar[3])
    local ideal = svg.numbers(svg.all(picture, "path", "stroke-dasharray", "6 4")[1].d)
    for i, value in ipairs { tonumber(circles[2].cx), y(1), tonumber(circles[4].cx), y(4) } do near(value, ideal[i]) end
    assert.is_truthy(svg.text(picture, "measured"))
    assert.is_truthy(svg.text(picture, "ideal"))
  end)

  it("takes several series, and a baseline of its own", function()
    local text = plot.speedup {
      workers = { 2, 4 },
      series = { { name = "p", seconds = { 2, 1 }, baseline = 3 }, { name = "t", workers = { 1, 3 }, seconds = { 3, 2 } } },
    }:svg()
    assert.matches("p: 2 points, first 1.5 at 2, last 3 at 4", text)
    assert.matches("t: 2 points, first 1 at 1, last 1.5 at 3", text)
  end)
end)

describe("words", function()
  local HOSTILE <const> = "<script>&\"'--]]>\0\27[31m\xff\xC2\x85\u{FFFE}\r\n中文 é e\u{301} ${x} %s"

  it("of any bytes make valid XML, and stay as they are where they can", function()
    local picture = svg.parse(plot.bar {
      title = HOSTILE, subtitle = HOSTILE, description = HOSTILE, x_label = HOSTILE, y_label = HOSTILE, name = HOSTILE,
      x = { HOSTILE, "b" }, y = { 1, 2 }, y_format = function() return HOSTILE end, width = 4000,
      marks = { { y = 1, label = HOSTILE } },
    }:svg())
    local clean = "<script>&\"'--]]>\u{FFFD}\u{FFFD}[31m\u{FFFD}\u{FFFD}\u{FFFD} 中文 é e\u{301} ${x} %s"
    assert.equal(clean, svg.title(picture))
    assert.is_true(svg.all(picture, "desc")[1].text:sub(1, #clean) == clean)
    local count = 0
    for _, text in ipairs(svg.all(picture, "text")) do count = count + (text.text == clean and 1 or 0) end
    assert.is_true(count >= 7, count)
    assert.equal(0, #svg.all(picture, "script"))
  end)

  it("reach a terminal without control characters", function()
    local text = plot.line { title = HOSTILE, x_label = HOSTILE, name = HOSTILE, y = { 1, 2 } }:text()
    assert.is_nil(text:gsub("\n", ""):find "%c")
    assert.is_truthy(utf8.len(text))
  end)

  it("that are long are wrapped, or cut", function()
    local long = ("word "):rep(60)
    local picture = svg.parse(plot.line { title = long, y_label = long, name = long, y = { 1, 2 } }:svg())
    local titles = svg.all(picture, "text", "font-weight", "600")
    assert.equal(3, #titles)
    assert.matches("…$", titles[3].text)
    assert.equal(long, svg.title(picture)) -- all of it for a screen reader
    for line in plot.line { title = long, name = long, x_label = long, y = { 1, 2 } }:text({ width = 40 }):gmatch "[^\n]+" do
      assert.is_true(utf8.len(line) <= 40, line)
    end
  end)

  it("of the legend stand beside each other or in rows, above the data", function()
    local series = {}
    for i = 1, 12 do series[i] = { name = ("series number %d"):format(i), y = { i, i + 1 } } end
    local picture = svg.parse(plot.line { series = series }:svg())
    local last_x, last_y = 0, 0
    for i = 1, 12 do
      local text = svg.text(picture, series[i].name)
      local x, y = tonumber(text.x), tonumber(text.y)
      assert.is_true(y > last_y or y == last_y and x - last_x > #series[i].name * 6, series[i].name)
      assert.is_true(x + #text.text * 6 < 720)
      last_x, last_y = x, y
    end
    for _, path in ipairs(svg.all(picture, "path", "fill", "none")) do
      if path["stroke-linejoin"] then
        local numbers = svg.numbers(path.d)
        assert.is_true(math.min(numbers[2], numbers[4]) > last_y)
      end
    end
  end)
end)

describe("a picture", function()
  it("has a title, a description and a background, and refers to nothing", function()
    local chart = plot.line { title = "T", x_label = "n", y_label = "s", y = { 3, 1, 2 }, description = "D." }
    local picture = svg.parse(chart:svg())
    assert.equal("img", picture.role)
    assert.equal("title", picture[1].name)
    assert.equal("T", picture[1].text)
    assert.equal("D. Line chart. x: n, from 1 to 3. y: s, from 1 to 3. "
      .. "series 1: 3 points, first 3 at 1, last 2 at 3, lowest 1 at 2, highest 3 at 1.", picture[2].text)
    local back = picture[3]
    assert.same({ "rect", "720", "440", "#ffffff" }, { back.name, back.width, back.height, back.fill })
    local text = plot.line { y = { 1 }, theme = "dark" }:svg()
    assert.is_nil(text:find "href" or text:find "id=" or text:find "url%(" or text:find "ffffff")
  end)

  it("is the same each time, and in stock Lua", function()
    local script = [[
      local plot = require "plot"
      local x, y = {}, {}
      for i = 1, 100 do x[i], y[i] = i / 7, math.sin(i) * 10 ^ (i % 5) end
      io.write(plot.line { x = x, y = y, title = "é", series = nil }:svg(), plot.bar { y = { 1, { 2, 3 } } }:text())
    ]]
    local result = run.script(script)
    assert.same({ "", 0 }, { result.err, result.code })
    assert.equal(result.out, run.script(script).out)
    if run.sh("command -v lua5.4").code ~= 0 then return pending("lua5.4 is not installed") end
    local name = run.write(script)
    local stock = run.sh("LUA_PATH='lua/?.lua;lua/?/init.lua' lua5.4 " .. name)
    os.remove(name)
    assert.same({ out = result.out, err = "", code = 0 }, stock)
  end)

  it("thins lines with very many points, and keeps what stands out", function()
    local y = {}
    for i = 1, 100000 do y[i] = i == 54321 and 99 or i % 2 end
    local picture = svg.parse(plot.line { y = y, y_min = 0, y_max = 100 }:svg())
    local numbers = svg.numbers(svg.all(picture, "path")[1].d)
    assert.is_true(#numbers < 6000)
    local scale, top = scale_of(picture, "y", { "0", 0 }, { "100", 100 }), INF
    for i = 2, #numbers, 2 do top = math.min(top, numbers[i]) end
    near(scale(99), top)
  end)
end)

describe("the pictures of docs/plot.md", function()
  local folder = manual.folder()
  teardown(function() manual.remove(folder) end)

  for _, block in ipairs(manual.blocks "docs/plot.md") do
    if block.text:find ':save "plot-' then
      it("are made by the code beside them, line " .. block.line, function()
        manual.run({ block }, folder)
        for name in block.text:gmatch ':save "(plot%-[^"]+)"' do
          assert.equal(manual.text("docs/img/" .. name), manual.text(folder .. "/" .. name), name)
        end
      end)
    end
  end
end)

describe("save", function()
  it("writes what svg gives, and gives the chart", function()
    local path = os.tmpname()
    local chart = plot.bar { y = { 1, 2 } }
    assert.equal(chart, chart:save(path))
    local file <close> = assert(io.open(path, "rb"))
    assert.equal(chart:svg(), file:read "a")
    os.remove(path)
  end)

  it("raises an error of kind os", function()
    local ok, err = pcall(function() plot.bar { y = { 1 } }:save "/nowhere/x.svg" end)
    assert.is_false(ok)
    assert.is_true(futures.is(err, "os"))
    assert.same({ "ENOENT", "/nowhere/x.svg: No such file or directory" }, { err.code, err.message })
    ok, err = pcall(function() plot.bar { y = { 1 } }:save "/dev/full" end)
    assert.same({ false, "ENOSPC" }, { ok, err.code })
  end)

  it("prints without a path", function()
    local result = run.script([[require "plot".bar { x = { "a" }, y = { 2 } }:save()]], "", "LC_ALL=C")
    assert.same({ out = "a " .. ("#"):rep(68) .. " 2\n", err = "", code = 0 }, result)
  end)
end)

local function line(options) return function() plot.line(options) end end
local function bar(options) return function() plot.bar(options) end end
local function speedup(options) return function() plot.speedup(options) end end

local REFUSED <const> = {
  { line(nil), "bad argument #1 to 'line' (table of options expected, got nil)" },
  { line { titel = "x", y = { 1 } }, "bad argument #1 to 'line' (unknown option 'titel'; did you mean 'title'?)" },
  { line { y = { 1 }, y_scale = "lin" },
    [[bad argument #1 to 'line' (option 'y_scale': "linear", "log" or "log2" expected, got "lin")]] },
  { line {}, "bad argument #1 to 'line' (option 'y': array of numbers expected, got nil)" },
  { line { y = {} }, "bad argument #1 to 'line' (option 'y': no point that can be drawn)" },
  { line { y = { NAN, INF } }, "bad argument #1 to 'line' (option 'y': no point that can be drawn)" },
  { line { y = { 0, -1 }, y_scale = "log" },
    "bad argument #1 to 'line' (option 'y': no point that can be drawn (logarithmic axes need values > 0))" },
  { line { y = { 1, "2" } }, "bad argument #1 to 'line' (option 'y': [2]: number expected, got string)" },
  { line { y = { a = 1 } }, "bad argument #1 to 'line' (option 'y': array expected, got a table with the key 'a')" },
  { line { x = { 1, 2, 3 }, y = { 1, 2 } }, "bad argument #1 to 'line' (option 'x': 3 values, but 2 of y)" },
  { line { y = { -1e308, 1e308 } }, "bad argument #1 to 'line' (option 'y': -10³⁰⁸ and 10³⁰⁸ are too far apart)" },
  { line { y = { 1, 2 }, y_min = 3 }, "bad argument #1 to 'line' (option 'y_min': leaves none of the values to be seen)" },
  { line { y = { 1, 2 }, y_min = 3, y_max = 2 }, "bad argument #1 to 'line' (option 'y_min': must be < 'y_max')" },
  { line { y = { 1, 2 }, x_min = 0, x_scale = "log" },
    "bad argument #1 to 'line' (option 'x_min': a number > 0 expected on a logarithmic axis, got 0)" },
  { line { y = { 1 }, x_max = NAN }, "bad argument #1 to 'line' (option 'x_max': finite number expected, got " },
  { line { y = { 1 }, error = { -1 } },
    "bad argument #1 to 'line' (option 'error': [1]: a number >= 0 expected, got -1.0)" },
  { line { y = { { 1, 2 } }, error = { 1 } },
    "bad argument #1 to 'line' (option 'error': y[1] has repetitions, which tell it already)" },
  { line { y = { 1 }, error = { 1, 2 } }, "bad argument #1 to 'line' (option 'error': 2 values, but 1 of y)" },
  { line { y = { 1 }, color = "red" }, [[bad argument #1 to 'line' (option 'color': "#rrggbb" expected, got "red")]] },
  { line { y = { 1 }, y_format = "metric" },
    [[bad argument #1 to 'line' (option 'y_format': "plain", "si", "bytes", "seconds", "percent" or a function expected]] },
  { line { y = { 1 }, series = { { y = { 1 } } } },
    "bad argument #1 to 'line' (option 'y': belongs into the entries of 'series' when there are any)" },
  { line { series = {} }, "bad argument #1 to 'line' (option 'series': there is none)" },
  { line { series = { { y = { 1 } }, { nam = "x" } } },
    "bad argument #1 to 'line' (series[2]: unknown option 'nam'; did you mean 'name'?)" },
  { line { series = { { y = { 1 } }, { y = { 1, {}, "x" } } } },
    "bad argument #1 to 'line' (option 'series[2].y': [3]: number expected, got string)" },
  { line { y = { 1 }, marks = { {} } }, "bad argument #1 to 'line' (option 'marks[1]': either x or y expected)" },
  { bar { y = { 1 }, x_scale = "log" }, "bad argument #1 to 'bar' (option 'x_scale': not for bars)" },
  { bar { x = { "a", {} }, y = { 1, 2 } },
    "bad argument #1 to 'bar' (option 'x': [2]: string or number expected, got table)" },
  { bar { series = { { y = { 1, 2 } }, { y = { 1 } } } },
    "bad argument #1 to 'bar' (option 'series[2].y': 1 values, but 2 in the first series)" },
  { speedup { seconds = { 1 }, workers = { 2 } },
    "bad argument #1 to 'speedup' (option 'baseline': needed, as there is no time with 1 worker)" },
  { speedup { seconds = { 1, { 2, 0 } } },
    "bad argument #1 to 'speedup' (option 'seconds': [2]: seconds > 0 expected, got 0.0)" },
  { speedup { seconds = { 1 }, y_scale = "log" }, "bad argument #1 to 'speedup' (unknown option 'y_scale'" },
  { function() plot.bar { y = { 1 } }:save "x.png" end,
    "bad argument #1 to 'save' (SVG is what is written, not png: 'x.png')" },
  { function() plot.bar { y = { 1 } }:text { widht = 3 } end,
    "bad argument #1 to 'text' (unknown option 'widht'; did you mean 'width'?)" },
  { function() plot.bar({ y = { 1 } }).svg {} end, "calling 'svg' on bad self (plot.Chart expected, got table)" },
  { function() plot.line { y = { 1, 2 }, y_format = function() end }:svg() end, "a format gave nil for 1: string expected" },
}

describe("what is wrong is named:", function()
  for _, case in ipairs(REFUSED) do
    it(case[2], function()
      local ok, message = pcall(case[1])
      assert.is_false(ok)
      assert.matches("tests/spec/plot_spec%.lua:%d+: ", message)
      assert.equal(case[2], message:match "^[^:]+:%d+: (.*)$":sub(1, #case[2]))
    end)
  end
end)
