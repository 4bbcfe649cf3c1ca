-- SPDX-License-Identifier: MIT
-- Channels: an exchange (exchange.lua) with counted handles on either side. The last handle of a side to close closes
-- the channel.
local block = require "parhost.block"
local check = require "parhost.check"
local errors = require "futures.error"
local exchange = require "async.exchange"
local items = require "async.items"
local Line = require "async.line"
local store = require "async.store"

local add, take, has_room, has_item = exchange.add, exchange.take, exchange.has_room, exchange.has_item
local ITEM <const>, TAKEN <const> = exchange.ITEM, exchange.TAKEN
-- What those are served with whose own handle is closed.
local OWN_HANDLE <const> = "own handle"

local channel = {}

-- A handle: shared: the exchange, with the counts `senders` and `receivers`; nil once closed.
local Sender = { __name = "parhost.Sender" }
Sender.__index = Sender

local Receiver = { __name = "parhost.Receiver" }
Receiver.__index = Receiver

local function open_handle(shared, class, side)
  shared[side] = shared[side] + 1
  return setmetatable({ shared = shared }, class)
end

function channel.channel(capacity)
  capacity = capacity == nil and 0 or capacity
  if capacity ~= math.huge then capacity = check.integer(capacity, 1, "channel", 0) end
  local shared = exchange.init({ senders = 0, receivers = 0 }, "channel", store.fifo(), capacity)
  return open_handle(shared, Sender, "senders"), open_handle(shared, Receiver, "receivers")
end

local function closed(name, side)
  local message = ("%s: %s"):format(name, side == OWN_HANDLE and "this handle is closed" or "every " .. side .. " is closed")
  error(errors.new("closed", message, { side = side }), 0)
end

local function open_or_raise(self, class, name)
  check.self(self, class, name)
  return self.shared or closed(name, OWN_HANDLE)
end

-- Sending ---------------------------------------------------------------------------------------------------

function Sender:send(value, timeout)
  local shared = open_or_raise(self, Sender, "send")
  if timeout ~= nil then check.seconds(timeout, 2, "send") end
  if shared.receivers == 0 then closed("send", "receiver") end
  if has_room(shared) then return add(shared, value) end
  local result = exchange.wait_to_put(shared, value, block.deadline(timeout, 2, "send"), self)
  if result == TAKEN then return end
  if result == nil then Line.time_out("nobody has received", timeout) end
  closed("send", result == OWN_HANDLE and OWN_HANDLE or "receiver")
end

function Sender:try_send(value)
  local shared = open_or_raise(self, Sender, "try_send")
  if shared.receivers == 0 then return nil, "closed" end
  if not has_room(shared) then return nil, "full" end
  add(shared, value)
  return true
end

-- Receiving -------------------------------------------------------------------------------------------------

-- true, value; otherwise false and why: OWN_HANDLE; "sender": the end; nil: the time is up.
local function receive(self, timeout)
  local shared = self.shared
  if not shared then return false, OWN_HANDLE end
  if has_item(shared) then return true, take(shared) end
  if shared.senders == 0 then return false, "sender" end
  local result, value = exchange.wait_to_get(shared, block.deadline(timeout, 1, "receive"), self)
  if result == ITEM then return true, value end
  if result == nil then return false, nil end
  return false, self.shared and "sender" or OWN_HANDLE
end

function Receiver:receive(timeout)
  check.self(self, Receiver, "receive")
  if timeout ~= nil then check.seconds(timeout, 1, "receive") end
  local got, value = receive(self, timeout)
  if got then return value end
  if value == nil then Line.time_out("nothing was sent", timeout) end
  closed("receive", value)
end

function Receiver:try_receive()
  local shared = open_or_raise(self, Receiver, "try_receive")
  if has_item(shared) then return true, take(shared) end
  return nil, shared.senders == 0 and "closed" or "empty"
end

local function next_item(self)
  local got, value = receive(self)
  if value == OWN_HANDLE and not got then closed("items", OWN_HANDLE) end
  return got, value
end

function Receiver:items()
  open_or_raise(self, Receiver, "items")
  return items.of(self, next_item)
end

-- Handles ---------------------------------------------------------------------------------------------------

function Sender:clone()
  return open_handle(open_or_raise(self, Sender, "clone"), Sender, "senders")
end

function Receiver:clone()
  return open_handle(open_or_raise(self, Receiver, "clone"), Receiver, "receivers")
end

-- Closes a handle: those who wait on its behalf are told.
local function close_handle(self, side, line)
  local shared = self.shared
  self.shared = nil
  shared[side] = shared[side] - 1
  shared[line]:serve_all(OWN_HANDLE, self)
  if shared[side] == 0 then exchange.close(shared) end
end

function Sender:close()
  check.self(self, Sender, "close")
  if self.shared then close_handle(self, "senders", "putters") end
end

-- What was sent and not received is dropped with the last receiver.
function Receiver:close()
  check.self(self, Receiver, "close")
  local shared = self.shared
  if not shared then return end
  close_handle(self, "receivers", "getters")
  if shared.receivers == 0 then exchange.clear(shared) end
end

Sender.__close = Sender.close
Receiver.__close = Receiver.close

local function describe(self)
  local shared = self.shared
  local state = shared and ("buffered=%d"):format(shared.count - shared.promised) or "closed"
  return ("%s: %p %s"):format(getmetatable(self).__name, self, state)
end

Sender.__tostring = describe
Receiver.__tostring = describe

return channel
