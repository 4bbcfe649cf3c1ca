-- SPDX-License-Identifier: MIT
-- Programs that write a trace, and looking at what they have written.
local json = require "http.json"
local run = require "support.run"

local traces = {}

local Trace = {}
Trace.__index = Trace

-- The events with these fields, { ph = "X", cat = "task" }; `args` is compared field by field.
function Trace:all(wanted)
  local found = {}
  for _, e in ipairs(self) do
    local fits = true
    for key, value in pairs(wanted) do
      if key ~= "args" and e[key] ~= value then fits = false end
    end
    for key, value in pairs(wanted.args or {}) do
      if not e.args or e.args[key] ~= value then fits = false end
    end
    if fits then found[#found + 1] = e end
  end
  return found
end

-- The one that there is.
function Trace:one(wanted)
  local found = self:all(wanted)
  assert(#found == 1, ("%d events of this kind: %s"):format(#found, json.encode(wanted)))
  return found[1]
end

function Trace:tasks(name)
  return self:all { ph = "X", cat = "task", name = name }
end

local function slurp(path)
  local file = io.open(path, "rb")
  local text = file and file:read("a")
  if file then file:close() end
  return text
end
traces.slurp = slurp

-- The whole file as JSON; that of a program that was killed is given its end.
function traces.parse(text, is_torn)
  if is_torn then text = text:gsub("[^\n]*$", ""):gsub(",\n$", "\n]\n") end
  assert(utf8.len(text), "not UTF-8")
  return setmetatable(json.decode(text, "trace"), Trace)
end

-- Runs a script with --trace; gives the events, and what run.script gives. `how`: arguments and environment of the script,
-- torn: the program is killed.
function traces.of(script, how)
  how = how or {}
  local path = os.tmpname()
  local name = run.write(script)
  local result = run.sh(("exec env %s timeout 60 %s --trace %s %s %s"):format(
    how.environment or "", run.parhost, path, name, how.arguments or ""))
  os.remove(name)
  local text = slurp(path)
  os.remove(path)
  local trace = traces.parse(text, how.torn)
  trace.script = name
  return trace, result
end

-- Every submit has one arrow to one run for each attempt, in the order of time; or was told never to have run.
function traces.check_arrows(trace)
  local submits, ends = {}, {}
  for _, e in ipairs(trace:all { cat = "submit" }) do
    local list = e.ph == "s" and submits or ends
    assert(e.ph == "f" or not list[e.id], "two submits of one number")
    list[e.id] = e
  end
  for id, e in pairs(ends) do
    assert(submits[id], "an arrow from nowhere")
    assert(e.ts >= submits[id].ts, "an arrow back in time")
  end
  local n_dropped, n_open = #trace:all { ph = "i", cat = "task" }, 0
  for id in pairs(submits) do
    if not ends[id] then n_open = n_open + 1 end
  end
  assert(n_open == n_dropped, ("%d submits without a run, %d told"):format(n_open, n_dropped))
end

-- `b` and `e` in pairs.
function traces.check_pairs(trace, category)
  local open, n = {}, 0
  for _, e in ipairs(trace:all { cat = category }) do
    if e.ph == "b" then
      assert(not open[e.id], "begun twice")
      open[e.id] = e
      n = n + 1
    elseif e.ph == "e" then
      assert(open[e.id] and open[e.id].name == e.name and e.ts >= open[e.id].ts, "an end without its beginning")
      open[e.id] = nil
    end
  end
  assert(next(open) == nil, "no end")
  return n
end

return traces
