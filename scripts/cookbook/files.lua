-- SPDX-License-Identifier: MIT
-- A parallel map over files: the lines, words and bytes of each, counted in processes, told in the order of the arguments.
--   parhost scripts/cookbook/files.lua [file...]     without arguments: the programs of this folder
local async = require "async"
local proc_pool = require "proc_pool"

local function programs()
  local folder = arg[0]:match "^(.*)/" or "."
  local list = {}
  for path in async.run_process { "find", folder, "-name", "*.lua", check = true }.stdout:gmatch "[^\n]+" do
    list[#list + 1] = path
  end
  table.sort(list)
  return list
end

-- What a file says about itself; nil and why, when it cannot be read.
local function count(path)
  local file <close>, why = io.open(path)
  if not file then return nil, why end
  local text, trouble = file:read "a"
  if not text then return nil, ("%s: %s"):format(path, trouble) end
  local _, lines = text:gsub("\n", "")
  local _, words = text:gsub("%S+", "")
  return lines, words, #text
end

local paths = #arg > 0 and arg or programs()
local unread = 0
do
  local pool <close> = proc_pool.new()
  for i, lines, words, bytes in pool:with { chunk_size = "auto" }:map(count, paths) do
    if lines then
      print(("%8d %8d %8d  %s"):format(lines, words, bytes, paths[i]))
    else
      io.stderr:write("files.lua: ", words, "\n")
      unread = unread + 1
    end
  end
end
os.exit(unread == 0)
