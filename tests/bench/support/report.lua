-- SPDX-License-Identifier: MIT
-- What the numbers of a row mean: verdicts, the table, JSON, and what has become slower since the last time.
local report = {}

local SLOWER <const> = 1.15 -- this much worse than the last time is said

function report.median(values)
  if #values == 0 then return nil end
  table.sort(values)
  local middle = #values // 2
  if #values % 2 == 1 then return values[middle + 1] end
  return (values[middle] + values[middle + 1]) / 2
end

local function value_of(result, name)
  for _, side in ipairs(result.sides) do
    if side.name == name and not side.problem then return side.value end
  end
end

-- A goal is a number, or { times, peer }: so many times what that peer did in this run.
local function goal_value(result, goal)
  if type(goal) ~= "table" then return goal end
  local peer = value_of(result, goal[2])
  return peer and peer * goal[1]
end

local function reached(row, value, goal)
  if not goal then return nil end
  if row.more then return value >= goal end
  return value <= goal
end

-- Adds ours, floor, target and verdict. Numbers of a smoke run say nothing.
function report.judge(result, smoke)
  local row = result.row
  if result.missing then
    result.verdict = result.missing
    return result
  end
  local ours = result.sides[1]
  result.floor, result.target = goal_value(result, row.floor), goal_value(result, row.target)
  if ours.problem then
    result.verdict = "FAILED: " .. ours.problem
    return result
  end
  result.ours = ours.value
  if smoke then
    result.verdict = "works"
    return result
  end
  local floor, target = reached(row, ours.value, result.floor), reached(row, ours.value, result.target)
  result.verdict = target and "target" or floor and "floor" or floor == false and "BELOW" or "-"
  local limit = row.limit and value_of(result, row.limit)
  if floor == false and limit and not reached(row, limit, result.floor) then
    result.verdict = "BELOW, and so is the limit"
  end
  return result
end

local function number(value)
  if not value then return "-" end
  local size = math.abs(value)
  if size >= 1e6 then return ("%.2f M"):format(value / 1e6) end
  if size >= 1e4 then return ("%.1f k"):format(value / 1e3) end
  if size >= 100 then return ("%.0f"):format(value) end
  return ("%.3g"):format(value)
end

-- How many times better we are than this side.
local function ratio(result, side)
  if not result.ours or not side.value or side.value == 0 or result.ours == 0 then return nil end
  return result.row.more and result.ours / side.value or side.value / result.ours
end

local FORMAT <const> = "%-6s %-34s %9s  %-26s %9s %8s %9s %9s  %s\n"

function report.table_head()
  io.write(FORMAT:format("row", "what", "ours", "peer", "peer's", "better", "floor", "target", "verdict"))
  io.flush()
  return true
end

local function peer_cells(result, side)
  if not side then return "", "", "" end
  if side.problem then return side.name, "-", "" end
  local times = ratio(result, side)
  return side.name, number(side.value), times and ("%.2f x"):format(times) or ""
end

-- The text in lines of at most 34 characters.
local function wrap(text)
  local lines = { "" }
  for word in text:gmatch "%S+" do
    local longer = (lines[#lines] .. " " .. word):match "^ ?(.*)$"
    if #longer <= 34 then lines[#lines] = longer else lines[#lines + 1] = word end
  end
  return lines
end

function report.table_row(result)
  local row = result.row
  local what = wrap(("%s [%s]"):format(row.what, row.unit))
  local name, value, times = peer_cells(result, result.sides[2])
  io.write(FORMAT:format(row.id, what[1], number(result.ours), name, value, times, number(result.floor),
    number(result.target), result.verdict))
  for k = 2, math.max(#result.sides - 1, #what) do
    name, value, times = peer_cells(result, result.sides[k + 1])
    io.write((FORMAT:format("", what[k] or "", "", name, value, times, "", "", ""):gsub("%s+$", "\n")))
  end
  for k = 2, #result.sides do
    local side = result.sides[k]
    if side.problem then io.write(("       %s: %s\n"):format(side.name, side.problem)) end
  end
  io.flush()
end

-- JSON ------------------------------------------------------------------------------------------------------

local function json_string(text)
  local escaped = text:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end)
  return '"' .. escaped .. '"'
end

local function json_number(value)
  return value and ("%.9g"):format(value) or "null"
end

local function json_row(result)
  local peers = {}
  for k = 2, #result.sides do
    local side = result.sides[k]
    local said = side.problem and json_string(side.problem) or "null"
    peers[#peers + 1] = ('{"name":%s,"value":%s,"problem":%s}'):format(
      json_string(side.name), json_number(not side.problem and side.value or nil), said)
  end
  local row = result.row
  return ('{"row":%s,"what":%s,"unit":%s,"more_is_better":%s,"ours":%s,"floor":%s,"target":%s,"verdict":%s,"peers":[%s]}')
    :format(json_string(row.id), json_string(row.what), json_string(row.unit), tostring(row.more or false),
      json_number(result.ours), json_number(result.floor), json_number(result.target), json_string(result.verdict),
      table.concat(peers, ","))
end

-- An array, one row a line.
function report.json(results)
  local lines = {}
  for i, result in ipairs(results) do lines[i] = json_row(result) end
  return "[\n" .. table.concat(lines, ",\n") .. "\n]\n"
end

-- Against the last time -------------------------------------------------------------------------------------

-- Ours of the last time, by row; each row has a file of its own.
local function last_value(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return tonumber(text:match '"ours":([%d.e+-]+)')
end

local function keep(path, result)
  local file <close> = assert(io.open(path, "w"))
  file:write(json_row(result), "\n")
end

function report.compare_and_keep(results, folder, aloud)
  for _, result in ipairs(results) do
    if result.ours then
      local row = result.row
      local path = ("%s/%s.json"):format(folder, row.id)
      local before = last_value(path)
      if before and before > 0 and result.ours > 0 then
        local worse = row.more and before / result.ours or result.ours / before
        if aloud and worse > SLOWER then
          local now, last = number(result.ours), number(before)
          print(("%s has become worse: %s, last time %s (%.2f x)"):format(row.id, now, last, worse))
        end
      end
      keep(path, result)
    end
  end
end

return report
