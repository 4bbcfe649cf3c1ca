-- SPDX-License-Identifier: MIT
-- --trace FILE, --stats: what begins when the program starts, and what is made of a trace at its end.
local host = require "parhost.core.host"

local trace = {}

-- What the program runs, for people.
local function name_of(plan, argv)
  if plan.built_in then return argv[plan.script] end
  if plan.script > 0 and argv[plan.script] then return plan.stdin and "stdin" or argv[plan.script] end
  return plan.reads_stdin and "stdin" or "(command line)"
end

-- `path` or nil: a trace. A page is made at the end, of a trace that lies beside it. `stats`: "text", "json" or nil.
-- `dashboard`: a port, 0: any, or nil. Gives nil, or why that cannot be.
function trace.begin(path, stats, dashboard, plan, argv)
  local core = require "parhost.core.trace"
  local trouble = stats and core.count(stats == "json")
  if trouble or not (path or dashboard) then return trouble end
  local is_page = path and path:find "%.html$" ~= nil
  local fd, message = core.open(is_page and path .. ".json" or path)
  if not fd then return message end
  if is_page then core.report(path) end
  core.start(name_of(plan, argv), argv)
  return dashboard and host.load_built_in "cli.dashboard"().start(dashboard, fd)
end

-- Called in a state of its own when everything has ended: makes the page and takes the trace away, unless that fails.
function trace.finish(json_path, html_path)
  local ok, err = pcall(function() host.load_built_in "cli.report"().write(json_path, html_path) end)
  if ok then
    os.remove(json_path)
  else
    warn(("parhost: cannot make %s: %s; the trace is in %s"):format(html_path, tostring(err), json_path))
  end
end

return trace
