-- SPDX-License-Identifier: MIT
-- Job logs: with{ joblog = path, key = fn }. What is done according to the file, as it was when `with` was called, is
-- skipped; what runs writes its line where it runs (src/pool/joblog.h). Loaded by the first view that has one.
local block = require "parhost.block"
local check = require "parhost.check"
local core = require "parhost.core.joblog"

local joblog = {}

local KEY_MAX <const> = 65535
local DEPTH_MAX <const> = 100
local OPEN_WITHIN <const> = 2 -- seconds that the workers of a program that was killed have to end
local EVERY <const> = 0.01

-- Keys --------------------------------------------------------------------------------------------------------

local NAMED <const> = { ["\t"] = "\\t", ["\n"] = "\\n", ["\r"] = "\\r", ["\\"] = "\\\\" }

local function hex(c)
  return NAMED[c] or (c:gsub(".", function(byte) return ("\\x%02X"):format(byte:byte()) end))
end

-- As it stands in the file, where each key has one form: UTF-8 without control characters.
function joblog.escape(key)
  if not key:find("[%c\\\x80-\xff]") then return key end
  local parts, at = {}, 1
  while at <= #key do
    local _, bad = utf8.len(key, at)
    parts[#parts + 1] = key:sub(at, (bad or 0) - 1):gsub("[%c\\]", hex):gsub("\xc2[\x80-\x9f]", hex)
    if not bad then break end
    parts[#parts + 1] = hex(key:sub(bad, bad))
    at = bad + 1
  end
  return table.concat(parts)
end

local text_of

local function text_of_float(x)
  local text = ("%.14g"):format(x)
  if tonumber(text) ~= x then text = ("%.17g"):format(x) end
  if text:find("^-?%d+$") then return text .. ".0" end
  return (text:gsub(",", ".")) -- whatever the locale has
end

local function before(a, b)
  if math.type(a) and math.type(b) then return a < b end
  local x, y = type(a), type(b)
  if x ~= y then return x < y end
  return tostring(a) < tostring(b)
end

local function text_of_table(t, depth)
  if depth > DEPTH_MAX or getmetatable(t) ~= nil then return nil end
  local parts, keys, n = {}, {}, 0
  while rawget(t, n + 1) ~= nil do
    n = n + 1
    parts[n] = text_of(rawget(t, n), depth + 1)
    if not parts[n] then return nil end
  end
  for key in next, t do
    if type(key) == "table" then return nil end
    local listed = math.type(key) == "integer" and key >= 1 and key <= n
    if not listed then keys[#keys + 1] = key end
  end
  table.sort(keys, before)
  for _, key in ipairs(keys) do
    local name, value = text_of(key, depth + 1), text_of(rawget(t, key), depth + 1)
    if not name or not value then return nil end
    parts[#parts + 1] = ("[%s]=%s"):format(name, value)
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local PLAIN <const> = { ["nil"] = tostring, boolean = tostring }

-- nil: there is none that is the same in every run.
function text_of(value, depth)
  local kind = math.type(value) or type(value)
  if kind == "string" then return '"' .. value:gsub('"', '""') .. '"' end
  if kind == "integer" then return ("%d"):format(value) end
  if kind == "float" then return text_of_float(value) end
  if kind == "table" then return text_of_table(value, depth) end
  return PLAIN[kind] and PLAIN[kind](value)
end

-- The key of a task when the program gives none.
function joblog.text(...)
  local parts = {}
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    parts[i] = text_of(value, 0)
    if not parts[i] then
      check.misuse(("job log: argument #%d of the task (%s) has no text that is the same in every run; give with{ key = }")
        :format(i, check.type_name(value)))
    end
  end
  return table.concat(parts, ", ")
end

local function check_key(key)
  if math.type(key) == "integer" then key = ("%d"):format(key) end
  if type(key) ~= "string" then
    check.misuse(("job log: the key function gave %s, string or integer expected"):format(check.type_name(key)))
  end
  key = joblog.escape(key)
  if key == "" then check.misuse "job log: the key is empty" end
  if #key > KEY_MAX then
    local text = "job log: the key takes %d bytes, which is more than %d; give a shorter one with{ key = }"
    check.misuse(text:format(#key, KEY_MAX))
  end
  return key
end

-- Reading -----------------------------------------------------------------------------------------------------

local ROW <const> = "^%d+" .. ("\t[^\t]*"):rep(5) .. "\t(%-?%d+)\t(%-?%d+)\t([^\t]+)$"

-- The last line of a key decides.
local function read_line(done, line)
  local exit_code, signal, key = line:match(ROW)
  if not key then return false end
  done[key] = tonumber(exit_code) == 0 and tonumber(signal) == 0 or nil
  return true
end

-- Calls take(line) for each line; gives the size of the file, and what is behind the last newline.
local function each_line(file, take)
  local size, rest = 0, ""
  while true do
    local piece = file:read(size)
    if piece == "" then return size, rest end
    size = size + #piece
    local from, text = 1, rest .. piece
    for line, next_from in text:gmatch("([^\n]*)\n()") do
      take(line)
      from = next_from
    end
    rest = text:sub(from)
  end
end

local function refuse(path)
  local text = "option 'joblog': '%s' is no job log: it does not begin with the line 'Seq Host Starttime ...'"
  check.bad_argument(1, "with", text:format(path))
end

-- A line without an end was being written when the program, or the machine, came to its end: it goes.
local function repair(file, path, size, rest, header_seen)
  if not header_seen and core.HEADER:sub(1, #rest) ~= rest then refuse(path) end
  if not file:is_first() then return end
  if rest ~= "" then file:cut(size - #rest) end
  if not header_seen then file:put_header() end
end

local function read(file, path)
  local done, strange, header_seen = {}, 0, false
  local size, rest = each_line(file, function(line)
    if header_seen then
      if not read_line(done, line) then strange = strange + 1 end
    else
      if line .. "\n" ~= core.HEADER then refuse(path) end
      header_seen = true
    end
  end)
  repair(file, path, size, rest, header_seen)
  if strange > 0 then
    warn(("parhost: the job log '%s' has %d lines that are none of a job log; they count for nothing"):format(path, strange))
  end
  return done
end

-- ------------------------------------------------------------------------------------------------------------

local Moment = { _lively = true, _timed = true }
function Moment._ready() return false end
function Moment._watch() end
function Moment._unwatch() end

local function open_file(path)
  local give_up = block.now() + OPEN_WITHIN
  while true do
    local file, err = core.open(path)
    if file then return file end
    if err.code ~= "EBUSY" or block.now() >= give_up then error(err, 0) end
    block.wait(Moment, block.now() + EVERY)
  end
end

local Log = {}
Log.__index = Log

-- `given`: checked options of a view.
function joblog.open(given)
  local file = open_file(given.joblog)
  local done = read(file, given.joblog)
  return setmetatable({
    file = file, done = done, key = given.key or joblog.text, sync = given.joblog_sync or false, seq = 0,
  }, Log)
end

function Log:key_of(...)
  return check_key(self.key(...))
end

-- What the core takes for one task; nil: it is done.
function Log:admit(options, ...)
  local key = self:key_of(...)
  self.seq = self.seq + 1
  if self.done[key] then return nil end
  return self.file:options(options, self.sync, self.seq, { key }, 1, 1)
end

-- The same for the items first..last of a map, whose keys are in a table; the first of them is number `seq`.
function Log:options(options, seq, keys, first, last)
  return self.file:options(options, self.sync, seq, keys, first, last)
end

return joblog
