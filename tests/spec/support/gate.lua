-- SPDX-License-Identifier: MIT
-- A gate holds a task in a worker until the spec lets it through: a named pipe, so that neither side ever sleeps.
local gate = {}
gate.__index = gate

-- For the task: waits at the gate.
function gate.pass(path)
  local file = assert(io.open(path, "r"))
  local text = file:read("a")
  file:close()
  return text
end

function gate.new()
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkfifo " .. path))
  return setmetatable({ path = path }, gate)
end

-- Waits until the task stands at the gate, and opens it. `text` is what the task gets.
function gate:open(text)
  local file = assert(io.open(self.path, "w"))
  file:write(text or "")
  file:close()
  os.remove(self.path)
end

-- Waits until the task stands at the gate; gives a function that opens it.
function gate:reached()
  local file = assert(io.open(self.path, "w"))
  os.remove(self.path)
  return function() file:close() end
end

-- Does not wait for a task, which may never come; gives a function that lets through, and the next ones that come, too late.
function gate:hold()
  local file = assert(io.open(self.path, "r+"))
  return function()
    os.remove(self.path)
    file:close()
  end
end

function gate:__gc()
  os.remove(self.path)
end

return gate
