---@meta plot
-- SPDX-License-Identifier: MIT
-- luacheck: ignore 212 631

---Charts from tables of numbers, as SVG or in characters. See docs/plot.md.
local plot = {}

---A number; an array of what was measured several times: its median, with an error bar from the least to the greatest;
---false, NaN or an infinite number: a gap.
---@alias plot.Value number|number[]|false

---How numbers are written: 1500 as 1500, 1.5k, 1.465 KiB, 1500 s, 150000 %.
---@alias plot.Format "plain"|"si"|"bytes"|"seconds"|"percent"|fun(value: number): string

---@class plot.Series
---@field name? string in the legend
---@field x? number[]|string[] default: 1, 2, 3 ...; names for bars
---@field y plot.Value[]
---@field error? (number|number[]|false)[] for each y: plus and minus so much, or { down, up }
---@field color? string "#rrggbb"
---@field dashed? boolean
---@field markers? boolean default: when there are at most 60 points

---@class plot.Mark a dotted line across the chart
---@field x? number
---@field y? number
---@field label? string

---What charts have in common.
---@class plot.CommonOptions
---@field title? string
---@field subtitle? string
---@field description? string for those who cannot see it; what the chart finds itself stands behind it
---@field x_label? string
---@field y_label? string
---@field x_min? number default: from the data
---@field x_max? number
---@field y_min? number
---@field y_max? number
---@field x_ticks? number[]
---@field y_ticks? number[]
---@field marks? plot.Mark[]
---@field legend? boolean default true
---@field theme? "light"|"dark" default "light"
---@field width? integer of the SVG (default 720)
---@field height? integer of the SVG (default 440)

---@class plot.Options: plot.CommonOptions
---@field series? plot.Series[] instead of name, x, y, error, color, dashed, markers
---@field name? string
---@field x? number[]|string[] of all series that have none themselves
---@field y? plot.Value[]
---@field error? (number|number[]|false)[]
---@field color? string
---@field dashed? boolean
---@field markers? boolean
---@field x_scale? "linear"|"log"|"log2" default "linear"
---@field y_scale? "linear"|"log"|"log2" default "linear"
---@field x_format? plot.Format default "plain"
---@field y_format? plot.Format default "plain"

---@class plot.SpeedupSeries
---@field name? string
---@field workers? number[] default: 1, 2, 3 ...
---@field seconds plot.Value[] for each number of workers
---@field baseline? number seconds without parallelism; default: those of 1 worker
---@field color? string

---@class plot.SpeedupOptions: plot.CommonOptions
---@field series? plot.SpeedupSeries[] instead of name, seconds, baseline, color
---@field name? string
---@field workers? number[] of all series that have none themselves
---@field seconds? plot.Value[]
---@field baseline? number
---@field color? string

---@class plot.TextOptions
---@field width? integer columns (default 72)
---@field height? integer lines; bars take what they need (default 20)
---@field style? "braille"|"ascii" default "braille"; of `print`: as the environment is

---@class plot.Chart
local Chart = {}

---The text of an SVG file.
---@return string
function Chart:svg() end

---Writes an SVG file; without a path, prints. Raises an error of kind `os`.
---@param path? string
---@return plot.Chart
function Chart:save(path) end

---The chart in characters, lines that end in newlines.
---@param options? plot.TextOptions
---@return string
function Chart:text(options) end

---Writes the chart in characters to the default output.
---@param options? plot.TextOptions
---@return plot.Chart
function Chart:print(options) end

---Points joined by lines.
---@param options plot.Options
---@return plot.Chart
function plot.line(options) end

---Points.
---@param options plot.Options
---@return plot.Chart
function plot.scatter(options) end

---Bars, beside each other when there are several series.
---@param options plot.Options
---@return plot.Chart
function plot.bar(options) end

---From times with 1, 2, 3 ... workers: how many times as fast as with one, and the ideal line.
---@param options plot.SpeedupOptions
---@return plot.Chart
function plot.speedup(options) end

return plot
