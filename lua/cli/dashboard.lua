-- SPDX-License-Identifier: MIT
-- --dashboard[=PORT]: the page of a report, fed by the program while it runs. A process of its own serves it, which is this
-- program again: it has the trace as its standard input, says where it is to be found or what is wrong, and ends with the
-- program.
local core = require "parhost.core.dashboard"
local host = require "parhost.core.host"

local dashboard = {}

local CODE <const> = [[require "parhost.core.host".load_built_in("cli.dashboard")().serve(%d)]]

-- In the program: gives nil, or why there is none.
function dashboard.start(port, trace)
  local line, message = core.launch(trace, CODE:format(port))
  local url = line and line:match("^url (.*)\n$")
  if not url then return "--dashboard: " .. (line and line:match("^error (.*)\n$") or message or "the server has ended") end
  io.stderr:write("parhost: dashboard: ", url, "\n")
  return nil
end

-- In the process that serves.
function dashboard.serve(port)
  local socket, bound = core.listen(port)
  local token, message
  if socket then token, message = core.token() else message = bound end
  if token then
    local address = "127.0.0.1:" .. bound
    local head, tail = host.load_built_in("cli.report")().page("events", {})
    local line = ("url http://%s/%s/\n"):format(address, token)
    local _
    _, message = core.serve(0, socket, address, token, head .. tail, line)
  end
  if message then io.stdout:write("error ", message, "\n") end
end

return dashboard
