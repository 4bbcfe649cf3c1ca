-- SPDX-License-Identifier: MIT
-- plot in characters: what stands where.
package.path = "tests/spec/?.lua;" .. package.path
local plot = require "plot"
local run = require "support.run"

local function lines(chart, options)
  local list = {}
  for line in chart:text(options):gmatch "([^\n]*)\n" do list[#list + 1] = line end
  return list
end

describe("text", function()
  it("has points, ticks, labels and a legend in their places", function()
    local chart = plot.line {
      title = "T", x_label = "n", y_label = "s", x = { 0, 5, 10 },
      series = { { name = "up", y = { 0, 5, 10 } }, { name = "down", y = { 10, 5, 0 }, error = { false, 3 } } },
    }
    assert.same({
      "T",
      "o up   x down",
      "s",
      "10 +x..                          ..o",
      "   |   .  ...       |       .....",
      "   |         .  ..  |  .....",
      " 5 +              ..x..",
      "   |          ....  | ....",
      "   |      ....      |       ..",
      "   |  ....          |         ..",
      " 0 +o.                            .x",
      "   ++---------------+--------------+",
      "    0               5             10",
      "                   n",
    }, lines(chart, { width = 36, height = 14, style = "ascii" }))
  end)

  it("has two by four dots in a cell", function()
    local chart = plot.line { x = { 0, 1 }, y = { 0, 1 }, markers = false, y_ticks = { 0, 1 }, x_ticks = { 0, 1 } }
    assert.same({
      "1 ┤              ⣀⣀⠤⠤⠒⠒⠉",
      "  │       ⣀⡠⠤⠔⠒⠊⠉",
      "0 ┤⣀⠤⠤⠒⠒⠉⠉",
      "  └┬───────────────────┬",
      "   0                   1",
    }, lines(chart, { width = 24, height = 5 }))
  end)

  it("has bars that lie, with names, values, and what is below 0 to the left", function()
    local chart = plot.bar { x = { "up", "down", "none", "更多" }, y = { 2, -1, 0 / 0, { 1, 2, 3 } }, y_format = "si" }
    local fine = lines(plot.bar { x = { "up", "down", "x" }, y = { 2, -0.9, -1 } }, { width = 31 })
    assert.same({ "up          ██████████████ 2", "down ▐██████               -0.9", "x    ███████               -1" }, fine)
    local list = lines(chart, { width = 40, style = "ascii" })
    assert.equal("up         ############       2", list[1])
    assert.equal("down ######                   -1", list[2])
    assert.equal("none                          -", list[3])
    assert.equal("更多       ############       2 (1 to 3)", list[4])
  end)

  it("is ASCII if asked for", function()
    local chart = plot.line {
      title = "T", x_scale = "log", x = { 1e-7, 1e9 }, y = { 1e-6, 2e-3 }, y_format = "seconds", name = "s",
      marks = { { x = 1, label = "one" }, { y = 1e-3 } },
    }
    local text = chart:text { style = "ascii" }
    assert.is_nil(text:find "[\128-\255]", text)
    assert.is_truthy(text:find("10^-6", 1, true))
    assert.is_truthy(text:find(": one x = 1; mark y = 1 ms", 1, true))
  end)

  it("is what tostring gives", function()
    local chart = plot.bar { y = { 1, 2 } }
    assert.equal(chart:text(), tostring(chart))
  end)

  it("of print follows the environment, and options", function()
    local script = [[
      local chart = require "plot".bar { x = { "a" }, y = { 1 } }
      assert(chart:print { width = 20 } == chart)
      chart:print { width = 20, style = "ascii" }
    ]]
    local ascii, blocks = "a " .. ("#"):rep(16) .. " 1\n", "a " .. ("█"):rep(16) .. " 1\n"
    for environment, expected in pairs {
      ["LC_ALL=C LANG=x.UTF-8"] = ascii .. ascii, ["LC_ALL= LC_CTYPE= LANG=en_US.utf8"] = blocks .. ascii,
      ["-u LC_ALL -u LC_CTYPE -u LANG"] = ascii .. ascii,
    } do
      assert.same({ out = expected, err = "", code = 0 }, run.script(script, "", environment))
    end
  end)
end)
