-- SPDX-License-Identifier: MIT
-- The page that shows a trace: lua/report/, with the events in it (a report) or the address of a feed (a dashboard). It
-- needs nothing from elsewhere, and nothing in a trace becomes markup: "<" is escaped where the events stand, the page makes
-- texts of what it finds in them, and scripts run only with a number that is drawn for this page.
local host = require "parhost.core.host"
local json = require "http.json"

local report = {}

local SCRIPTS <const> = {
  "format", "trace", "rows", "counts", "scene", "findings", "view", "theme", "paint", "gestures", "keys", "panel", "charts",
  "tables", "detail", "feed", "main",
}
local BLOCK <const> = 2 * 1024 * 1024 -- bytes of events that a browser reads at a time
local LIMITS <const> = { events = 1000000, bytes = 400 * 1024 * 1024 } -- of one page; of what comes behind the rare is kept
local BEFORE <const> = '<script type="application/json" class="trace">\n'
local RARE_PHASES <const> = { M = true, i = true, B = true, E = true }
local RARE_TEXTS <const> = { '"state":"failed"', '"state":"timeout"', '"state":"died"' }

-- Drawn anew for each page.
local function nonce()
  local file <close> = assert(io.open("/dev/urandom", "rb"))
  return (file:read(16):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local ENTITIES <const> = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

local function attribute(text)
  return (text:gsub('[&<>"]', ENTITIES))
end

-- What comes before the events, and what behind them. feed: the address of the events, "" when they are in the page.
-- notes: what the page should say of the trace.
function report.page(feed, notes)
  local parts = host.built_in_texts("report/")
  local scripts = {}
  for i, name in ipairs(SCRIPTS) do scripts[i] = parts[name .. ".js"] end
  local values = {
    nonce = nonce(), feed = attribute(feed), notes = attribute(json.encode(notes)),
    connect = feed == "" and "'none'" or "'self'",
    css = parts["vendor/uPlot.min.css"] .. parts["page.css"],
    licence = "/* uPlot\n" .. parts["vendor/uPlot.LICENSE"] .. "*/", uplot = parts["vendor/uPlot.iife.js"],
    js = table.concat(scripts),
  }
  local head, tail = parts["page.html"]:match("^(.*){data}\n(.*)$")
  return (head:gsub("{(%l+)}", values)), (tail:gsub("{(%l+)}", values))
end

-- Reading a trace --------------------------------------------------------------------------------------------

-- Is this the first event of a trace of ours?
local function is_beginning(line)
  local ok, event = pcall(json.decode, (line:gsub(",?%s*$", "")), "trace")
  return ok and type(event) == "table" and event.ph == "M" and event.name == "parhost"
end

-- What the page does not need: arrows from where a task was submitted to where it ran, as the task itself tells both. Of
-- those that did not run to an end the beginning is kept.
local function new_filter(limits)
  local submitted, n, bytes = {}, 0, 0
  local counts = { events = 0, left_out = 0 }

  local function is_rare(phase, line)
    if RARE_PHASES[phase] then return true end
    for _, text in ipairs(RARE_TEXTS) do
      if line:find(text, 1, true) then return true end
    end
    return false
  end

  local function keep(phase, line)
    if phase == "s" or phase == "f" then
      submitted[line:match('"id":(%d+)') or ""] = phase == "s" and line or nil
      return false
    end
    n, bytes = n + 1, bytes + #line
    if n <= (limits.events or LIMITS.events) and bytes <= (limits.bytes or LIMITS.bytes) then return true end
    if is_rare(phase, line) then return true end
    counts.left_out = counts.left_out + 1
    counts.left_out_from = counts.left_out_from or tonumber(line:match('"ts":([%d.]+)'))
    return false
  end

  local function rest()
    local lines = {}
    for id, line in pairs(submitted) do lines[#lines + 1] = { tonumber(id) or 0, line } end
    table.sort(lines, function(a, b) return a[1] < b[1] end)
    return lines
  end
  return keep, rest, counts
end

-- Calls emit(text) with blocks of lines that are events. Gives notes for the page | nil, message.
local function read_events(file, limits, emit)
  local keep, rest, notes = new_filter(limits)
  local block, size = {}, 0
  local function flush()
    if size > 0 then emit(table.concat(block, ",\n", 1, #block)) end
    block, size = {}, 0
  end
  local function add(line)
    block[#block + 1], size = line, size + #line
    if size >= BLOCK then flush() end
  end
  notes.damaged = 0

  local first, message = file:read("L")
  if not first then return nil, message or "is empty" end
  if not first:find("^%[%s*$") then return nil, "is not a trace of parhost" end
  local seen = false
  while true do
    local line
    line, message = file:read("L")
    if not line then
      if message then return nil, message end
      break
    end
    local event = line:match("^%s*({.*})%s*,?%s*$")
    if not seen and line:find("%S") then
      if event and not is_beginning(event) or not event and line:find("\n", 1, true) then
        return nil, "is not a trace of parhost"
      end
      seen = event ~= nil
    end
    if event then
      notes.events = notes.events + 1
      if event:find('"name":"parhost_end"', 1, true) then notes.ended = true end
      if keep(event:match('"ph":"(.)"'), event) then add(event) end
    elseif line:find("[^%s%[%],]") then
      if line:find("\n", 1, true) then notes.damaged = notes.damaged + 1 else notes.torn = true end
    end
  end
  if not seen then return nil, "has no events" end
  for _, entry in ipairs(rest()) do add(entry[2]) end
  flush()
  return notes
end

-- Writing a report -------------------------------------------------------------------------------------------

local function copy(from, to)
  for piece in function() return from:read(1024 * 1024) end do
    local ok, message = to:write(piece)
    if not ok then return nil, message end
  end
  return true
end

-- The notes come before the events, and are known behind them: the events wait in a file without a name.
local function write_report(input, output, limits)
  local events <close> = io.tmpfile()
  if not events then return nil, "no room for temporary files" end
  local ok, message = true, nil
  local notes, problem = read_events(input, limits, function(text)
    ok, message = events:write(BEFORE, (text:gsub("<", "\\u003c")), "\n</script>\n")
    return ok
  end)
  if not notes then return nil, problem, "input" end
  if not ok then return nil, message end
  events:seek("set")
  local head, tail = report.page("", notes)
  ok, message = output:write(head)
  if ok then ok, message = copy(events, output) end
  if ok then ok, message = output:write(tail) end
  if not ok then return nil, message end
  return notes
end

-- Writes the report of a trace file ("-": to standard output). What stands in its place is replaced when the new one is
-- complete. Gives what the page says of the trace: { events =, left_out =, damaged =, torn =, ended = }. Raises a text with
-- the name of the file that is wrong. limits: as LIMITS, for tests.
function report.write(json_path, html_path, limits)
  local input <close>, message = io.open(json_path, "rb")
  if not input then error(message, 0) end
  local first, problem = input:read(0)
  if not first then error(("%s: %s"):format(json_path, problem or "is empty"), 0) end
  local in_place = html_path == "-" or html_path:find("^/dev/") ~= nil
  local beside = in_place and html_path or html_path .. ".new"
  local output = io.stdout
  if html_path ~= "-" then output, message = io.open(beside, "wb") end
  if not output then error(message, 0) end
  local notes, what, whose = write_report(input, output, limits or {})
  local ok = notes ~= nil
  if html_path ~= "-" then
    local closed, why = output:close()
    if ok and not closed then ok, what = false, why end
  end
  if not in_place then
    if ok then ok, what = os.rename(beside, html_path) end
    if not ok then os.remove(beside) end
  end
  if ok then return notes end
  error(("%s: %s"):format(whose == "input" and json_path or html_path, what or "cannot be written"), 0)
end

return report
