-- SPDX-License-Identifier: MIT
-- Running a task again after an error, when the program says so. The retry is the core's sink in front of the
-- future; the decision is the program's code, so it is taken where callbacks run, not in the delivery.
local dispatch = require "futures.dispatch"
local errors = require "futures.error"

local ID <const> = 6
local pack, unpack = table.pack, table.unpack

local Retry = {}
Retry.__index = Retry

local retry = {}

function retry.new(home, future, options, fn, ...)
  home.life.retrying = home.life.retrying + 1
  local left = home.given.retries
  return setmetatable({
    home = home, future = future, options = options, left = left, args = pack(fn, ...), over = false,
  }, Retry)
end

function Retry:submit()
  local home = self.home
  local function submit()
    return home.core:submit(self, 0, self.options, unpack(self.args, 1, self.args.n))
  end
  local id = submit() or home:when_room(submit)
  self.future[ID] = id
end

-- The submission was refused before there was anything to run.
function Retry:withdraw()
  self.home.life.retrying = self.home.life.retrying - 1
end

local function finish(self, ...)
  self.future:_deliver(0, ...)
  if not self.over then self:withdraw() end
  self.over = true
end

local function wanted(self, err)
  local ok, yes = pcall(self.home.retry_if, err)
  if not ok then warn("parhost: error in a retry_if function: " .. errors.text(yes)) end
  return ok and yes
end

local function decide(self)
  local outcome = self.outcome
  self.outcome = nil
  if not self.future:_ready() and wanted(self, outcome[2]) then
    self.left = self.left - 1
    if pcall(self.submit, self) then return self.home.core:count_retry() end
  end
  local ok, err = pcall(finish, self, unpack(outcome, 1, outcome.n))
  if not ok then finish(self, false, err) end
  dispatch.run()
end

function Retry:_deliver(_, status, ...)
  if status ~= false or self.left == 0 or errors.is((...), "worker_died") then
    return finish(self, status, ...)
  end
  self.outcome = pack(status, ...)
  dispatch.push(decide, self)
end

return retry
