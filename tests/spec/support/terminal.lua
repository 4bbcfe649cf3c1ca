-- SPDX-License-Identifier: MIT
-- A real terminal for a spec: tmux with a server of its own. Keys go in, the screen is looked at until it shows what is
-- expected.
local busted = require "busted"
local run = require "tests.spec.support.run"

local terminal = {}
terminal.__index = terminal

terminal.available = run.sh("command -v tmux").code == 0

-- ThreadSanitizer blocks all signals while a handler runs, and keeps them back while code runs that it does not know,
-- such as Lua's.
terminal.signals_late = run.has_tsan

-- The program under test, wherever one is.
terminal.program = run.sh("realpath " .. run.parhost).out:gsub("\n", "")

local LIMIT <const> = 60 -- seconds until a screen is given up
local count = 0

local function temporary_directory()
  local name = os.tmpname()
  os.remove(name)
  assert(os.execute("mkdir " .. name))
  return name
end

function terminal:tmux(arguments)
  local result = run.sh(("tmux -u -f /dev/null -S %s/socket %s"):format(self.directory, arguments))
  if result.code ~= 0 then error("tmux " .. arguments .. ": " .. result.err, 2) end
  return result.out
end

-- What the program needs to know of how it ended comes behind it: its exit code and the terminal's settings.
local SCRIPT <const> = [[
trap : INT
%s %s
echo "EXIT $?"
stty -a | grep -oE -- '-?(icanon|echo) ' | tr -d ' \n'
exec sleep 1000]]

-- options: command (the program under test by default), arguments, environment (words for env), width, height, state
-- (directory for XDG_STATE_HOME; its own by default).
function terminal.start(options)
  options = options or {}
  local self = setmetatable({ directory = temporary_directory() }, terminal)
  count = count + 1
  local state = options.state or self.directory
  local environment = ("%s -u TMUX TERM=screen LC_ALL= LANG=C.UTF-8 HOME=%s XDG_STATE_HOME=%s %s"):format(
    run.fresh, state, state, options.environment or "")
  local program = options.command or terminal.program .. " " .. (options.arguments or "")
  self:tmux(("new-session -d -x %d -y %d %s"):format(options.width or 220, options.height or 24,
    run.quote(SCRIPT:format(environment, program))))
  self.pid = math.tointeger(tonumber(self:tmux("display -p '#{pane_pid}'")))
  return self
end

-- The screen's text without blank lines at its end.
function terminal:screen()
  return (self:tmux("capture-pane -p"):gsub("%s+$", ""))
end

function terminal:cursor()
  local x, y = self:tmux("display -p '#{cursor_x} #{cursor_y}'"):match("(%d+) (%d+)")
  return tonumber(x), tonumber(y)
end

-- Keys, by tmux's names.
function terminal:key(...)
  for _, name in ipairs { ... } do self:tmux("send-keys " .. run.quote(name)) end
end

function terminal:type(text)
  self:tmux("send-keys -l -- " .. run.quote(text))
end

function terminal:enter(line)
  self:type(line)
  self:key("Enter")
end

function terminal:paste(text)
  local name = run.write(text)
  self:tmux("load-buffer " .. name)
  self:tmux("paste-buffer -p")
  os.remove(name)
end

-- Looks until `found(screen)` gives something, and gives that.
function terminal:await(found, what)
  local deadline = os.time() + LIMIT
  while true do
    local screen = self:screen()
    local result = found(screen)
    if result then return result end
    if os.time() > deadline then error(("not on the screen: %s\n%s"):format(what, screen), 2) end
    os.execute("sleep 0.02")
  end
end

-- Until the screen has this text (plain; trailing blanks of lines are not there).
function terminal:expect(text)
  return self:await(function(screen) return screen:find(text, 1, true) and screen end, text)
end

-- Until the screen ends with this text.
function terminal:expect_end(text)
  return self:await(function(screen) return screen:sub(-#text) == text and screen end, text .. " (at the end)")
end

-- Enters a line at a prompt, and waits for the answer (nil: none) between it and the next prompt. The line must fit.
function terminal:ask(line, answer)
  self:enter(line)
  self:expect_end(("> %s\n%s>"):format(line, answer and answer .. "\n" or ""))
end

-- Until the program is over: its exit code, and whether the terminal is as it was.
function terminal:ended()
  local code, settings = self:await(function(screen)
    return screen:match("EXIT %d+\n%S+$")
  end, "the end of the program"):match("EXIT (%d+)\n(%S+)$")
  return tonumber(code), settings == "icanonecho"
end

local alive = require "tests.spec.support.alive"

function terminal:close()
  if not self.directory then return end
  self:tmux("kill-server")
  local deadline = os.time() + LIMIT
  while self.pid and alive(self.pid) and os.time() < deadline do os.execute("sleep 0.02") end
  os.execute("rm -rf " .. self.directory)
  self.directory = nil
end

terminal.__close = terminal.close

-- test(name [, options], fn): a test that has a program of its own, at its first prompt.
function terminal.test(name, options, fn)
  if not fn then options, fn = {}, options end
  busted.it(name, function()
    if not terminal.available then return busted.pending("tmux is not installed") end
    local t <close> = terminal.start(options)
    t:expect_end("\n>")
    fn(t)
  end)
end

return terminal
