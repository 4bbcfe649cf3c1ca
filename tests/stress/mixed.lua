-- SPDX-License-Identifier: MIT
-- Everything that parhost does, at once in one host, as a long-lived program would: tasks in processes and in threads, maps
-- with a buffer, tasks on coroutines, requests to a server, queues and channels, other programs, pools that come and go.
-- Nothing is killed here (killer.lua does that): every result must be there and right.
--
--   parhost tests/stress/mixed.lua [seed [seconds]]        the seed is printed
--
-- What has a side effect leaves a letter in a file, requests are counted by the server; after each round everything stands
-- still, and the counts must be what was begun. Each minute says memory (of this process and of its workers) and
-- descriptors; at the end the one is to be as after a fifth of the time, the other as at the beginning.
local seed = math.tointeger(tonumber(arg[1])) or os.time()
local seconds = tonumber(arg[2]) or 60
local proc_pool = require "proc_pool"
local thread_pool = require "thread_pool"
local async = require "async"
local census = require "tests.stress.support.census"
local futures = require "futures"
local http = require "http"
local monotonic = require("parhost").monotonic

local ROUND <const> = math.min(15, seconds / 6) -- seconds
local HANGING <const> = 120 -- seconds for what has begun in a round
local GROWTH <const> = 6 << 20 -- bytes
local random = math.random
math.randomseed(seed)

local wrong = 0

local function complain(...)
  wrong = wrong + 1
  if wrong <= 20 then print("mixed: " .. string.format(...)) end
end

local function check(ok, ...)
  if not ok then complain(...) end
end

futures.on_unhandled(function(future, err) complain("nobody looked at %s: %s", tostring(future), tostring(err)) end)

-- Side effects ----------------------------------------------------------------------------------------------

local KINDS <const> = { process = "p", thread = "t", map = "m", program = "g" }
local path = os.tmpname()
local begun = {} -- kind -> how many letters there must be
local total = {} -- what has been done in all rounds

local function count(kind, n) begun[kind] = (begun[kind] or 0) + n end

local function mark(file_path, letter)
  local file <close> = assert(io.open(file_path, "a"))
  file:write(letter)
end

local function check_marks()
  local file <close> = assert(io.open(path))
  local marks = file:read "a"
  for kind, letter in pairs(KINDS) do
    local n = select(2, marks:gsub(letter, letter))
    check(n == (begun[kind] or 0), "%d of kind %s were begun, %d have run", begun[kind] or 0, kind, n)
  end
  for kind, n in pairs(begun) do total[kind] = (total[kind] or 0) + n end
  begun = {}
  io.open(path, "w"):close()
end

-- The server ------------------------------------------------------------------------------------------------

-- POST gives back what it was sent, GET /SIZE so many bytes; GET /count how many of these there were since the last time.
local SERVER <const> = [[
import http.server, threading
lock, served = threading.Lock(), 0
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    def answer(self):
        global served
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with lock:
            if self.path == "/count":
                body, served = str(served).encode(), 0
            else:
                served += 1
        if self.command == "GET" and self.path != "/count":
            body = b"x" * int(self.path[1:])
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
server.request_queue_size = 128
print(server.server_port)
server.serve_forever()]]

local server = async.process { "python3", "-u", "-c", SERVER, stdout = "pipe" }
local base = "http://127.0.0.1:" .. assert(server:read "l", "the server does not start") .. "/"

local function fetch(url, n)
  return #require("http").get(url .. n, { timeout = 60 }).body
end

-- What is done ----------------------------------------------------------------------------------------------

local pools = {} -- "process", "thread"
local steps = {}

-- One task of each way to end, and to wait.
local function work(file_path, letter, i, text, url)
  mark(file_path, letter)
  local how = i % 50
  if how == 1 then error({ number = i }) end
  if how == 2 then require("async").sleep(0.002) end
  if how == 3 then return i, #require("http").get(url .. #text, { timeout = 60 }).body end
  if how == 4 then
    local process = require("async").run_process { "cat", input = text }
    return i, #process.stdout
  end
  return i, #text
end

local function submit_some(kind)
  local pool, list, texts = pools[kind], {}, {}
  for i = 1, random(200) do
    texts[i] = ("x"):rep(random(20) == 1 and random(1 << 18) or random(100))
    list[i] = pool:submit(work, path, KINDS[kind], i, texts[i], base)
    if i % 50 == 3 then count("request", 1) end
    if i % 50 == 4 then count("by_worker", 1) end
  end
  count(kind, #list)
  for i, future in ipairs(list) do
    local ok, value, length = future:outcome()
    local right = ok and value == i and length == #texts[i]
    if i % 50 == 1 then right = not ok and type(value) == "table" and value.number == i end
    check(right, "%s, number %d: %s, %s", future:name(), i, tostring(value), tostring(length))
  end
end

function steps.process() submit_some("process") end
function steps.thread() submit_some("thread") end

function steps.map()
  local pool = random(2) == 1 and pools.process or pools.thread
  local n, i, seen = random(400), 0, 0
  local function input()
    i = i + 1
    return i <= n and i or nil
  end
  local view = pool:with { buffer_size = random(5, 50), chunk_size = random(2) == 1 and random(5) or "auto" }
  for at, value in view:map(function(k)
    mark(path, "m")
    return k * k
  end, input) do
    seen = seen + 1
    check(at == seen and value == at * at, "item %d of a map: %s", seen, tostring(value))
  end
  check(seen == n, "a map of %d items gave %d", n, seen)
  count("map", n)
end

function steps.tasks()
  local n, done = random(300), 0
  async.group(function(group)
    for _ = 1, n do
      group:create_task(function()
        async.sleep(random() * 0.02)
        done = done + 1
      end)
    end
  end)
  check(done == n, "%d of %d tasks of a group are done", done, n)
  count("task", n)
end

function steps.cancelled()
  local n, entered, left = random(100), 0, 0
  local in_time = async.move_on_after(random() * 0.01, async.group, function(group)
    for _ = 1, n do
      group:create_task(function()
        entered = entered + 1
        local guard <close> = setmetatable({}, { __close = function() left = left + 1 end })
        async.sleep(60)
        return guard
      end)
    end
  end)
  check(not in_time and entered == left, "%d tasks were entered, %d left", entered, left)
  count("cancelled", n)
end

function steps.requests()
  local n = random(20)
  local sizes = {}
  for i = 1, n do sizes[i] = random(10) == 1 and random(1 << 20) or random(2000) end
  for i, length in async.map(function(size)
    local way = random(3)
    if way == 1 then return fetch(base, size) end
    if way == 2 then
      local sent = ("y"):rep(size)
      return http.post(base, { body = sent, timeout = 60 }).body == sent and size
    end
    local length = 0
    for chunk in http.get(base .. size, { stream = true, timeout = 60 }):chunks() do length = length + #chunk end
    return length
  end, sizes, { max_concurrency = 8 }) do
    check(length == sizes[i], "a body of %d bytes had %s", sizes[i], tostring(length))
  end
  count("request", n)
end

function steps.queue()
  local queue, n, sum = async.queue(random(20)), random(500), 0
  async.group(function(group)
    for _ = 1, 3 do
      group:create_task(function()
        for item in queue:items() do
          sum = sum + item
          if random(20) == 1 then async.sleep(0.001) end
          queue:task_done()
        end
      end)
    end
    for i = 1, n do queue:put(i) end
    queue:join()
    queue:shutdown()
  end)
  check(sum == n * (n + 1) // 2, "a queue of %d items: sum %d", n, sum)
  count("item", n)
end

function steps.channel()
  local sender, receiver = async.channel(random(0, 10))
  local n, seen = random(200), 0
  async.group(function(group)
    for _ = 1, 3 do
      local mine = sender:clone()
      group:create_task(function()
        local guard <close> = mine
        for i = 1, n do guard:send(i) end
      end)
    end
    sender:close()
    for item in receiver:items() do seen = seen + item end
  end)
  receiver:close()
  check(seen == 3 * n * (n + 1) // 2, "a channel of 3 x %d items: sum %d", n, seen)
  count("item", 3 * n)
end

function steps.programs()
  local text = ("line\n"):rep(random(20000))
  local command = "printf g >>" .. path .. "; exec cat"
  local result = async.run_process { command, shell = true, input = text, check = true, timeout = 60 }
  check(result.stdout == text, "cat gave %d bytes of %d", #result.stdout, #text)
  count("program", 1)

  local sort <close> = async.process { "sort", "-n", stdin = "pipe", stdout = "pipe" }
  for i = 200, 1, -1 do sort:write(i, "\n") end
  sort.stdin:close()
  local last = 0
  for line in sort:lines() do
    last = last + 1
    check(tonumber(line) == last, "sort: line %d is %s", last, line)
  end
  check(last == 200 and sort:wait() == 0, "sort gave %d lines", last)

  local ok, err = pcall(async.run_process, { "sleep", "60", timeout = 0.005 })
  check(not ok and futures.is(err, "timeout"), "sleep: %s", tostring(err))
end

function steps.jobs()
  for _ = 1, random(20) do
    local n = random(1000)
    local a, b = async.all(function() return async.to_thread(math.abs, -n) end,
                           function() return async.to_process(math.abs, -n) end)
    check(a == n and b == n, "jobs: %s, %s", tostring(a), tostring(b))
    count("job", 2)
  end
end

function steps.pools()
  local module = random(2) == 1 and proc_pool or thread_pool
  local pool <close> = module.new { max_workers = random(3) }
  local n = random(50)
  check(#pool:map(math.abs, table.move({ n }, 1, 1, 1)):collect() == 1, "a new pool's map")
  local slow = pool:with { timeout = 0.01 }:submit(function() while true do end end)
  local ok, err = slow:outcome()
  check(not ok and futures.is(err, "timeout"), "an endless task: %s", tostring(err))
  count("pool", 1)
  async.sleep(0.1)
end

-- Rounds ----------------------------------------------------------------------------------------------------

local function run_round(limit)
  local names = {}
  for name in pairs(steps) do names[#names + 1] = name end
  table.sort(names) -- so that a seed says who draws first
  local deadline <close> = async.timeout_at(limit + HANGING)
  async.group(function(group)
    for _, name in ipairs(names) do
      group:create_task(function()
        repeat steps[name]() until monotonic() >= limit
      end)
    end
  end)
  return deadline
end

local function check_round(limit)
  local ok, err = pcall(run_round, limit)
  if not ok then
    complain("a round: %s", tostring(err))
    async.dump(io.stdout)
  end
  local served = tonumber(http.get(base .. "count", { timeout = 60 }).body)
  check(served == begun.request, "%d requests were made, %s served", begun.request, served)
  check_marks()
end

-- Now: bytes of memory, here and in the fork server and its workers; descriptors.
local function take_sample()
  local sample = { own = census.collected(), workers = 0, descriptors = census.take().descriptors }
  for _, worker in ipairs(pools.process:workers()) do sample.workers = sample.workers + (census.rss(worker.pid) or 0) end
  return sample
end

local function say(start, sample)
  local text = {}
  for kind, n in pairs(total) do text[#text + 1] = ("%s %d"):format(kind, n) end
  table.sort(text)
  print(("mixed: %4.0f s: memory %s, workers %s, descriptors %d; %s"):format(monotonic() - start, census.mb(sample.own),
    census.mb(sample.workers), sample.descriptors, table.concat(text, ", ")))
  io.stdout:flush()
end

local function check_flat(samples)
  local warm, last = samples[math.max(1, #samples // 5)], samples[#samples]
  for _, what in ipairs { "own", "workers" } do
    check(last[what] - warm[what] <= census.bound(GROWTH), "memory (%s) grows: %s -> %s", what, census.mb(warm[what]),
      census.mb(last[what]))
  end
  check(last.descriptors <= samples[1].descriptors, "descriptors: %d -> %d", samples[1].descriptors, last.descriptors)
end

local function run_all()
  local start = monotonic()
  local samples, said = {}, start
  repeat
    async.run({ slow_step = 60 }, check_round, monotonic() + ROUND)
    samples[#samples + 1] = take_sample()
    if monotonic() - said >= 60 or #samples == 1 then
      say(start, samples[#samples])
      said = monotonic()
    end
  until monotonic() - start >= seconds
  say(start, samples[#samples])
  check_flat(samples)
end

-- Everything once, so that what is made at its first use is there: libcurl, the fork server, the loop.
local function warm_up()
  for _, module in ipairs { proc_pool, thread_pool } do
    local pool <close> = module.new(1)
    assert(pool:submit(fetch, base, 1):result() == 1)
  end
  assert(fetch(base, 1) == 1 and fetch(base, "count"))
  async.run_process { "true" }
end

print(("mixed: seed %d, %g s"):format(seed, seconds))
warm_up()
local before = census.take()
pools.process = proc_pool.new { max_workers = 2, max_queue = 200 }
pools.thread = thread_pool.new(2)
run_all()
for _, pool in pairs(pools) do check(pool:shutdown { timeout = 20 }, "%s does not end", pool:name()) end
before.descriptors = before.descriptors + 7 -- connections that libcurl keeps: of 8 requests at once
local left = census.left(before, 20)
if left then complain("left at the end: %s", left) end
server:close()
os.remove(path)
os.exit(wrong == 0)
