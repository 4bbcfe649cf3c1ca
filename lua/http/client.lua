-- SPDX-License-Identifier: MIT
-- From a plan to a response: the exchanges that it takes, one for each redirect.
--
-- An Exchange is the subject that block.wait waits for, and a guard: left without being kept, it ends the transfer.
--   core      the core's exchange      plan
--   arrived   what is waited for has come about; `watcher` is told of that
local block = require "parhost.block"
local core = require "parhost.core.http"
local errors = require "futures.error"
local host = require "parhost.core.host"
local http_errors = require "http.errors"
local plans = require "http.plan"
local Response = require "http.response"

local client = {}

local Exchange = { __name = "http.Exchange", _lively = true }
Exchange.__index = Exchange

core.set_deliver(function(exchange)
  if not exchange then return end
  exchange.arrived = true
  local watcher = exchange.watcher
  if not watcher then return end
  watcher:_settled(exchange) -- without memory for this call the news comes again, for the same watcher
  exchange.watcher = nil
end)

function Exchange:_ready() return self.arrived end
function Exchange:_watch(watcher) self.watcher = watcher end

function Exchange:_unwatch(watcher)
  if self.watcher == watcher then self.watcher = nil end
end

function Exchange:_describe()
  return ("the response to %s %s"):format(self.plan.method, self.plan.shown)
end

function Exchange:__close()
  if not self.kept then self.core:close() end
end

local function timed_out(exchange)
  local plan = exchange.plan
  local text = ("timed out after %s s while %s"):format(errors.seconds_text(plan.o.timeout), exchange.core:phase())
  return http_errors.new(plan, "timeout", text, { seconds = plan.o.timeout })
end

local function failed(exchange, how, number, text)
  local plan = exchange.plan
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
  exchange.arrived = exchange.core:want(what)
  if not exchange.arrived then
    local ready, err = block.wait(exchange, exchange.plan.deadline)
    if not ready then error(err or timed_out(exchange), 0) end
  end
end

-- True when the exchange has come to its end; raises when that was a bad one.
local function ended(exchange)
  local how, number, text = exchange.core:ending()
  if how == nil then return false end
  if how ~= "ok" then error(failed(exchange, how, number, text), 0) end
  return true
end

-- Starts the exchange for a plan. `session` is the core's.
function client.start(session, plan, piecewise)
  local exchange = setmetatable({ plan = plan, arrived = false, begun = host.monotonic(), core = nil }, Exchange)
  local started, number, text = plans.start(plan, session, exchange, piecewise)
  if not started then error(http_errors.of_curl(plan, number, text), 0) end
  exchange.core = started
  return exchange
end

local function new_response(exchange, state, status, head, body, reader)
  local core_exchange = exchange.core
  return Response.new {
    status = status, url = exchange.plan.url.whole, body = body, history = state.history,
    elapsed = host.monotonic() - state.begun, http_version = core_exchange:version(),
    head, reader, core_exchange:timings(), -- the last of them: all six
  }
end

-- Bodies piece by piece -------------------------------------------------------------------------------------

-- The next piece, nil at the end.
local function next_chunk(exchange)
  local on_progress = exchange.plan.o.on_progress
  while true do
    await(exchange, on_progress and "progress" or "data")
    local chunk = exchange.core:take()
    if on_progress then on_progress(exchange.core:progress()) end
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
  self.exchange, exchange.kept = nil, false
  local _ <close> = exchange -- when waiting for it fails, that was it
  local chunk = next_chunk(exchange)
  if chunk then self.exchange, exchange.kept = exchange, true end
  return chunk
end

function Reader:close()
  local exchange = self.exchange
  self.exchange = nil
  if exchange then exchange.core:close() end
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

local function fill_sink(exchange)
  local write, file = open_sink(exchange.plan)
  local _ <close> = file and setmetatable({ file }, getmetatable(close_file)) or nil
  for chunk in next_chunk, exchange do write(chunk) end
  if file then check_written(exchange.plan, file:flush()) end
end

local function gather(exchange)
  local parts = {}
  for chunk in next_chunk, exchange do parts[#parts + 1] = chunk end
  return table.concat(parts)
end

-- Responses -------------------------------------------------------------------------------------------------

local function receive_stream(exchange, state, status, head)
  exchange.kept = true
  return new_response(exchange, state, status, head, nil, setmetatable({ exchange = exchange }, Reader))
end

-- The rest of an exchange whose head is there.
local function receive(exchange, state, status, head)
  local o, body = exchange.plan.o, nil
  if o.stream then return receive_stream(exchange, state, status, head) end
  if o.sink ~= nil then fill_sink(exchange) else body = gather(exchange) end
  return new_response(exchange, state, status, head, body)
end

-- Waits for a head while on_progress hears of what is being sent.
local function await_head(exchange)
  local on_progress = exchange.plan.o.on_progress
  if not on_progress then return await(exchange, "head") end
  repeat
    await(exchange, "progress")
    if exchange.core:ending() then return end
    local head = exchange.core:want("head")
    on_progress(exchange.core:progress())
  until head
end

-- The status, head and body of an exchange that is not taken piece by piece.
local function await_whole(exchange)
  await(exchange, "end")
  local status, head, body = exchange.core:result()
  if not status then ended(exchange) end
  return status, head, body
end

-- Nil and the plan that the response leads to.
local function redirected(exchange, state, status, head)
  await(exchange, "end")
  ended(exchange)
  local response = new_response(exchange, exchange, status, head, "")
  state.history = state.history or {}
  table.insert(state.history, response)
  return nil, plans.next(exchange.plan, status, response.headers:all("Location")[1], #state.history - 1)
end

-- The response, or nil and the plan that it leads to.
local function hop(session, plan, state)
  local o = plan.o
  local piecewise = o.stream or o.sink ~= nil or o.on_progress ~= nil
  local exchange <close> = client.start(session, plan, piecewise)
  local status, head, body
  if piecewise then
    await_head(exchange)
    status, head = exchange.core:head()
    if status == 0 then ended(exchange) end
  else
    status, head, body = await_whole(exchange)
  end
  if plans.redirects(plan, status, head) then return redirected(exchange, state, status, head) end
  if piecewise then return receive(exchange, state, status, head) end
  return new_response(exchange, state, status, head, body)
end

-- The response to an exchange that was started with client.start, wherever it leads: to keep many under way in plain
-- code. Redirects are not followed.
function client.finish(exchange)
  local _ <close> = exchange
  local status, head, body = await_whole(exchange)
  return new_response(exchange, exchange, status, head, body)
end

-- Makes the request, and those that it is redirected to.
function client.perform(session, plan)
  local state = { begun = host.monotonic(), history = nil }
  local response
  repeat
    response, plan = hop(session, plan, state)
  until response
  return response
end

return client
