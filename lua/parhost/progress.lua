-- SPDX-License-Identifier: MIT
-- parhost.progress and --progress: how far it has come, as a line that stays at the bottom of the terminal, or as plain
-- lines where standard error is none. The clock runs in the state's loop, so the line goes on while the program waits.
local check = require "parhost.check"
local collect = require "parhost.collect"
local core = require "parhost.core.progress"
local host = require "parhost.core.host"
local options = require "parhost.options"
local waiting = require "futures.waiting"

local progress = {
  every = 0.1,      -- seconds between two drawings
  plain_every = 10, -- and between two plain lines
}

local monotonic = host.monotonic

-- A bar is something to show: { label =, began =, counts = { finished, failed, skipped }, total = function, busy = function,
-- refresh = function or nil }. The last one is shown.
local bars = {}
local on_terminal -- nil: nothing was ever shown
local next_at = 0 -- when something may be shown again

-- Words -------------------------------------------------------------------------------------------------------

local function clock_text(seconds)
  if seconds >= 360000 then return ("%dd"):format(seconds // 86400) end
  local s = math.ceil(seconds)
  if s >= 3600 then return ("%d:%02d:%02d"):format(s // 3600, s // 60 % 60, s % 60) end
  return ("%d:%02d"):format(s // 60, s % 60)
end

local function rate_text(rate)
  if rate >= 100 then return ("%.0f/s"):format(rate) end
  if rate >= 1 then return ("%.1f/s"):format(rate) end
  return ("%.1f s each"):format(1 / rate)
end

-- What there is to say, the most important first; `order`: where it stands.
local function fields_of(bar, now, over)
  local counts, total, seconds = bar.counts, bar.total(), now - bar.began
  local all = counts.finished + counts.skipped
  local fields = {}
  local function add(order, text) fields[#fields + 1] = { order = order, text = text } end
  add(2, total and ("%d/%d"):format(all, total) or ("%d"):format(all))
  if total and total > 0 then add(3, ("%d%%"):format(100 * all // total)) end
  local rate = counts.finished > 0 and seconds > 0 and counts.finished / seconds
  if over then
    add(3.5, over .. clock_text(seconds))
  elseif total and rate and total >= all then
    add(5, "ETA " .. clock_text((total - all) / rate))
  end
  if counts.failed > 0 then add(7, ("%d failed"):format(counts.failed)) end
  if rate then add(4, rate_text(rate)) end
  local busy, workers = bar.busy()
  if busy and not over then add(6, workers and ("%d/%d busy"):format(busy, workers) or ("%d busy"):format(busy)) end
  if counts.skipped > 0 then add(8, ("%d skipped"):format(counts.skipped)) end
  return fields
end

local function join(fields, n)
  local some = table.move(fields, 1, n, 1, {})
  table.sort(some, function(a, b) return a.order < b.order end)
  for i, field in ipairs(some) do some[i] = field.text end
  return table.concat(some, "  ")
end

-- The fields are ASCII; the label may be anything.
local function line_for(bar, width, over)
  local fields = fields_of(bar, monotonic(), over)
  local label, cells = "", 0
  if bar.label then label, cells = core.fit(bar.label, math.max(width // 3, 8)) end
  if cells > 0 then label, cells = label .. "  ", cells + 2 end
  local n = #fields
  while n > 1 and cells + #join(fields, n) > width do n = n - 1 end
  local text = join(fields, n)
  if cells + #text <= width then return label .. text end
  return (core.fit(text, width))
end

-- Showing -----------------------------------------------------------------------------------------------------

local function plain(bar, over)
  local text = line_for(bar, math.maxinteger, over)
  io.stderr:write((bar.label or on_terminal) and "" or "progress  ", text, "\n")
end

local function show(bar)
  if bar.refresh then bar.refresh(bar) end
  if not on_terminal then return plain(bar) end
  local columns = core.columns()
  core.show(line_for(bar, columns - 1), columns)
end

-- On the clock, and as results are taken.
local function tick()
  local bar = bars[#bars]
  if not bar then return end
  local now = monotonic()
  if now < next_at then return end
  next_at = now + (on_terminal and progress.every or progress.plain_every)
  show(bar)
end

-- The clock goes off a little later than asked for: it must not find itself too early.
local function on_clock()
  next_at = math.min(next_at, monotonic())
  tick()
end

local function start(bar)
  if on_terminal == nil then on_terminal = core.is_possible() end
  if #bars == 0 then
    require "parhost.core.pool".prepare() -- before this process has a loop
    local period = on_terminal and progress.every or progress.plain_every
    core.start(period, on_clock)
    next_at = monotonic() + period
  end
  bars[#bars + 1] = bar
end

-- `over`: nil: it has been left before its end.
local function finish(bar, over)
  for i = #bars, 1, -1 do
    if bars[i] == bar then table.remove(bars, i) end
  end
  if bar.refresh then bar.refresh(bar) end
  if on_terminal then core.hide() end
  if over or not on_terminal then plain(bar, over or "stopped after ") end
  if #bars == 0 then core.start(0) end
end

-- A wrapped iterator ------------------------------------------------------------------------------------------

local Progress = { __name = "parhost.progress" }
Progress.__index = Progress

local function end_of(self, over)
  local bar = self.bar
  if not bar then return end
  self.bar = nil
  if not host.worker() then finish(bar, over) end
end

local function passed(self, first, ...)
  local bar = self.bar
  if first == nil then
    end_of(self, "in ")
    return
  end
  if bar then
    if self.counts_itself then bar.counts.finished = bar.counts.finished + 1 end
    if bars[1] then tick() end
  end
  return first, ...
end

-- What the iterator gives, unchanged.
function Progress:next()
  return passed(self, self.inner())
end

Progress.collect = collect

-- Another future, where the iterator is as_completed's.
function Progress:add(f)
  return self.inner:add(f)
end

local function close_inner(self, err)
  local metatable = debug.getmetatable(self.inner)
  local close = type(metatable) == "table" and metatable.__close
  if close then close(self.inner, err) end
end

function Progress:close()
  end_of(self)
  close_inner(self)
end

function Progress:__close(err)
  end_of(self)
  close_inner(self, err)
end

function Progress:__gc()
  end_of(self)
end

Progress.__call = Progress.next

-- Where the numbers come from ---------------------------------------------------------------------------------

-- Workers of the pools that futures are of: busy ones, and how many there may be; nil: there are none.
local function workers_of(lives)
  local busy, workers
  for life in pairs(lives) do
    busy = (busy or 0) + life.core:stats().busy
    workers = (workers or 0) + life.max_workers
  end
  return busy, workers
end

local function lives_of_futures(set)
  local lives = {}
  for f in pairs(set) do
    local life = f:_life()
    if life then lives[life] = true end
  end
  return lives
end

local function constant(value) return function() return value end end

-- counts, total, busy
local function sources_of(inner)
  if inner.home then
    local lives = { [inner.home.life] = true }
    return function() return inner.total end, function() return workers_of(lives) end
  end
  if inner.seen then
    local lives = lives_of_futures(inner.seen)
    return function() return inner.total end, function() return workers_of(lives) end
  end
  return constant(inner.length), function() return inner.running end
end

local OPTIONS <const> = {
  total = { "integer", min = 0 },
  label = { "string" },
}

-- for index, values... in parhost.progress(iterator | futures [, { total =, label = }]) do
function progress.of(inner, given)
  local how = given == nil and {} or options.check(OPTIONS, given, 2, "progress")
  if type(inner) == "table" and getmetatable(inner) == nil then inner = waiting.as_completed(inner, nil, "progress") end
  if not check.is_callable(inner) then check.expected(1, "progress", "iterator or array of futures", inner) end
  local bar = {
    label = how.label, began = monotonic(), counts = { finished = 0, failed = 0, skipped = 0 },
    total = constant(how.total), busy = constant(nil),
  }
  local self = setmetatable({ inner = inner, bar = bar, counts_itself = true }, Progress)
  if type(inner) == "table" and inner._count_in then
    local total
    total, bar.busy = sources_of(inner)
    if not how.total then bar.total = total end
    inner:_count_in(bar.counts)
    self.counts_itself = false
  end
  if not host.worker() then start(bar) end
  return self, nil, nil, self
end

-- The whole program -------------------------------------------------------------------------------------------

local function sum(lives, gone)
  local finished, failed, submitted = gone.finished, gone.failed, gone.submitted
  for life in pairs(lives) do
    local stats = life.core:stats()
    finished = finished + stats.completed + stats.failed + stats.cancelled
    failed = failed + stats.failed
    submitted = submitted + select(3, life.core:busy())
  end
  return finished, failed, submitted
end

-- Numbers of pools that are over are kept; the lives are let go.
local function forget_finished(lives, gone)
  for life in pairs(lives) do
    if life.core:finished() then
      gone.finished, gone.failed, gone.submitted = sum({ [life] = true }, gone)
      lives[life] = nil
    end
  end
end

-- --progress: all pools together, from the first one to the end of the program.
function progress.whole_program(lifetime)
  local lives, gone, submitted = {}, { finished = 0, failed = 0, submitted = 0 }, 0
  local bar = { began = monotonic(), counts = { finished = 0, failed = 0, skipped = 0 } }
  function bar.refresh()
    local counts = bar.counts
    counts.finished, counts.failed, submitted = sum(lives, gone)
    forget_finished(lives, gone)
  end
  function bar.total() return submitted end
  function bar.busy() return workers_of(lives) end
  function lifetime.watcher(life)
    if not next(lives) and gone.submitted == 0 then start(bar) end
    lives[life] = true
  end
  require "parhost.exit".at_last(function(mode)
    if bars[1] then finish(bar, mode == "normal" and "in " or nil) end
  end)
end

return progress
