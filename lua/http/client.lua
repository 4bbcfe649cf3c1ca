-- SPDX-License-Identifier: MIT
-- From a plan to a response: the exchanges that it takes, one for each redirect.
--
-- An exchange is the core's: the subject that block.wait waits for, and a guard, which ends the transfer where it is left
-- without being kept.
local block = require "parhost.block"
local core = require "parhost.core.http"
local errors = require "futures.error"
local host = require "parhost.core.host"
local http_errors = require "http.errors"
local plans = require "http.plan"
local Response = require "http.response"

local client = {}

local Exchange = core.Exchange
Exchange._lively = true

local wait = block.wait
local finish, pause, start = Exchange.result, Exchange.pause, plans.start

core.set_deliver(function(exchange, watcher)
  watcher:_settled(exchange) -- without memory for this call the news comes again, for the same watcher
end)

function Exchange:_describe()
  local plan = self:plan()
  return ("the response to %s %s"):format(plan.method, plan.shown)
end

local BEFORE <const> = { ["resolving the name"] = true, connecting = true }

-- Where connections are limited, libcurl does not tell whether a request has its turn.
local function phase_of(exchange, o)
  local phase = exchange:phase()
  return BEFORE[phase] and (o.max_connections or o.max_per_host) and "waiting for a connection" or phase
end

local function timed_out(exchange)
  local plan = exchange:plan()
  local phase = phase_of(exchange, plan.o)
  local text = ("timed out after %s s while %s"):format(errors.seconds_text(plan.o.timeout), phase)
  return http_errors.new(plan, "timeout", text, { seconds = plan.o.timeout })
end

local function failed(plan, how, number, text)
  if how == "body_too_large" then
    local message = ("the body is larger than max_body (%d bytes)"):format(plan.o.max_body)
    return http_errors.new(plan, how, message, { limit = plan.o.max_body })
  elseif how == "head_too_large" then
    return http_errors.new(plan, "bad_response", "the server sends more than 256 KiB of headers")
  elseif how == "cancelled" then
    return http_errors.new(plan, "closed", "the session was closed")
  end
  return http_errors.of_curl(plan, number, text)
end

-- Waits until there is a "head", "data" or the "end". False when the exchange is over, which with a failure raises.
-- A body that came before a failure is to be taken first.
local function await(exchange, what)
  if exchange:want(what) then return end
  local ready, err = wait(exchange, exchange:deadline())
  if not ready then error(err or timed_out(exchange), 0) end
end

-- True when the exchange has come to its end; raises when that was a bad one.
local function ended(exchange)
  local how, number, text = exchange:ending()
  if how == nil then return false end
  if how ~= "ok" then error(failed(exchange:plan(), how, number, text), 0) end
  return true
end

-- A response of more than one exchange, with what was before the last of them.
local function after(history, response)
  response.history, response.elapsed = history, host.monotonic() - history.begun
  history.begun = nil
  return response
end

-- Bodies piece by piece -------------------------------------------------------------------------------------

-- The next piece, nil at the end.
local function next_chunk(exchange)
  local on_progress = exchange:plan().o.on_progress
  while true do
    await(exchange, on_progress and "progress" or "data")
    local chunk = exchange:take()
    if on_progress then on_progress(exchange:progress()) end
    if chunk ~= "" then return chunk end
    if ended(exchange) then return nil end
  end
end

-- What a response with stream = true reads from.
local Reader = {}
Reader.__index = Reader

function Reader:next()
  local exchange = self.exchange
  if not exchange then return nil end
  self.exchange = nil
  exchange:keep(false)
  local _ <close> = exchange -- when waiting for it fails, that was it
  local chunk = next_chunk(exchange)
  if chunk then
    self.exchange = exchange
    exchange:keep(true)
  end
  return chunk
end

function Reader:close()
  local exchange = self.exchange
  self.exchange = nil
  if exchange then exchange:close() end
end

Reader.__close = Reader.close

local function check_written(plan, file, why, number)
  if not file then error(errors.new("os", ("%s %s: cannot write the body: %s"):format(plan.method, plan.shown, why),
    { code = host.error_name(number), url = plan.shown }), 0) end
  return file
end

-- A function that takes pieces of the body, and the file to close after the last, if it is ours.
local function open_sink(plan)
  local sink = plan.o.sink
  if type(sink) == "function" then return sink end
  local file, own = sink, type(sink) == "string"
  if own then file = check_written(plan, io.open(sink, "wb")) end
  return function(chunk) check_written(plan, file:write(chunk)) end, own and file or nil
end

local close_file = setmetatable({}, { __close = function(self) self[1]:close() end })

local function fill_sink(exchange, plan)
  local write, file = open_sink(plan)
  local _ <close> = file and setmetatable({ file }, getmetatable(close_file)) or nil
  for chunk in next_chunk, exchange do write(chunk) end
  if file then check_written(plan, file:flush()) end
end

local function gather(exchange)
  local parts = {}
  for chunk in next_chunk, exchange do parts[#parts + 1] = chunk end
  return table.concat(parts)
end

-- Responses -------------------------------------------------------------------------------------------------

-- Waits for a head while on_progress hears of what is being sent.
local function await_head(exchange, plan)
  local on_progress = plan.o.on_progress
  if not on_progress then return await(exchange, "head") end
  repeat
    await(exchange, "progress")
    if exchange:ending() then return end
    local head = exchange:want("head")
    on_progress(exchange:progress())
  until head
end

-- The response to an exchange whose body is taken piece by piece, and whether it leads elsewhere.
local function receive_in_pieces(exchange, plan)
  await_head(exchange, plan)
  local status, head = exchange:head()
  if status == 0 then ended(exchange) end
  local redirected, body, reader = plans.redirects(plan, status, head), "", nil
  if redirected then
    await(exchange, "end")
    ended(exchange)
  elseif plan.o.stream then
    exchange:keep(true)
    body, reader = nil, setmetatable({ exchange = exchange }, Reader)
  elseif plan.o.sink ~= nil then
    fill_sink(exchange, plan)
    body = nil
  else
    body = gather(exchange)
  end
  local fields = { head, exchange:facts(), reader, status = status, url = plan.whole, body = body }
  return setmetatable(fields, Response), redirected
end

-- What there is of an exchange that could not be started: nothing when the session is not open.
local function refused(plan, exchange, number, text, history)
  if exchange == nil then error(http_errors.of_curl(plan, number, text), 0) end
  if history then error(failed(plan, "cancelled"), 0) end
end

-- Makes the request, and those that it is redirected to. Nil when the session is not open.
function client.perform(session, plan, deadline)
  local history
  while true do
    local exchange <close>, number, text = start(plan, session, deadline)
    if not exchange then return refused(plan, exchange, number, text, history) end
    local response, redirected
    if plan.window then
      response, redirected = receive_in_pieces(exchange, plan)
    else
      local status, head, body, facts
      if pause(exchange, deadline) then status, head, body, facts = finish(exchange) end
      if not status then
        local ready, err = wait(exchange, deadline)
        if not ready then error(err or timed_out(exchange), 0) end
        status, head, body, facts = finish(exchange)
        if not status then ended(exchange) end
      end
      response = setmetatable({ head, facts, status = status, url = plan.whole, body = body }, Response)
      redirected = status >= 300 and plans.redirects(plan, status, head)
    end
    if not redirected then return history and after(history, response) or response end
    history = history or { begun = host.monotonic() - response.elapsed }
    plan = plans.next(plan, response.status, response.headers:all("Location")[1], #history)
    history[#history + 1] = response
  end
end

return client
