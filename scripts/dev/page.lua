-- SPDX-License-Identifier: MIT
-- The sources of the page (lua/report/): what can be said of them without a browser. With node, that they are JavaScript.
local MAX_LINES <const>, MAX_WIDTH <const> = 500, 140
-- Ways by which a text of a trace could become markup or code.
local FORBIDDEN <const> = {
  "innerHTML", "outerHTML", "insertAdjacentHTML", "document%.write", "%f[%w_]eval%(", "new Function", "setTimeout%([\"'`]",
  "createContextualFragment", "%f[%w_]fetch%(", "XMLHttpRequest", "WebSocket", "localStorage", "document%.cookie",
}
local problems = 0

local function complain(path, line, text)
  problems = problems + 1
  io.stderr:write(("%s:%d: %s\n"):format(path, line, text))
end

local function lines_of(command)
  local pipe <close> = assert(io.popen(command))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  return list
end

local function check_line(path, n, line)
  if line:find("\t") then complain(path, n, "a tab") end
  if line:find("%s$") then complain(path, n, "blanks at the end") end
  if #(line:match("^ *")) % 2 ~= 0 and not line:find("^ %*") then complain(path, n, "an odd number of blanks before it") end
  if utf8.len(line) > MAX_WIDTH and not line:find("Content%-Security") then
    complain(path, n, ("longer than %d characters"):format(MAX_WIDTH))
  end
  if not path:find("%.js$") then return end
  if line:find("%f[%w_]var%f[^%w_]") then complain(path, n, "'var'") end
  if line:find("[^=!]==[^=]") or line:find("!=[^=]") then complain(path, n, "'==' and '!=' convert; use '===' and '!=='") end
  for _, pattern in ipairs(FORBIDDEN) do
    if line:find(pattern) then complain(path, n, "texts go into the page by 'make' alone, and nothing leaves it") end
  end
end

local function check(path)
  local n, licensed = 0, false
  for line in io.lines(path) do
    n = n + 1
    if line:find("SPDX-License-Identifier: MIT", 1, true) then licensed = true end
    check_line(path, n, line)
  end
  if not licensed then complain(path, 1, "no SPDX-License-Identifier line") end
  if n > MAX_LINES then complain(path, n, ("longer than %d lines"):format(MAX_LINES)) end
end

local has_node = os.execute("command -v node >/dev/null")
for _, path in ipairs(lines_of("git ls-files --cached --others --exclude-standard 'lua/report/*' | grep -v /vendor/")) do
  check(path)
  local is_script = path:find("%.js$") ~= nil
  if is_script and has_node and not os.execute("node --check " .. path) then complain(path, 1, "is no JavaScript") end
end
os.exit(problems == 0 and 0 or 1)
