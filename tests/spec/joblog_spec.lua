-- SPDX-License-Identifier: MIT
-- Job logs: with{ joblog = }, in both kinds of pool and inline.
package.path = "tests/spec/?.lua;" .. package.path
local assert = require "luassert"
local futures = require "futures"
local joblog = require "parhost.joblog"
local raised_by = require "support.contract.common".raised_by
local run = require "support.run"
local tasks = require "support.joblog_tasks"

local effect = tasks.effect

local HEADER <const> = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

-- Key -> { status, ... } in the order of the lines; the lines have to be those of GNU parallel.
local function rows_of(path)
  local text, rows = read(path), {}
  assert.equal(HEADER, text:sub(1, #HEADER))
  for line in text:sub(#HEADER + 1):gmatch("([^\n]*)\n") do
    local seq, status, key = line:match("^(%d+)\t:\t%d+%.%d%d%d\t *%d+%.%d%d%d\t%d+\t%d+\t(%-?%d+\t%-?%d+)\t([^\t]+)$")
    assert.is_string(seq, line)
    rows[key] = rows[key] or { seq = tonumber(seq) }
    table.insert(rows[key], (status:gsub("\t", "/")))
  end
  return rows
end

-- The keys of whose lines the last one says so, in order.
local function keys_with(path, status)
  local keys = {}
  for key, row in pairs(rows_of(path)) do
    if row[#row] == status then keys[#keys + 1] = tonumber(key) or key end
  end
  table.sort(keys)
  return keys
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

local function row(key, exit_code)
  return ("1\t:\t1.000\t     0.001\t0\t0\t%d\t0\t%s\n"):format(exit_code or 0, key)
end

-- Everything that an iterator has, errors as texts.
local function take_all(it)
  local list = {}
  while true do
    local result = table.pack(pcall(it.next, it))
    if result.n == 1 then return list end
    list[#list + 1] = result[1] and result[2] .. "=" .. tostring(result[3]) or "error"
  end
end

local path, effects

local function ran()
  local list = {}
  for n in read(effects):gmatch("%d+") do list[#list + 1] = tonumber(n) end
  table.sort(list)
  write(effects, "")
  return list
end

local function by_first(_, n) return n end

local POOLS <const> = {
  proc_pool = function() return require "proc_pool".new(2) end,
  thread_pool = function() return require "thread_pool".new(2) end,
  inline = function() return require "proc_pool".new { inline = true } end,
}

local function fresh()
  path, effects = os.tmpname(), os.tmpname()
end

local function remove()
  collectgarbage()
  collectgarbage()
  os.remove(path)
  os.remove(effects)
end

for name, new in pairs(POOLS) do
  describe("the job log of " .. name, function()
    before_each(fresh)
    after_each(remove)

    local ITEMS <const> = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }
    local paths = {}
    for i = 1, 10 do paths[i] = true end

    for _, chunk in ipairs { 1, 3, "auto" } do
      it("skips what is done and runs again what has failed, in chunks of " .. chunk, function()
        local pool <close> = new()
        for i in ipairs(ITEMS) do paths[i] = effects end
        local function view() return pool:with { joblog = path, key = by_first, chunk_size = chunk } end
        local fails = { 4, 4, 4, 4, 4, 4, 4, 4, 4, 4 }
        assert.same({ "1=10", "2=20", "3=30", "error", "5=50", "6=60", "7=70", "8=80", "9=90", "10=100" },
          take_all(view():map(effect, paths, ITEMS, fails)))
        assert.same(ITEMS, ran())
        assert.same({ 4 }, keys_with(path, "1/0"))
        assert.same({ "error" }, take_all(view():map(effect, paths, ITEMS, fails)))
        assert.same({ 4 }, ran())
        assert.same({ "4=40" }, take_all(view():map_unordered(effect, paths, ITEMS)))
        assert.same({}, take_all(view():map(effect, paths, ITEMS)))
        assert.same({ 4 }, ran())
        assert.same(ITEMS, keys_with(path, "0/0"))
        assert.same({ "1/0", "1/0", "0/0", seq = 4 }, rows_of(path)["4"])
      end)
    end

    it("goes with starmap, iterators and buffers, whose results keep their indices", function()
      local pool <close> = new()
      write(path, HEADER .. row(1) .. row(2) .. row(5))
      local function view(buffer) return pool:with { joblog = path, key = by_first, buffer_size = buffer } end
      local n = 0
      local function numbers()
        n = n + 1
        if n <= 6 then return n end
      end
      local seen = {}
      for i, value in view(2):map(effect, function() return effects end, numbers) do seen[#seen + 1] = { i, value } end
      assert.same({ { 3, 30 }, { 4, 40 }, { 6, 60 } }, seen)
      assert.same({ 3, 4, 6 }, ran())
      assert.same({ 70, 80, n = 2 },
        view():starmap(effect, { { effects, 6 }, { effects, 7 }, { effects, 1 }, { effects, 8 } }):collect())
      assert.same({ 7, 8 }, ran())
      seen = {}
      for i in view(1):map_unordered(effect, { effects, effects, effects }, { 1, 9, 2 }) do seen[#seen + 1] = i end
      assert.same({ 2 }, seen)
    end)

    it("makes a skipped submission a future without values", function()
      local pool <close> = new()
      write(path, HEADER .. row "1")
      local view = pool:with { joblog = path, key = by_first }
      local f = view:submit(effect, effects, 1)
      assert.same({ n = 1, true }, table.pack(f:outcome()))
      assert.same({ "done", false }, { f:state(), f:cancel() })
      assert.is_nil(f:name())
      assert.equal(20, view:submit(effect, effects, 2):result())
      assert.same({ 2 }, ran())
      assert.same({ f }, (futures.wait { f }))
    end)

    it("has a line for each run of a task that is run again", function()
      local pool <close> = new()
      local view = pool:with { joblog = path, key = by_first, retries = 2, retry_if = function() return true end }
      assert.is_false(view:submit(effect, effects, 3, 3):outcome())
      assert.same({ 3, 3, 3 }, ran())
      assert.same({ "1/0", "1/0", "1/0", seq = 1 }, rows_of(path)["3"])
    end)

    it("writes each line to the disk, if asked to", function()
      local pool <close> = new()
      local view = pool:with { joblog = path, key = by_first, joblog_sync = true }:with { name = "synced" }
      assert.equal(10, view:submit(effect, effects, 1):result())
      assert.same({ 1 }, keys_with(path, "0/0"))
    end)

    it("numbers what it was asked for, and counts bytes", function()
      local pool <close> = new()
      local view = pool:with { joblog = path, chunk_size = 2 }
      assert.same({ 3, 3, 3, n = 3 }, view:map(function(s) return #s end, { "abc", "abd", "abe" }):collect())
      view:submit(function(s) return s end, ("x"):rep(2000)):result()
      local rows = rows_of(path)
      assert.same({ 1, 2, 3 }, { rows['"abc"'].seq, rows['"abd"'].seq, rows['"abe"'].seq })
      local seq, sent, received = read(path):match("(%d+)\t:\t[^\t]+\t[^\t]+\t(%d+)\t(%d+)\t0\t0\t\"x")
      assert.equal("4", seq)
      assert.is_true(tonumber(sent) > 2000 and tonumber(received) > 2000)
    end)

    it("takes arguments of megabytes along with the key", function()
      local pool <close> = new()
      local view = pool:with { joblog = path, key = function(s) return s:sub(1, 2) end }
      assert.equal(3 << 20, view:submit(function(s) return #s end, ("ab"):rep(3 << 19)):result())
      assert.same({ "ab" }, keys_with(path, "0/0"))
    end)

    it("shows what was stopped as failed", function()
      local pool <close> = new()
      local view = pool:with { joblog = path, key = by_first, timeout = 0.01 }
      assert.equal("timeout", view:submit(tasks.spin, "x", 1):error().kind)
      assert.same({ 1 }, keys_with(path, "-1/0"))
    end)

    it("raises what the key function raises, or why there is no key", function()
      local pool <close> = new()
      local function raises(key, ...) return raised_by(pool.submit, pool:with { joblog = path, key = key }, effect, ...) end
      assert.equal("no key", raises(function() error("no key", 0) end))
      assert.matches("job log: the key function gave nil, string or integer expected", raises(function() end))
      assert.matches("job log: the key is empty", raises(function() return "" end))
      assert.matches("job log: the key takes 70000 bytes, which is more than 65535",
        raises(function() return ("x"):rep(70000) end))
      assert.matches("job log: argument #2 of the task %(function%) has no text that is the same in every run; "
        .. "give with{ key = }", raises(nil, 1, print))
      local view = pool:with { joblog = path, buffer_size = 1, key = function(n) return n < 3 and n or error("late", 0) end }
      assert.same({ "1=1", "2=2", "error" }, take_all(view:map(math.abs, { 1, 2, 3 })))
    end)
  end)
end

describe("a job log", function()
  before_each(fresh)
  after_each(remove)

  it("has the death of a worker", function()
    local pool <close> = require "proc_pool".new { max_workers = 1, max_restarts = 10 }
    local view = pool:with { joblog = path, key = function(_, key) return key end }
    local deaths = { { tasks.kill_worker, "KILL", "killed" }, { os.exit, 3, "left" }, { os.exit, 0, "left well" } }
    for _, submission in ipairs(deaths) do
      assert.equal("worker_died", view:submit(table.unpack(submission)):error().kind)
    end
    local rows = rows_of(path)
    assert.same({ { "0/9", seq = 1 }, { "3/0", seq = 2 }, { "-1/0", seq = 3 } },
      { rows.killed, rows.left, rows["left well"] })
    assert.equal(7, view:with { retries = 1 }:submit(tasks.exit_once, effects .. ".again", "again"):result())
    assert.same({ "0/0", seq = 4 }, rows_of(path).again)
  end)

  it("is of the tasks that were in it when with was called, and of both pools at once", function()
    local processes <close> = require "proc_pool".new(1)
    local threads <close> = require "thread_pool".new(1)
    local first = processes:with { joblog = path, key = by_first }
    local second = threads:with { joblog = path, key = by_first }
    assert.equal(10, first:submit(effect, effects, 1):result())
    assert.equal(10, second:submit(effect, effects, 1):result())
    assert.equal(20, second:submit(effect, effects, 2):result())
    assert.is_nil(processes:with { joblog = path, key = by_first }:submit(effect, effects, 2):result())
    assert.same({ 1, 1, 2 }, ran())
  end)

  it("goes along with a handle in a worker thread", function()
    local pool <close> = require "thread_pool".new(2)
    write(path, HEADER .. row(1))
    local view = pool:with { joblog = path, key = by_first }
    assert.same({ 2, 3 }, { pool:submit(tasks.map_inside, view, effects):result() })
    assert.same({ 2, 3 }, keys_with(path, "0/0") and ran())
  end)

  it("is repaired: a line without an end goes, and so does a header", function()
    local pool <close> = require "proc_pool".new { inline = true }
    for _, torn in ipairs { "2\t:\t17", row(2):sub(1, -2), "\0\0" } do
      write(path, HEADER .. row(1) .. torn)
      local view = pool:with { joblog = path, key = by_first }
      assert.same({ 20, 30, n = 2 }, view:map(effect, { effects, effects, effects }, { 1, 2, 3 }):collect())
      view = nil -- luacheck: ignore 311
      assert.same({ 1, 2, 3 }, keys_with(path, "0/0"))
      collectgarbage()
    end
    for cut = 0, #HEADER - 1, 7 do
      write(path, HEADER:sub(1, cut))
      assert.equal(10, pool:with { joblog = path, key = by_first }:submit(effect, effects, 1):result())
      assert.same({ 1 }, keys_with(path, "0/0"))
      collectgarbage()
    end
  end)

  it("goes by the last line of a key, and says what it cannot read", function()
    write(path, HEADER .. row(1) .. row(1, 1) .. row(2, 1) .. row(2) .. "garbage\n" .. row("3\tx"))
    local result = run.script(([[
      local pool <close> = require "thread_pool".new(1)
      for i in pool:with { joblog = %q, key = math.tointeger }:map(math.abs, { 1, 2, 3 }) do print(i) end]]):format(path))
    assert.same({ out = "1\n3\n", code = 0, err = ("Lua warning: parhost: the job log '%s' has 2 lines that are none of "
      .. "a job log; they count for nothing\n"):format(path) }, result)
  end)

  it("refuses what is none", function()
    local pool <close> = require "proc_pool".new { inline = true }
    local function refused(given) return raised_by(pool.with, pool, given) end
    write(path, "hello\nworld\n")
    local message = "bad argument #1 to 'with' (option 'joblog': '%s' is no job log: it does not begin with the line"
    assert.is_truthy(refused { joblog = path }:find(message:format(path), 1, true))
    write(path, "hello")
    assert.is_truthy(refused { joblog = path }:find(message:format(path), 1, true))
    assert.equal("hello", read(path))
    assert.same({ "os", "EISDIR" }, { refused { joblog = "/tmp" }.kind, refused { joblog = "/tmp" }.code })
    assert.equal(("cannot open the job log '%s/x': Not a directory"):format(path), refused { joblog = path .. "/x" }.message)
    assert.equal("the job log '/dev/null' is not a regular file", refused { joblog = "/dev/null" }.message)
    assert.matches("option 'joblog': name of a file expected, got \"\"", refused { joblog = "" })
    assert.matches("option 'key': given without joblog", refused { key = print })
    assert.matches("option 'joblog_sync': given without joblog", refused { joblog_sync = true })
  end)

  it("is one program's at a time", function()
    local pool <close> = require "proc_pool".new { inline = true }
    local view = pool:with { joblog = path }
    local result = run.script(([[
      local pool = require "proc_pool".new { inline = true }
      local ok, err = pcall(pool.with, pool, { joblog = %q })
      print(err.kind, err.code, err.message)]]):format(path))
    assert.equal(("os\tEBUSY\tthe job log '%s' is in use by another program\n"):format(path), result.out)
    view:submit(math.abs, 1)
  end)

  it("in another folder's worker, and after its file has been replaced", function()
    local short = path:match("[^/]+$")
    local program = run.sh("realpath " .. run.parhost).out:gsub("\n", "")
    local result = run.sh(("cd /tmp && exec timeout 60 %s -e %s"):format(run.quote(program), run.quote(([[
      local pool <close> = require "proc_pool".new { max_workers = 1, cwd = "/" }
      local view = pool:with { joblog = %q }
      print(view:submit(math.abs, -1):result())
      os.rename(%q, %q .. ".old")
      print(view:submit(math.abs, -2):result())
      view = pool:with { joblog = %q }
      print(view:submit(math.abs, -3):result())]]):format(short, short, short, short))))
    assert.same({ out = "1\n2\n3\n", err = "", code = 0 }, result)
    assert.same({ -2, -1 }, keys_with(path .. ".old", "0/0"))
    assert.same({ -3 }, keys_with(path, "0/0"))
    os.remove(path .. ".old")
  end)
end)

describe("a key", function()
  local function unescape(text)
    local plain = { t = "\t", n = "\n", r = "\r", ["\\"] = "\\" }
    return (text:gsub("\\(x?)(%x?)(.)", function(x, high, low)
      if x == "" then return plain[high .. low] end
      return string.char(tonumber(high .. low, 16))
    end))
  end

  it("has one form in the file, which is text and can be undone", function()
    for given, expected in pairs {
      ["plain key.txt"] = "plain key.txt",
      ["a\tb\nc\rd\\e"] = "a\\tb\\nc\\rd\\\\e", ["\27[31m\0\127"] = "\\x1B[31m\\x00\\x7F",
      ["Zürich 中文"] = "Zürich 中文", ["\xff\xfe"] = "\\xFF\\xFE", ["a\xc3"] = "a\\xC3", ["\xc2\x9b1m"] = "\\xC2\\x9B1m",
      ["\xed\xa0\x80"] = "\\xED\\xA0\\x80", ["\\x41"] = "\\\\x41",
    } do
      assert.equal(expected, joblog.escape(given))
    end
    math.randomseed(20)
    for _ = 1, 2000 do
      local bytes = {}
      for i = 1, math.random(0, 12) do bytes[i] = math.random() < 0.3 and math.random(0xc0, 0xff) or math.random(0, 0xff) end
      local key = string.char(table.unpack(bytes))
      local text = joblog.escape(key)
      assert.is_nil(text:find "%c")
      assert.is_truthy(utf8.len(text))
      assert.equal(key, unescape(text))
    end
  end)

  it("is a text of the arguments, different for different ones", function()
    local text = joblog.text
    assert.equal('"a""b", 1, 1.0, true, nil', text('a"b', 1, 1.0, true, nil))
    assert.equal('{1, {2}, [5]=0.1, ["b"]={}, ["c"]="x"}', text { 1, { 2 }, [5] = 0.1, c = "x", b = {} })
    assert.equal("", text())
    assert.equal("0.1, 1e+300, inf, -0.0, -9223372036854775808", text(0.1, 1e300, math.huge, -0.0, math.mininteger))
    local seen = {}
    for _, args in ipairs { { "1" }, { 1 }, { 1.0 }, { "1", "2" }, { '1", "2' }, { { 1, 2 } }, { 1, 2 }, { { 1 }, 2 },
      { true }, { "true" },
      { { a = 1 } }, { { ["a]=1"] = 1 } }, { {} }, { "{}" }, { 0.1 }, { 0.1 + 2 ^ -55 }, { 1 << 62 }, { 2.0 ^ 62 } } do
      local key = text(table.unpack(args))
      assert.is_nil(seen[key], key)
      seen[key] = true
    end
    local loop = {}
    loop[1] = loop
    for _, value in ipairs { loop, setmetatable({}, {}), io.stdout, print, { [{}] = 1 } } do
      assert.matches("has no text that is the same in every run", raised_by(text, value))
    end
  end)
end)
