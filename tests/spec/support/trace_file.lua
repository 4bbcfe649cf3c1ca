-- SPDX-License-Identifier: MIT
-- Trace files for specs, as --trace writes them (docs/trace.md).
local json = require "http.json"

local trace_file = {}

trace_file.FIRST = {
  ph = "M", ts = 0, name = "parhost", pid = 1, tid = 1,
  args = { version = "0.1.0", script = "demo.lua", argv = json.array { "demo.lua" }, cpus = 2, start = 1790000000 },
}
trace_file.LAST = {
  ph = "M", ts = 1000, name = "parhost_end", pid = 1, tid = 1, args = { exit_code = 0, wall = 1000, cpu = 500 },
}

-- A task of a pool.
function trace_file.task(fields, args)
  local event = { ph = "X", cat = "task", ts = 100, dur = 50, name = "f", pid = 2, tid = 2 }
  for key, value in pairs(fields) do event[key] = value end
  event.args = { pool = "p", worker = 1, id = 1, fn = "demo.lua:1", wait = 10, state = "done" }
  for key, value in pairs(args or {}) do event.args[key] = value end
  return event
end

-- The text of a complete trace of these events; an event may be a text, which is then a line as it is.
function trace_file.text(events, is_killed)
  local lines = { "[\n", json.encode(trace_file.FIRST), ",\n" }
  for _, event in ipairs(events) do
    lines[#lines + 1] = type(event) == "string" and event or json.encode(event) .. ",\n"
  end
  if not is_killed then lines[#lines + 1] = json.encode(trace_file.LAST) .. "\n]\n" end
  return table.concat(lines)
end

return trace_file
