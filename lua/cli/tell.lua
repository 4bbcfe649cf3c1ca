-- SPDX-License-Identifier: MIT
-- What programs do, for people. All names come from elsewhere: nothing in them moves the cursor.
local tell = {}

-- Characters that a terminal acts on, or that turn the direction of the text.
local function is_shown(code)
  if code < 0x20 or (code >= 0x7f and code < 0xa0) then return false end
  return not (code == 0x200e or code == 0x200f or (code >= 0x202a and code <= 0x202e) or (code >= 0x2066 and code <= 0x2069)
    or code == 0x2028 or code == 0x2029)
end

local ESCAPES <const> = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\27"] = "\\e" }

function tell.safe(text)
  if not text:find("[^\x20-\x7e]") then return text end
  if not utf8.len(text) then
    return (text:gsub("[^\x20-\x7e]", function(c) return ESCAPES[c] or ("\\x%02x"):format(c:byte()) end))
  end
  return (text:gsub(utf8.charpattern, function(c)
    local code = utf8.codepoint(c)
    if is_shown(code) then return c end
    return ESCAPES[c] or code < 0x80 and ("\\x%02x"):format(code) or ("\\u{%x}"):format(code)
  end))
end

local safe = tell.safe

function tell.duration(seconds)
  if seconds < 0.9995 then return ("%d ms"):format(math.floor(seconds * 1000 + 0.5)) end
  if seconds < 59.95 then return ("%.1f s"):format(seconds) end
  seconds = math.floor(seconds + 0.5)
  if seconds < 3600 then return ("%d min %02d s"):format(seconds // 60, seconds % 60) end
  return ("%d h %02d min"):format(seconds // 3600, seconds % 3600 // 60)
end

local duration = tell.duration

function tell.bytes(n)
  if n < 1 << 30 then return ("%.1f MB"):format(n / (1 << 20)) end
  return ("%.1f GB"):format(n / (1 << 30))
end

local function count(n, what)
  return ("%d %s%s"):format(n or 0, what, n == 1 and "" or "s")
end

local Lines = {}
Lines.__index = Lines

function Lines:add(depth, format, ...)
  self[#self + 1] = ("  "):rep(depth) .. format:format(...)
end

function Lines:stack(depth, stack, title)
  if not self.whole or not stack or #stack == 0 then return end
  if title then self:add(depth, "%s", title) end
  for _, line in ipairs(stack) do self:add(depth + 1, "%s", safe(line)) end
end

-- Tasks on coroutines ----------------------------------------------------------------------------------------

local function task_line(t, running)
  local state = t.id == running and "running" or safe(t.state or "?")
  local parts = { safe(t.name or ("task-%d"):format(t.id or 0)), " (", state }
  if t.cancelling then parts[#parts + 1] = ", being cancelled" end
  parts[#parts + 1] = ")"
  if t.at then parts[#parts + 1] = " at " .. safe(t.at) end
  if t.age then parts[#parts + 1] = ", for " .. duration(t.age) end
  if t.wakes then parts[#parts + 1] = ", wakes in " .. duration(math.max(0, t.wakes)) end
  if t.created then parts[#parts + 1] = ", created at " .. safe(t.created) end
  return table.concat(parts)
end

local function by_parent(tasks)
  local known, roots, below = {}, {}, {}
  table.sort(tasks, function(a, b) return (a.id or 0) < (b.id or 0) end)
  for _, t in ipairs(tasks) do known[t.id or 0] = true end
  for _, t in ipairs(tasks) do
    local list = roots
    if t.parent and known[t.parent] and t.parent < (t.id or 0) then -- whoever is older: there are no circles
      list = below[t.parent] or {}
      below[t.parent] = list
    end
    list[#list + 1] = t
  end
  return roots, below
end

local DEPTH_MAX <const> = 40

local function add_tasks(lines, depth, state)
  local tasks = state.tasks
  if not tasks or (state.n_tasks or 0) == 0 then return end
  lines:add(depth, "%s on coroutines%s", count(state.n_tasks, "task"),
    state.n_tasks > #tasks and (", %d of them here"):format(#tasks) or "")
  local roots, below = by_parent(tasks)
  local pending = {}
  for i = #roots, 1, -1 do pending[#pending + 1] = { roots[i], depth + 1 } end
  while #pending > 0 do
    local t, at = table.unpack(table.remove(pending))
    lines:add(at, "%s", task_line(t, state.task))
    lines:stack(at, t.stack)
    lines:stack(at + 1, t.below, "in a coroutine of:")
    local children = below[t.id] or {}
    for i = #children, 1, -1 do pending[#pending + 1] = { children[i], math.min(at + 1, DEPTH_MAX) } end
  end
end

-- Pools ------------------------------------------------------------------------------------------------------

local SILENT <const> = { R = "in C code, runs", S = "in C code, sleeps", D = "in C code, waits for a device", T = "stopped" }

local function running_line(task)
  local parts = { task.name and safe(task.name) or "a task", (" #%d"):format(task.id or 0) }
  if task.items then parts[#parts + 1] = (", item %d of %d"):format(task.item or 0, task.items) end
  parts[#parts + 1] = task.age and ", for " .. duration(task.age) or ", begins"
  if task.stopping then parts[#parts + 1] = ", being stopped" end
  return table.concat(parts)
end

local function worker_line(worker)
  local parts = { ("worker %d ("):format(worker.id or 0) }
  local number = worker.tid or worker.pid
  parts[#parts + 1] = number and ("%s %d"):format(worker.tid and "tid" or "pid", number) or "starting"
  if worker.rss then parts[#parts + 1] = ", " .. tell.bytes(worker.rss) end
  if worker.cpu then parts[#parts + 1] = ", CPU " .. duration(worker.cpu) end
  parts[#parts + 1] = "): "
  local tasks = worker.tasks
  if #tasks == 0 then
    parts[#parts + 1] = ("%s, for %s"):format(safe(worker.state or "?"), duration(worker.since or 0))
    return table.concat(parts)
  end
  parts[#parts + 1] = running_line(tasks[#tasks])
  local says = worker.says
  if says and says.at then parts[#parts + 1] = ", at " .. safe(says.at) end
  if worker.silent then parts[#parts + 1] = ", " .. (SILENT[worker.silent] or "gone") end
  return table.concat(parts)
end

local add_pools

local function add_worker(lines, depth, worker)
  lines:add(depth, "%s", worker_line(worker))
  local tasks, says = worker.tasks, worker.says
  if lines.whole and #tasks > 0 and tasks[#tasks].submitted then
    lines:add(depth + 1, "submitted at %s", safe(tasks[#tasks].submitted))
  end
  for i = #tasks - 1, 1, -1 do lines:add(depth + 1, "on top of %s", running_line(tasks[i])) end
  if not says or depth > DEPTH_MAX then return end
  lines:stack(depth, says.stack)
  lines:stack(depth + 1, says.main, "in a coroutine of:")
  add_tasks(lines, depth + 1, says)
  add_pools(lines, depth + 1, says.pools)
end

function add_pools(lines, depth, pools)
  table.sort(pools or {}, function(a, b) return (a.number or 0) < (b.number or 0) end)
  for _, pool in ipairs(pools or {}) do
    lines:add(depth, '%s "%s"%s: %d of %s, %d running, %d queued, %d completed, %d failed', safe(pool.kind or "?"),
      safe(pool.name or "?"), pool.state ~= "open" and (" (%s)"):format(safe(pool.state or "?")) or "", pool.n_workers or 0,
      count(pool.max_workers, "worker"), pool.running or 0, pool.queued or 0, pool.completed or 0, pool.failed or 0)
    local workers = pool.workers or {}
    for _, worker in ipairs(workers) do add_worker(lines, depth + 1, worker) end
    if #workers < (pool.n_workers or 0) then lines:add(depth + 1, "...") end
  end
end

-- Programs ---------------------------------------------------------------------------------------------------

local function add_head(lines, program)
  lines:add(0, "parhost %d: %s, for %s, %s", program.pid, safe(program.script or "?"), duration(program.age or 0),
    tell.bytes(program.rss or 0))
end

-- `program`: an answer with age and rss; `whole`: with all stacks.
function tell.tree(program, whole)
  local lines = setmetatable({ whole = whole }, Lines)
  add_head(lines, program)
  local place = program.at and "at " .. safe(program.at) or "outside of the script"
  lines:add(0, "main: %s %s", program.waits and "waits" or "runs", place)
  lines:stack(0, program.stack)
  lines:stack(1, program.main, "in a coroutine of:")
  add_tasks(lines, 0, program)
  add_pools(lines, 0, program.pools)
  return table.concat(lines, "\n") .. "\n"
end

local COLUMNS <const> = "%7s  %12s  %7s  %7s  %6s  %5s  %9s  %s"

local function row(program)
  local workers, busy, running, queued = 0, 0, 0, 0
  for _, pool in ipairs(program.pools or {}) do
    workers, busy = workers + (pool.n_workers or 0), busy + (pool.busy or 0)
    running, queued = running + (pool.running or 0), queued + (pool.queued or 0)
  end
  local script = safe(program.script or "?")
  if program.silent then
    return COLUMNS:format(program.pid, duration(program.age), "-", "-", "-", "-", tell.bytes(program.rss),
      ("%s (%s)"):format(script, program.silent))
  end
  return COLUMNS:format(program.pid, duration(program.age), ("%d/%d"):format(busy, workers), running, queued,
    program.n_tasks or 0, tell.bytes(program.rss), script)
end

function tell.list(programs)
  local lines = { COLUMNS:format("PID", "AGE", "WORKERS", "RUNNING", "QUEUED", "ASYNC", "RSS", "SCRIPT") }
  for _, program in ipairs(programs) do lines[#lines + 1] = row(program) end
  return table.concat(lines, "\n") .. "\n"
end

-- What the system knows of a program that does not answer: its threads and the processes below it.
function tell.system(program)
  local lines = setmetatable({}, Lines)
  add_head(lines, program)
  for _, thread in ipairs(program.threads) do
    lines:add(1, "thread %d (%s): %s, CPU %s", thread.tid, safe(thread.name), thread.state, duration(thread.cpu))
  end
  for _, process in ipairs(program.processes) do
    lines:add(process.depth, "process %d (%s): %s, CPU %s, %s", process.pid, safe(process.name), process.state,
      duration(process.cpu), tell.bytes(process.rss))
  end
  return table.concat(lines, "\n") .. "\n"
end

return tell
