-- SPDX-License-Identifier: MIT
-- Channels.
local coop = require "tests.spec.support.coop"
local raised = require "tests.spec.support.raised"

local async = coop.async
local spawn, cancel, turns, state = coop.spawn, coop.cancel, coop.turns, coop.state

local raised_by = raised.by

local function in_task(name, fn)
  it(name, function() coop.run_both(fn) end)
end

local function raises_closed(message, fn, ...)
  local err = raised.kind("closed", fn, ...)
  assert.equal(message, err.message)
  return err
end

describe("a channel", function()
  in_task("buffers as much as its capacity, first in, first out", function()
    local sender, receiver = async.channel(2)
    sender:send(1)
    assert.is_true(sender:try_send(2))
    assert.same({ nil, "full" }, { sender:try_send(3) })
    local t = spawn(sender.send, sender, 3)
    turns()
    assert.equal("pending", state(t))
    assert.equal(1, receiver:receive())
    turns()
    assert.equal("done", state(t))
    assert.same({ true, 2 }, { receiver:try_receive() })
    assert.equal(3, receiver:receive())
    assert.same({ nil, "empty" }, { receiver:try_receive() })
  end)

  in_task("QU-17 raises closed for what is sent to nobody", function()
    local sender, receiver = async.channel(5)
    sender:send(1)
    receiver:close()
    local err = raises_closed("send: every receiver is closed", sender.send, sender, 2)
    assert.equal("receiver", err.side)
    assert.same({ nil, "closed" }, { sender:try_send(2) })
  end)

  in_task("QU-17 ends after the last sender has closed, when everything is received", function()
    local sender, receiver = async.channel(5)
    local other = sender:clone()
    for i = 1, 3 do sender:send(i) end
    sender:close()
    other:send(4)
    other:close()
    assert.equal(1, receiver:receive())
    local seen = {}
    for item in receiver:items() do seen[#seen + 1] = item end
    assert.same({ 2, 3, 4 }, seen)
    local err = raises_closed("receive: every sender is closed", receiver.receive, receiver)
    assert.equal("sender", err.side)
    assert.same({ nil, "closed" }, { receiver:try_receive() })
    for _ in receiver:items() do error("not over") end
  end)

  in_task("QU-17 raises closed on a handle that is closed itself", function()
    local sender, receiver = async.channel(1)
    local other = receiver:clone()
    sender:clone()
    sender:close()
    sender:close()
    receiver:close()
    receiver:close()
    for _, name in ipairs { "send", "try_send", "clone" } do
      local err = raises_closed(name .. ": this handle is closed", sender[name], sender)
      assert.equal("own handle", err.side)
    end
    for _, name in ipairs { "receive", "items", "try_receive", "clone" } do
      raises_closed(name .. ": this handle is closed", receiver[name], receiver)
    end
    assert.same({ nil, "empty" }, { other:try_receive() })
  end)

  in_task("QU-19 without capacity each send meets a receive", function()
    local sender, receiver = async.channel()
    assert.same({ nil, "full" }, { sender:try_send(1) })
    local t = spawn(sender.send, sender, 1)
    turns()
    assert.equal("pending", state(t))
    assert.equal(1, receiver:receive())
    turns()
    assert.equal("done", state(t))
    t = spawn(receiver.receive, receiver)
    turns()
    assert.is_true(sender:try_send(2))
    assert.same({ nil, "full" }, { sender:try_send(3) })
    assert.equal(2, coop.join(t))
    t = spawn(sender.send, sender, 4)
    turns()
    assert.same({ true, 4 }, { receiver:try_receive() })
    assert.is_nil(coop.join(t))
  end)

  in_task("QU-19 serves receivers and senders in order", function()
    for capacity = 0, 2 do
      local sender, receiver = async.channel(capacity)
      local got = {}
      for i = 1, 3 do
        spawn(function()
          local item = receiver:receive()
          got[#got + 1] = i .. item
        end)
      end
      turns()
      for _, v in ipairs { "a", "b", "c" } do sender:send(v) end
      turns()
      assert.same({ "1a", "2b", "3c" }, got)
      local sent = {}
      for i = 1, 4 do
        spawn(function()
          sender:send(i)
          sent[#sent + 1] = i
        end)
      end
      turns()
      for i = 1, 4 do assert.equal(i, receiver:receive()) end
      turns()
      assert.same({ 1, 2, 3, 4 }, sent)
    end
  end)

  in_task("loses no item when a receiver is cancelled after it was woken", function()
    local sender, receiver = async.channel()
    local a = spawn(receiver.receive, receiver)
    turns()
    sender:send(1)
    cancel(a)
    turns()
    assert.equal("cancelled", state(a))
    local b = spawn(sender.send, sender, 2)
    turns()
    assert.same({ 1, 2 }, { receiver:receive(), receiver:receive() })
    coop.join(b)
  end)

  in_task("either sends or is cancelled, never both", function()
    local sender, receiver = async.channel()
    local a, b = spawn(sender.send, sender, 1), spawn(sender.send, sender, 2)
    turns()
    cancel(a)
    turns()
    assert.equal(2, receiver:receive())
    cancel(b)
    turns()
    assert.same({ "cancelled", "done" }, { state(a), state(b) })
    assert.same({ nil, "empty" }, { receiver:try_receive() })
  end)

  in_task("raises timeout", function()
    local sender, receiver = async.channel()
    local err = raised.kind("timeout", sender.send, sender, 1, 0.01)
    assert.equal("nobody has received within 0.01 s", err.message)
    err = raised.kind("timeout", receiver.receive, receiver, 0.01)
    assert.equal("nothing was sent within 0.01 s", err.message)
  end)

  in_task("wakes those who wait on a handle when it is closed, and no others", function()
    local sender, receiver = async.channel()
    local other = receiver:clone()
    local a, b = spawn(receiver.receive, receiver), spawn(other.receive, other)
    turns()
    receiver:close()
    turns()
    raises_closed("receive: this handle is closed", coop.join, a)
    assert.equal("pending", state(b))
    sender:close()
    turns()
    raises_closed("receive: every sender is closed", coop.join, b)

    sender, receiver = async.channel()
    other = sender:clone()
    a, b = spawn(sender.send, sender, 1), spawn(other.send, other, 2)
    turns()
    sender:close()
    turns()
    raises_closed("send: this handle is closed", coop.join, a)
    assert.equal("pending", state(b))
    receiver:close()
    turns()
    raises_closed("send: every receiver is closed", coop.join, b)
  end)

  in_task("ends a loop over the items when its handle is closed by an error", function()
    local sender, receiver = async.channel(1)
    local t = spawn(function()
      for _ in receiver:items() do turns(1) end
    end)
    turns()
    receiver:close()
    turns()
    raises_closed("items: this handle is closed", coop.join, t)
    raises_closed("send: every receiver is closed", sender.send, sender, 1)
  end)

  in_task("drops what was promised when the last receiver closes", function()
    local sender, receiver = async.channel(1)
    local t = spawn(receiver.receive, receiver)
    turns()
    sender:send(1)
    receiver:close()
    turns()
    raises_closed("receive: this handle is closed", coop.join, t)
    assert.matches("^parhost.Receiver: 0x%x+ closed$", tostring(receiver))
    assert.matches("^parhost.Sender: 0x%x+ buffered=0$", tostring(sender))
  end)

  in_task("is closed by leaving the block of its handle", function()
    local sender, receiver = async.channel(math.huge)
    do
      local s <close> = sender
      for i = 1, 100 do s:send(i) end
    end
    local sum = 0
    do
      local r <close> = receiver
      for item in r:items() do sum = sum + item end
    end
    assert.equal(5050, sum)
    raises_closed("clone: this handle is closed", receiver.clone, receiver)
  end)

  it("names what is wrong with an argument", function()
    assert.matches("bad argument #1 to 'channel' %(integer >= 0 expected, got %-1%)", raised_by(async.channel, -1))
    local sender, receiver = async.channel(1)
    assert.matches("bad argument #2 to 'send' %(number expected, got string%)", raised_by(sender.send, sender, 1, "x"))
    assert.matches("bad argument #1 to 'receive' %(number expected, got table%)",
      raised_by(receiver.receive, receiver, {}))
    for _, name in ipairs { "send", "try_send", "clone", "close" } do
      assert.matches("bad self %(parhost.Sender expected, got parhost.Receiver%)", raised_by(sender[name], receiver))
    end
    for _, name in ipairs { "receive", "try_receive", "clone", "close", "items" } do
      assert.matches("bad self %(parhost.Receiver expected, got parhost.Sender%)", raised_by(receiver[name], sender))
    end
    raised.kind("deadlock", receiver.receive, receiver)
  end)
end)
