-- SPDX-License-Identifier: MIT
-- What bytes from elsewhere can do: nothing but be values.
package.path = "tests/spec/?.lua;" .. package.path
local parhost = require "parhost"
local run = require "support.run"

local HEADER <const>, CHECK_AT <const> = 20, 12

-- SipHash-2-4 under a key of zeros: anybody can give a dump without functions a right check.
local function siphash(message)
  local v0, v1, v2, v3 = 0x736f6d6570736575, 0x646f72616e646f6d, 0x6c7967656e657261, 0x7465646279746573
  local function rotate(x, n) return x << n | x >> (64 - n) end
  local function round()
    v0, v2 = v0 + v1, v2 + v3
    v1, v3 = rotate(v1, 13) ~ v0, rotate(v3, 16) ~ v2
    v0 = rotate(v0, 32)
    v2, v0 = v2 + v1, v0 + v3
    v1, v3 = rotate(v1, 17) ~ v2, rotate(v3, 21) ~ v0
    v2 = rotate(v2, 32)
  end
  local function block(b)
    v3 = v3 ~ b
    round() round()
    v0 = v0 ~ b
  end
  local padded = message .. ("\0"):rep(7 - #message % 8) .. string.char(#message & 255)
  for at = 1, #padded, 8 do block((string.unpack("<i8", padded, at))) end
  v2 = v2 ~ 0xff
  for _ = 1, 4 do round() end
  return v0 ~ v1 ~ v2 ~ v3
end

-- A dump of these bytes as message, with a right check.
local function forge(message)
  return parhost.dump_value(1):sub(1, CHECK_AT) .. string.pack("<i8", siphash(message)) .. message
end

local function hex(text)
  return (text:gsub("%s", ""):gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end))
end

local function text(s) return ("05%02x"):format(#s) .. s:gsub(".", function(c) return ("%02x"):format(c:byte()) end) end

local function refused(pattern, bytes)
  local ok, err = pcall(parhost.load_value, bytes)
  assert.is_false(ok)
  assert.equal("not_serializable", err.kind)
  assert.matches(pattern, err.message)
end

describe("load_value", function()
  it("reads what has a right check", function()
    assert.equal(parhost.dump_value { 1, "x" }, forge(parhost.dump_value({ 1, "x" }):sub(HEADER + 1)))
    assert.equal(5, parhost.load_value(forge(hex "01 85 17")))
  end)

  it("SE-19 refuses dumps of other versions and machines", function()
    local bytes = parhost.dump_value { 1, 2 }
    local function with(at, char) return bytes:sub(1, at - 1) .. char .. bytes:sub(at + 1) end
    refused("^not a dumped value %(dump_value makes them%)$", "")
    refused("^not a dumped value", bytes:sub(1, 19))
    refused("^not a dumped value", with(1, "X"))
    refused("^dumped by Lua 5%.3%.%d+, this is Lua 5%.4", with(6, "\x53"))
    refused("^dumped by Lua 5%.4%.99, this is Lua 5%.4", with(7, "\99"))
    refused("^dumped on another kind of machine", with(8, "\4"))
    refused("^dumped by a later version of parhost$", with(5, "\2"))
    refused("^the dumped value is damaged$", with(#bytes - 1, "\0"))
    refused("^the dumped value is damaged$", bytes:sub(1, -2))
    refused("^the dumped value is damaged$", bytes .. "\0")
  end)

  it("loads functions of this program only", function()
    local bytes = parhost.dump_value(function() return 7 end)
    assert.equal(7, parhost.load_value(bytes)())
    local file = run.write(bytes)
    local result = run.script(([[
      local file = io.open(%q, "rb")
      local ok, err = pcall(require("parhost").load_value, file:read "a")
      print(ok, err.message)]]):format(file))
    os.remove(file)
    assert.equal("false\tdamaged, or holds functions and was dumped by another program run\n", result.out)
    refused("functions are only loaded from dumps", forge(bytes:sub(HEADER + 1)))
    refused("functions are only loaded from dumps", forge(hex "01 0b 01 00 00 17"))
  end)

  it("reads functions that workers have dumped, and they read its own", function()
    local pool <close> = require("proc_pool").new(1)
    local load_value, dump_value = parhost.load_value, parhost.dump_value
    local bytes = pool:submit(function() return dump_value(function() return 8 end) end):result()
    assert.equal(8, load_value(bytes)())
    assert.equal(9, pool:submit(function(b) return load_value(b)() end, dump_value(function() return 9 end)):result())
  end)

  it("runs no module and sets no global", function()
    package.preload["codec.hostile"] = function() error "was run" end
    refused("module 'codec%.hostile' is not loaded here", forge(hex("01 0e" .. text "codec.hostile" .. "17")))
    local name = text "codec.hostile"
    refused("module 'codec.hostile' has no function 'f' here", forge(hex("01 0d" .. name .. text "f" .. "17")))
    refused("captured global", forge(hex("01 00 18" .. text "print" .. "81 17")))
    assert.is_nil(package.loaded["codec.hostile"])
    package.preload["codec.hostile"] = nil
    assert.equal(string, parhost.load_value(forge(hex("01 0e" .. text "string" .. "17"))))
  end)

  it("changes nothing that is there", function()
    local class = { __index = {} }
    parhost.register("codec_trust.plain", class)
    local instance = "01 11" .. text "codec_trust.plain" .. "00 00 "
    assert.equal(class, getmetatable(parhost.load_value(forge(hex(instance .. "08 00 00 17 17")))))
    for _, what in ipairs { "0f", "0e" .. text "string", "0a 00", "05 01 78", "85", "0d" .. text "_G" .. text "print" } do
      refused("malformed message: instance", forge(hex(instance .. what .. "17")))
    end
    assert.is_nil(getmetatable(string))
    refused("malformed message: class", forge(hex("01 13" .. text "codec_trust.new" .. "08 00 00 17 00 17")))
  end)

  it("makes no object around its __dump", function()
    local checked = { __dump = function() return 1 end, __load = function(v) return assert(v == 1 and {}) end }
    parhost.register("codec_trust.checked", checked)
    local instance = "01 11" .. text "codec_trust.checked" .. "00"
    refused("has not been through its __dump", forge(hex(instance .. "00 08 00 00 17 17")))
    assert.same({}, parhost.load_value(forge(hex(instance .. "01 81 17"))))
    assert.is_false(pcall(parhost.load_value, forge(hex(instance .. "01 82 17"))))
    refused("is not registered here", forge(hex("01 11" .. text "codec_trust.unknown" .. "00 00 08 00 00 17 17")))
  end)

  it("takes no more memory than some 50 times the bytes", function()
    local function used(bytes)
      collectgarbage()
      local before = collectgarbage "count"
      collectgarbage "stop"
      pcall(parhost.load_value, bytes)
      local grown = collectgarbage "count" - before
      collectgarbage "restart"
      return grown * 1024
    end
    local function varint(n)
      local out = {}
      repeat
        out[#out + 1] = string.char(n & 127 | (n > 127 and 128 or 0))
        n = n >> 7
      until n == 0
      return table.concat(out)
    end
    local size = 1 << 16
    local string_bomb = "\1\8" .. varint(size // 3) .. "\0\5" .. varint(size // 2) .. ("\5\127"):rep(size // 4)
      .. ("\7\20"):rep(size // 4)
    for name, message in pairs {
      arrays = "\1" .. ("\8" .. varint(size) .. "\0"):rep(size // 5),
      hashes = "\1" .. ("\8\0" .. string.char(128 + 16)):rep(size // 3),
      most_pairs = "\1\8\0\x9e" .. ("\0"):rep(size),
      strings = string_bomb,
      values = varint(899999) .. ("\0"):rep(size),
      deep = "\1" .. ("\8\1\0"):rep(size // 3),
    } do
      local bytes = forge(message)
      assert.is_true(used(bytes) < 60 * #bytes + 100000, name)
    end
  end)

  it("gives an error for every damaged byte, or a value", function()
    local message = parhost.dump_value({ { id = 1, name = "one" }, { id = 2, name = "two" }, ("x"):rep(50), 1.5,
      string.format, setmetatable({ 1 }, nil) }):sub(HEADER + 1)
    for at = 1, #message do
      for _, byte in ipairs { 0, 5, 7, 8, 10, 17, 23, 127, 128, 255 } do
        local ok, err = pcall(parhost.load_value, forge(message:sub(1, at - 1) .. string.char(byte) .. message:sub(at + 1)))
        if not ok then assert.equal("not_serializable", err.kind) end
      end
      refused(".", forge(message:sub(1, at - 1)))
    end
  end)
end)
