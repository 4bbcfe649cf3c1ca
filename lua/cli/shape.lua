-- SPDX-License-Identifier: MIT
-- What another program has said, as far as it makes sense: known fields of the right type, and nothing else. Its workers run
-- code of anybody, and what they say is handed on as it is.
local json = require "http.json"

local shape = {}

local TEXT <const>, NUMBER <const>, FLAG <const> = "string", "number", "boolean"
local STATE, POOL, WORKER, TASK, RUNNING, ANSWER = {}, {}, {}, {}, {}, {}

local function fields(into, given)
  for key, kind in pairs(given) do into[key] = kind end
end

local function list_of(kind) return { list = kind } end

fields(ANSWER, { at = NUMBER, task = NUMBER, text = TEXT })
fields(RUNNING, { id = NUMBER, name = TEXT, submitted = TEXT, age = NUMBER, item = NUMBER, items = NUMBER, stopping = FLAG })
fields(WORKER, {
  id = NUMBER, tid = NUMBER, pid = NUMBER, state = TEXT, since = NUMBER, done = NUMBER, waits = FLAG, cut = FLAG,
  tasks = list_of(RUNNING), answer = ANSWER,
})
fields(POOL, {
  kind = TEXT, name = TEXT, state = TEXT, number = NUMBER, max_workers = NUMBER, n_workers = NUMBER, busy = NUMBER,
  running = NUMBER, queued = NUMBER, completed = NUMBER, failed = NUMBER, cancelled = NUMBER, restarts = NUMBER,
  workers = list_of(WORKER),
})
fields(TASK, {
  id = NUMBER, name = TEXT, created = TEXT, state = TEXT, parent = NUMBER, cancelling = FLAG, age = NUMBER,
  wakes = NUMBER, at = TEXT, stack = list_of(TEXT), below = list_of(TEXT),
})
fields(STATE, {
  parhost = TEXT, pid = NUMBER, script = TEXT, now = NUMBER, at = TEXT, stack = list_of(TEXT), main = list_of(TEXT),
  n_tasks = NUMBER, task = NUMBER, tasks = list_of(TASK), pools = list_of(POOL),
})

local take

local function take_list(value, kind)
  local list = json.array()
  for _, item in ipairs(value) do
    item = take(item, kind)
    if item ~= nil then list[#list + 1] = item end
  end
  return list
end

function take(value, kind)
  if type(kind) == "string" then return type(value) == kind and value or nil end
  if type(value) ~= "table" then return nil end
  if kind.list then return take_list(value, kind.list) end
  local copy = {}
  for key, of in pairs(kind) do copy[key] = take(value[key], of) end
  return copy
end

-- JSON -> what a state says of itself, or nil.
function shape.state(text)
  local ok, value = pcall(json.decode, text, "answer")
  return ok and take(value, STATE) or nil
end

return shape
