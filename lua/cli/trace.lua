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

-- Takes option i into the plan: gives the place of its last word; or nil, if it is none of ours [, what is wrong [, how]].
function trace.option(plan, option, argv, i)
  local name, text = option:match "^%-%-(%l+)=?(.*)$"
  if name == "stats" and (text == "" or text == "json") then
    plan.stats, plan.watched = text == "" and "text" or text, true
    return i
  end
  if name == "dashboard" then
    plan.dashboard, plan.watched = math.tointeger(tonumber(option:find("=", 1, true) and text or 0)), true
    if plan.dashboard and plan.dashboard >= 0 and plan.dashboard <= 65535 then return i end
    return nil, "fail", ("--dashboard: a port expected (0 to 65535), got '%s'"):format(text)
  end
  if name ~= "trace" then return nil end
  if text == "" then
    i = i + 1
    text = argv[i]
    if not text or text:sub(1, 1) == "-" then return nil, "needs_argument" end
  end
  plan.trace, plan.watched = text, true
  return i
end

-- Gives nil, or why what is asked for cannot be. A page is made at the end, of a trace that lies beside it.
function trace.begin(plan, argv)
  local core = require "parhost.core.trace"
  local trouble = plan.stats and core.count(plan.stats == "json")
  local path = plan.trace or not plan.no_environment and os.getenv "PARHOST_TRACE"
  if path == "" then path = nil end
  if trouble or not (path or plan.dashboard) then return trouble or nil end
  local is_page = path and path:find "%.html$" ~= nil
  local fd, message = core.open(is_page and path .. ".json" or path)
  if not fd then return message end
  if is_page then core.report(path) end
  core.start(name_of(plan, argv), argv)
  return plan.dashboard and host.load_built_in "cli.dashboard"().start(plan.dashboard, fd)
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
