-- SPDX-License-Identifier: MIT
-- --stats: what a program has done, told on standard error at its end, and what looks wrong with it. The numbers come from
-- src/lib/trace_lib.c (seconds, bytes); docs/trace.md has the thresholds.
local stats = {}

local POOLS_SHOWN <const> = 10

-- Thresholds of the hints ------------------------------------------------------------------------------------

local SHORT_TASK <const> = 50e-6    -- seconds: tasks that average less are short,
local MANY <const> = 1000           -- and so many of them are worth a word
local MATTERS <const> = 0.05        -- seconds: no hint about less
local TAIL_SHARE <const> = 0.25     -- of the time with work
local TAIL_RATIO <const> = 4        -- the longest task to the median
local IDLE_SHARE <const> = 0.5      -- of the workers' time
local BIG <const> = 2 ^ 20          -- bytes of a task, in and out
local COPY_RATE <const> = 1e9       -- bytes in a second
local COPY_SHARE <const> = 0.1      -- of the time that tasks run
local BLOCKED <const> = 0.1         -- seconds: a step that holds the loop so long

-- Words for numbers ------------------------------------------------------------------------------------------

local function duration(seconds)
  if not seconds then return "-" end
  if seconds < 9.95e-6 then return ("%.1f us"):format(seconds * 1e6) end
  if seconds < 999.5e-6 then return ("%.0f us"):format(seconds * 1e6) end
  if seconds < 9.95e-3 then return ("%.1f ms"):format(seconds * 1e3) end
  if seconds < 0.9995 then return ("%.0f ms"):format(seconds * 1e3) end
  return ("%.3f s"):format(seconds)
end

local function bytes(n)
  if n < 1000 then return ("%d B"):format(n) end
  for i, unit in ipairs { "KiB", "MiB", "GiB" } do
    local scaled = n / 1024 ^ i
    if scaled < 1000 or unit == "GiB" then return ("%.1f %s"):format(scaled, unit) end
  end
end

local function count(n, singular, plural)
  return ("%d %s"):format(n, n == 1 and singular or plural)
end

local function percent(share)
  return ("%.0f %%"):format(share * 100)
end

local function mean(total, n)
  return n > 0 and total // n or 0
end

-- Hints ------------------------------------------------------------------------------------------------------

-- What the workers could have run in the time that the pool had work.
local function capacity(pool)
  return pool.active * pool.workers
end

local function about_hand_over(pool)
  local average = pool.busy / pool.tasks
  if pool.tasks < MANY or average > SHORT_TASK or pool.messages < pool.tasks then return nil end
  if pool.busy > capacity(pool) * 0.5 then return nil end
  return "hand-over", ('tasks average %s and most of the time goes to hand-over: use chunk_size = "auto"'):format(
    duration(average))
end

local function about_payloads(pool)
  local total = pool.bytes_in + pool.bytes_out
  if total / pool.tasks < BIG or total / COPY_RATE < pool.busy * COPY_SHARE then return nil end
  return "payloads", ("tasks carry %s in and %s out each: send names or parts of what is big, or let a task make it"):format(
    bytes(mean(pool.bytes_in, pool.tasks)), bytes(mean(pool.bytes_out, pool.tasks)))
end

local function about_few_tasks(pool, cpus)
  local wanted = math.min(pool.max_workers, cpus)
  if pool.messages >= wanted or pool.busy < MATTERS then return nil end
  if pool.messages < pool.tasks then
    return "few tasks", ("%s make %s for %d workers: use a smaller chunk_size"):format(
      count(pool.tasks, "task", "tasks"), count(pool.messages, "chunk", "chunks"), wanted)
  end
  return "few tasks", ("%s cannot keep %d workers busy: divide the work into more tasks"):format(
    count(pool.tasks, "task", "tasks"), wanted)
end

local function about_tail(pool)
  if pool.workers < 2 or pool.tail < MATTERS or pool.tail < pool.active * TAIL_SHARE then return nil end
  if not pool.run_p50 or pool.longest < pool.run_p50 * TAIL_RATIO then return nil end
  return "long tail", ("for the last %s (%s of the work) some workers had nothing to do: the longest task took %s, the "
    .. "median %s; submit long tasks first (priority), or divide them"):format(
    duration(pool.tail), percent(pool.tail / pool.active), duration(pool.longest), duration(pool.run_p50))
end

local function about_idle(pool)
  local time = pool.open * pool.workers
  if pool.workers < 2 or pool.busy > time * IDLE_SHARE or pool.open < MATTERS then return nil end
  return "idle workers", ("workers had nothing to run for %s of the time that the pool was open: submit all that can run at "
    .. "once before waiting, or do with fewer workers"):format(percent(1 - pool.busy / time))
end

-- For each pool the first that fits: what comes later may follow from it.
local ABOUT_POOLS <const> = { about_hand_over, about_payloads, about_few_tasks, about_tail, about_idle }

local function hints_of(totals)
  local hints = {}
  for _, pool in ipairs(totals.pools) do
    for _, about in ipairs(pool.tasks > 0 and ABOUT_POOLS or {}) do
      local kind, text = about(pool, totals.cpus)
      if kind then
        hints[#hints + 1] = { kind = kind, pool = pool.name, text = ("%s: %s"):format(pool.name, text) }
        break
      end
    end
  end
  local step = totals.longest_step
  if step and step.seconds >= BLOCKED then
    hints[#hints + 1] = { kind = "blocked loop", text = ("a step of task '%s' held the loop for %s (%s): move what computes "
      .. "to async.to_process or async.to_thread"):format(step.task, duration(step.seconds), step.at) }
  end
  return hints
end

-- The report -------------------------------------------------------------------------------------------------

local function busy_of(totals)
  local busy = 0
  for _, pool in ipairs(totals.pools) do busy = busy + pool.busy end
  return busy
end

local function row_of(pool)
  return {
    pool.name, ("%d"):format(pool.workers), ("%d"):format(pool.tasks), ("%d"):format(pool.failed),
    duration(pool.wait_p50) .. " / " .. duration(pool.wait_p99), duration(pool.run_p50) .. " / " .. duration(pool.run_p99),
    bytes(mean(pool.bytes_in, pool.tasks)) .. " / " .. bytes(mean(pool.bytes_out, pool.tasks)),
  }
end

local HEAD <const> = { "pool", "workers", "tasks", "failed", "wait p50 / p99", "run p50 / p99", "in / out per task" }

-- The first column to the left, the others to the right.
local function table_of(rows)
  local widths, lines = {}, {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, utf8.len(cell) or #cell) end
  end
  for _, row in ipairs(rows) do
    local line = {}
    for i, cell in ipairs(row) do
      local blanks = (" "):rep(widths[i] - (utf8.len(cell) or #cell))
      line[i] = i == 1 and cell .. blanks or blanks .. cell
    end
    lines[#lines + 1] = table.concat(line, "   ")
  end
  return lines
end

local function pool_lines(totals)
  local pools = table.move(totals.pools, 1, #totals.pools, 1, {})
  if #pools == 0 then return {} end
  table.sort(pools, function(a, b) return a.busy > b.busy end)
  local rows = { HEAD }
  for i = 1, math.min(#pools, POOLS_SHOWN) do rows[#rows + 1] = row_of(pools[i]) end
  local lines = table_of(rows)
  if #pools > POOLS_SHOWN then lines[#lines + 1] = ("and %d more pools"):format(#pools - POOLS_SHOWN) end
  return lines
end

local function first_line(totals)
  local text = ("%s wall, %s CPU"):format(duration(totals.wall), duration(totals.cpu))
  if not totals.efficiency then return text end
  return ("%s, parallel efficiency %s (%s)"):format(
    text, percent(totals.efficiency), count(totals.workers, "worker", "workers"))
end

local function ends(failed, cancelled)
  local parts = {}
  if failed > 0 then parts[#parts + 1] = failed .. " failed" end
  if cancelled > 0 then parts[#parts + 1] = cancelled .. " cancelled" end
  return #parts > 0 and (" (%s)"):format(table.concat(parts, ", ")) or ""
end

local function other_lines(totals)
  local lines = {}
  if totals.tasks > 0 then
    local step = totals.longest_step
    lines[#lines + 1] = count(totals.tasks, "task on a coroutine", "tasks on coroutines")
      .. ends(totals.tasks_failed, totals.tasks_cancelled)
      .. (step and (", longest step %s (%s)"):format(duration(step.seconds), step.at) or "")
  end
  if totals.requests > 0 then
    lines[#lines + 1] = ("%s%s, %s each, %s in all"):format(count(totals.requests, "request", "requests"),
      ends(totals.requests_failed, 0), duration(totals.request_seconds / totals.requests), bytes(totals.request_bytes))
  end
  if totals.programs > 0 then
    lines[#lines + 1] = count(totals.programs, "other program", "other programs")
  end
  return lines
end

function stats.text(totals)
  local lines = { "parhost: " .. first_line(totals) }
  for _, part in ipairs { pool_lines(totals), other_lines(totals) } do
    for _, line in ipairs(part) do lines[#lines + 1] = "  " .. line end
  end
  for _, hint in ipairs(totals.hints) do lines[#lines + 1] = "  hint: " .. hint.text end
  return table.concat(lines, "\n") .. "\n"
end

-- Adds what follows from the numbers.
function stats.judge(totals)
  if totals.workers > 0 and totals.wall > 0 then
    totals.efficiency = busy_of(totals) / (totals.wall * totals.workers)
  end
  totals.hints = hints_of(totals)
  return totals
end

function stats.tell(totals, as_json)
  stats.judge(totals)
  if as_json then
    local json = require "http.json"
    json.array(totals.pools)
    json.array(totals.hints)
    io.stderr:write(json.encode(totals), "\n")
  else
    io.stderr:write(stats.text(totals))
  end
end

return stats
