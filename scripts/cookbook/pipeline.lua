-- SPDX-License-Identifier: MIT
-- A pipeline: `find` tells files, a task reads them, processes look for the longest line, the main task writes. The queues
-- in between are bounded: whoever is too fast waits.
--   parhost scripts/cookbook/pipeline.lua [folder = that of this program]
local async = require "async"
local parhost = require "parhost"
local proc_pool = require "proc_pool"

local function longest_line(text)
  local longest = ""
  for line in text:gmatch "[^\n]+" do
    if #line > #longest then longest = line end
  end
  return longest
end

local function read(folder, texts)
  local find <close> = async.process { "find", folder, "-type", "f", stdout = "pipe" }
  for path in find:lines() do
    local file <close> = assert(io.open(path))
    texts:put { path = path, text = file:read "a" }
  end
  texts:shutdown() -- what is in it can still be taken
end

local function transform(pool, texts, results)
  for item in texts:items() do
    results:put { path = item.path, line = pool:submit(longest_line, item.text):result() }
  end
end

local function transform_all(texts, results)
  local pool <close> = proc_pool.new()
  async.group(function(tg)
    for _ = 1, 2 * parhost.cpu_count() do tg:create_task(transform, pool, texts, results) end
  end)
  results:shutdown()
end

async.run(function(folder)
  local texts, results = async.queue(10), async.queue(10)
  local tg <close> = async.task_group()
  tg:create_task(read, folder, texts)
  tg:create_task(transform_all, texts, results)
  for result in results:items() do print(("%3d in %s: %s"):format(#result.line, result.path, result.line)) end
end, arg[1] or arg[0]:match "^(.*)/" or ".")
