-- SPDX-License-Identifier: MIT
-- --trace: what stands in the file, of programs that end.
package.path = "tests/spec/?.lua;" .. package.path
local run = require "support.run"
local servers = require "support.servers"
local traces = require "support.traces"

-- A program with a pool `pool`, made by the expression.
local function with_pool(expression, body)
  return ("local pool <close> = %s\n%s"):format(expression, body)
end

local SUMS <const> = [[
local function sum(n) local s = 0 for i = 1, n do s = s + i end return s end
local futures = {}
for i = 1, 20 do futures[i] = pool:submit(sum, 1000 * i) end
for _, f in ipairs(futures) do f:result() end
]]

local POOLS <const> = {
  ["of processes"] = 'require "proc_pool".new { max_workers = 2, name = "p" }',
  ["of threads"] = 'require "thread_pool".new { max_workers = 2, name = "p" }',
  ["of forked copies"] = 'require "proc_pool".new { max_workers = 2, name = "p", start_method = "fork" }',
  ["inline"] = 'require "proc_pool".new { max_workers = 2, name = "p", inline = true }',
}

describe("the trace of a pool", function()
  for kind, expression in pairs(POOLS) do
    it(kind .. " has every task once, where and when it ran", function()
      local trace, result = traces.of(with_pool(expression, SUMS))
      assert.same({ "", 0 }, { result.err, result.code })
      traces.check_arrows(trace)
      local seen, wall = {}, trace:one { name = "parhost_end" }.args.wall
      for _, e in ipairs(trace:tasks "sum") do
        local a = e.args
        assert.is_nil(seen[a.id])
        seen[a.id] = true
        assert.same({ "p", "done", trace.script .. ":2", trace.script .. ":4", 1 },
          { a.pool, a.state, a.fn, a.submitted, a.attempt })
        assert.is_true(a.wait >= 0 and e.dur > 0 and e.ts - a.wait >= 0 and e.ts + e.dur <= wall)
        assert.is_true(a["in"] > 0 and a.out > 0 and a.worker >= 1 and a.worker <= 2)
        assert.is_nil(a.chunk)
      end
      assert.equal(20, #seen)
    end)
  end

  it("names workers, and tells their lives", function()
    local trace = traces.of(with_pool(POOLS["of processes"], "pool:warm_up(2) pool:submit(os.exit, 4):outcome()"))
    local named = {}
    for _, e in ipairs(trace:all { ph = "M", name = "process_name" }) do named[e.pid] = e.args.name end
    local starts = trace:all { ph = "i", cat = "worker", name = "start" }
    for _, e in ipairs(starts) do assert.equal(("p/%d"):format(e.args.worker), named[e.pid]) end
    local exits = trace:all { ph = "i", cat = "worker", name = "exit" }
    assert.is_true(#starts >= 2 and #exits == #starts)
    assert.equal(1, #trace:all { ph = "i", name = "exit", args = { exit_code = 4 } })
    local open, close = trace:one { cat = "pool", name = "open" }, trace:one { cat = "pool", name = "close" }
    assert.same({ pool = "p", kind = "proc_pool", max_workers = 2 }, open.args)
    assert.same(open.args, close.args)
    local threads = traces.of(with_pool(POOLS["of threads"], "pool:submit(math.abs, 1):result()"))
    local start = threads:one { name = "start", args = { worker = 1 } }
    assert.equal("p/1", threads:one { name = "thread_name", tid = start.tid }.args.name)
    assert.is_true(start.tid ~= start.pid)
  end)

  it("has chunks as one event each", function()
    local trace = traces.of(with_pool(POOLS["of processes"], [[
      local function odd(x) if x % 2 == 0 then error("even " .. x) end return x end
      local it = pool:with { chunk_size = 5 }:map(odd, { 1, 2, 3, 4, 5, 7, 9 })
      for _ = 1, 7 do pcall(it.next, it) end]]))
    traces.check_arrows(trace)
    local first, second = trace:one { cat = "task", args = { chunk = 5 } }, trace:one { cat = "task", args = { chunk = 2 } }
    assert.same({ "failed", 2 }, { first.args.state, first.args.failed })
    assert.matches("even 2", first.args.error)
    assert.matches("stack traceback:", first.args.traceback)
    assert.same({ "done", 0 }, { second.args.state, second.args.failed })
    assert.is_true(first.args.out > second.args.out)
  end)

  it("has pools in workers", function()
    local trace = traces.of(with_pool(POOLS["of processes"], [[
      local function inner(x) return x end
      local function outer(module)
        local own <close> = require(module).new { max_workers = 1, name = "own " .. module }
        return own:submit(inner, 7):result()
      end
      for _, module in ipairs { "proc_pool", "thread_pool" } do assert(pool:submit(outer, module):result() == 7) end]]))
    traces.check_arrows(trace)
    for _, e in ipairs(trace:tasks "inner") do
      local s = trace:one { ph = "s", id = trace:one { ph = "f", pid = e.pid, ts = e.ts }.id }
      local around = trace:one { ph = "X", name = "outer", pid = s.pid, tid = s.tid, args = { id = s.tid and
        (e.args.pool == "own proc_pool" and 1 or 2) } }
      assert.is_true(around.ts <= e.ts and around.ts + around.dur >= e.ts + e.dur)
    end
    assert.equal(2, #trace:tasks "inner")
  end)

  it("counts what waits and what runs, and ends at nothing", function()
    local trace = traces.of(with_pool(POOLS["of processes"], [[
      local function busy() local t = os.clock() + 0.02 while os.clock() < t do end end
      local list = {}
      for i = 1, 6 do list[i] = pool:submit(busy) end
      for _, f in ipairs(list) do f:result() end]]))
    local counters, last, most = trace:all { ph = "C", name = "p" }, -1, 0
    for i, e in ipairs(counters) do -- the last is that of the pool's end
      assert.is_true(e.ts - last >= 1000 or last < 0 or i == #counters)
      last, most = e.ts, math.max(most, e.args.queued)
    end
    assert.is_true(most >= 2)
    assert.is_true(last <= trace:one { cat = "pool", name = "close" }.ts)
    assert.same({ queued = 0, running = 0 }, counters[#counters].args)
  end)
end)

describe("the end of a task", function()
  it("is failed, with its error and traceback", function()
    local trace = traces.of(with_pool(POOLS["of processes"], [[
      local function bad() error("oh no") end
      pool:submit(bad):outcome()
      pool:submit(function() error(setmetatable({}, { __tostring = function() return "told" end })) end):outcome()
      pool:submit(function() error(setmetatable({}, { __tostring = error })) end):outcome()
      pool:submit(function() return coroutine.create(print) end):outcome()]]))
    local e = trace:one { cat = "task", ph = "X", name = "bad" }
    assert.equal("failed", e.args.state)
    assert.matches(":2: oh no$", e.args.error)
    assert.matches("in function <.-:2>", e.args.traceback)
    trace:one { cat = "task", args = { state = "failed", error = "told" } }
    trace:one { cat = "task", args = { state = "failed", error = "(no text for the error value)" } }
    assert.equal(4, #trace:all { ph = "X", cat = "task", args = { state = "failed" } })
  end)

  it("is died when the worker goes, once for each attempt", function()
    local trace = traces.of(with_pool(POOLS["of processes"], [[
      local function die(how) os.execute("kill -" .. how .. " $PPID") while true do end end
      pool:submit(die, "KILL"):outcome()
      pool:with { retries = 1 }:submit(os.exit, 7):outcome()]]))
    traces.check_arrows(trace)
    local e = trace:one { ph = "X", name = "die" }
    assert.same({ "died", "the worker was ended by SIGKILL", 1 }, { e.args.state, e.args.error, e.args.attempt })
    assert.equal("p/1", trace:all { name = "process_name", pid = e.pid }[1].args.name)
    local exits = trace:all { ph = "X", name = "os.exit", args = { error = "the worker exited with code 7" } }
    assert.same({ 1, 2 }, { exits[1].args.attempt, exits[2].args.attempt })
    assert.equal(exits[1].args.id, exits[2].args.id)
    assert.equal(2, #exits)
    trace:one { name = "exit", pid = e.pid, args = { signal = "SIGKILL" } }
  end)

  it("is timeout or cancelled when it is stopped", function()
    for _, kind in ipairs { "of processes", "of threads" } do
      local trace = traces.of(with_pool(POOLS[kind], [[
        local function spin() while true do end end
        pool:with { timeout = 0.02, name = "late" }:submit(spin):outcome()
        local f = pool:submit(spin)
        while not f:running() do end
        f:cancel { force = true }
        f:outcome()]]))
      traces.check_arrows(trace)
      local e = trace:one { ph = "X", name = "late" }
      assert.equal("timeout", e.args.state)
      assert.is_true(e.dur >= 20000)
      assert.equal("cancelled", trace:one { ph = "X", name = "spin" }.args.state)
    end
  end)

  it("is told of what never ran", function()
    local trace = traces.of(with_pool('require "proc_pool".new { max_workers = 1, name = "p" }', [[
      local function spin() while true do end end
      local running = pool:submit(spin)
      while not running:running() do end
      local waiting = pool:with { name = "waits" }:submit(print)
      pool:with { deadline = require "parhost".monotonic() + 0.01, name = "dies" }:submit(print):outcome()
      waiting:cancel()
      running:cancel { force = true }
      running:outcome()]]))
    traces.check_arrows(trace)
    local e = trace:one { ph = "i", cat = "task", name = "waits" }
    assert.same({ "cancelled", "p", trace.script .. ":5" }, { e.args.state, e.args.pool, e.args.submitted })
    assert.equal("timeout", trace:one { ph = "i", cat = "task", name = "dies" }.args.state)
  end)

  it("of a thread that is given up comes once", function()
    local trace = traces.of(with_pool('require "thread_pool".new { max_workers = 1, name = "p" }', [[
      local f = pool:submit(os.execute, "sleep 0.3")
      while not f:running() do end
      f:cancel { force = true, grace = 0.01 }
      f:outcome()
      os.execute "sleep 0.5"]]))
    traces.check_arrows(trace)
    assert.equal("cancelled", trace:one { ph = "X", cat = "task" }.args.state)
  end)
end)

describe("hostile texts", function()
  it("are valid JSON all the same", function()
    local trace, result = traces.of(with_pool(POOLS["of processes"], [[
      local bytes = {}
      for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
      local all = table.concat(bytes)
      local function raise(x) error(x, 0) end
      pool:with { name = all }:submit(raise, all):outcome()
      pool:with { name = ("\u{20ac}"):rep(10000) }:submit(raise, ("\u{20ac}"):rep(10000)):outcome()
      pool:with { name = "\xed\xa0\x80\xc0\x80\xf5\x80\x80\x80\xe2\x82" }:submit(raise, "\0"):outcome()]]))
    assert.equal("", result.err)
    local failed = trace:all { ph = "X", cat = "task" }
    assert.equal(3, #failed)
    for _, e in ipairs(failed) do
      assert.is_true(#e.args.error <= 8192 * 3)
    end
    local all, long, broken = failed[1], failed[2], failed[3]
    local ascii = {}
    for i = 0, 127 do ascii[#ascii + 1] = string.char(i) end
    assert.equal(table.concat(ascii) .. ("\u{fffd}"):rep(128), all.name)
    assert.equal(all.name, all.args.error)
    assert.equal(("\u{20ac}"):rep(8192 // 3), long.args.error)
    assert.equal(("\u{fffd}"):rep(11), broken.name)
    assert.equal("\0", broken.args.error)
  end)
end)

describe("tasks on coroutines", function()
  it("have a beginning and an end each", function()
    local trace, result = traces.of [[
      local async = require "async"
      local function child(how)
        async.sleep(0.002)
        if how == "bad" then error("spoilt") end
        if how == "spin" then local t = os.clock() + 0.005 while os.clock() < t do end async.sleep(0.001) end
      end
      async.run(function()
        local tg <close> = async.task_group { on_error = "collect" }
        tg:with { name = "good" }:create_task(child)
        local b = tg:with { name = "spin" }:create_task(child, "spin")
        tg:with { name = "bad" }:create_task(child, "bad")
        local forever = tg:with { name = "stopped" }:create_task(async.sleep_forever)
        tg:with { name = "never" }:create_task(child):cancel()
        async.sleep(0.02)
        forever:cancel()
      end)]]
    assert.equal(1, result.code)
    assert.equal(6, traces.check_pairs(trace, "async"))
    local main = trace:one { ph = "b", cat = "async", name = "task-1" }
    local function ending(name) return trace:one { ph = "e", name = name }.args end
    assert.same({ "done", main.id, trace.script .. ":2", 2 },
      { ending "good".state, ending "good".parent, ending "good".at, ending "good".steps })
    assert.equal("failed", ending "bad".state)
    assert.matches("spoilt", ending "bad".error)
    assert.matches("in function <.-:2>", ending "bad".traceback)
    assert.same({ "cancelled", "cancelled", 0 }, { ending "stopped".state, ending "never".state, ending "never".steps })
    local step = trace:one { ph = "X", cat = "step", name = "spin" }
    assert.is_true(step.dur >= 5000 and ending "spin".cpu >= step.dur - 0.001)
    assert.equal(trace.script .. ":5", step.args.at)
    local counters = trace:all { ph = "C", name = "async" }
    assert.same({ tasks = 0, requests = 0 }, counters[#counters].args)
  end)

  it("and so have those in workers", function()
    for _, kind in ipairs { "of processes", "of threads" } do
      local trace = traces.of(with_pool(POOLS[kind], [[
        local function work()
          local async = require "async"
          async.run(function() async.gather { function() async.sleep(0.001) end, function() end } end)
        end
        for _ = 1, 2 do pool:submit(work):result() end]]))
      assert.equal(6, traces.check_pairs(trace, "async"))
      local task = trace:tasks "work"[1]
      assert.is_true(#trace:all { ph = "b", cat = "async", pid = task.pid, tid = task.tid } >= 3)
    end
  end)
end)

describe("requests", function()
  it("have a beginning, an end and their phases", function()
    local server <close> = servers.bad()
    local trace, result = traces.of(([[
      local async, http = require "async", require "http"
      local url = "%s"
      async.run(function()
        async.gather { function() http.get(url:gsub("//", "//user:secret@") .. "/echo?token=secret") end,
          function() pcall(http.get, "http://127.0.0.1:1/refused") end,
          function() pcall(http.get, url .. "/silent", { timeout = 0.05 }) end }
      end)
      http.post(url .. "/echo", { body = "x" })]]):format(server.url))
    assert.same({ "", 0 }, { result.err, result.code })
    assert.equal(4, traces.check_pairs(trace, "http"))
    local ok = trace:one { ph = "e", cat = "http", name = "GET " .. server.host .. "/echo" }.args
    assert.same({ "GET", server.url .. "/echo", 200 }, { ok.method, ok.url, ok.status })
    local sum = ok.dns + ok.connect + ok.tls + ok.send + ok.wait + ok.receive
    assert.is_true(sum > 0 and ok.bytes > 0)
    local refused = trace:one { ph = "e", name = "GET 127.0.0.1:1/refused" }.args
    assert.is_truthy(refused.error:find "[Cc]onnect")
    assert.equal(0, refused.status)
    assert.equal("cancelled", trace:one { ph = "e", name = "GET " .. server.host .. "/silent" }.args.error)
    trace:one { ph = "e", name = "POST " .. server.host .. "/echo" }
    local most = 0
    for _, e in ipairs(trace:all { ph = "C", name = "async" }) do most = math.max(most, e.args.requests) end
    assert.is_true(most >= 1)
    for _, e in ipairs(trace) do
      assert.is_nil((e.name or ""):find "secret")
      assert.is_nil(e.args and e.args.url and e.args.url:find "secret")
    end
  end)
end)

describe("other programs", function()
  it("have a beginning and an end", function()
    local trace = traces.of [[
      local async = require "async"
      async.run_process { "sh", "-c", "exit 3" }
      async.run_process { "sh", "-c", "kill -TERM $$" }]]
    assert.equal(2, traces.check_pairs(trace, "process"))
    local ends = trace:all { ph = "e", cat = "process", name = "sh" }
    assert.equal(3, ends[1].args.code)
    assert.equal("SIGTERM", ends[2].args.signal)
    assert.equal(ends[1].args.pid, trace:one { ph = "b", id = ends[1].id }.args.pid)
  end)
end)

describe("the program", function()
  it("says what it is, and how it ended", function()
    local trace = traces.of("print(...)", { arguments = "a 'b \"c'" })
    assert.equal("parhost", trace[1].name)
    local a = trace[1].args
    assert.same({ trace.script, "a", 'b "c' }, { a.script, a.argv[4], a.argv[5] })
    assert.is_true(a.cpus >= 1 and math.abs(a.start - os.time()) < 60)
    local begin, ending = trace:one { ph = "B", cat = "main" }, trace:one { ph = "E" }
    assert.same({ trace.script, 0, begin.pid, begin.pid }, { begin.name, begin.ts, begin.tid, ending.tid })
    local last = trace[#trace]
    assert.same({ "parhost_end", 0 }, { last.name, last.args.exit_code })
    assert.is_true(last.args.wall >= ending.ts and last.args.cpu > 0)
  end)

  it("ends its trace whatever it ends with", function()
    local rows = {
      { "error 'x'", 1, 1 }, { "os.exit(5)", 5, 5 }, { "os.exit(6, true)", 6, 6 },
      { "os.execute('kill -TERM $PPID') while true do end", 143, 143 },
      { "require('proc_pool').new(1):submit(os.exit, 2) os.exit(7)", 7, 7 },
    }
    for _, row in ipairs(rows) do
      local trace, result = traces.of(row[1])
      assert.same({ row[2], row[3] }, { result.code, trace[#trace].args.exit_code }, row[1])
    end
  end)

  it("is told by the environment, which goes no further", function()
    local path = os.tmpname()
    local script = run.write [[
      print(os.getenv "PARHOST_TRACE")
      print(require "proc_pool".new(1):submit(os.getenv, "PARHOST_TRACE"):result())]]
    local result = run.sh(("PARHOST_TRACE=%s %s %s"):format(path, run.parhost, script))
    assert.same({ "nil\nnil\n", "" }, { result.out, result.err })
    assert.equal(1, #traces.parse(traces.slurp(path)):tasks "os.getenv")
    os.remove(path)
    run.sh(("PARHOST_TRACE=%s %s -E %s"):format(path, run.parhost, script))
    assert.is_nil(traces.slurp(path))
    run.sh(("PARHOST_TRACE= %s %s"):format(run.parhost, script))
    os.remove(script)
  end)

  it("does not start when the file cannot be made", function()
    local result = run.sh(run.parhost .. " --trace /nowhere/x.json -e 'print(1)'")
    assert.same({ "", "parhost: cannot write the trace '/nowhere/x.json': No such file or directory\n", 1 },
      { result.out, result.err, result.code })
    for _, text in ipairs { "--trace", "--trace --stats", "--tracer x", "--stats=xml" } do
      assert.equal(1, run.sh(("%s %s"):format(run.parhost, text)).code, text)
    end
  end)

  it("goes on when the disk is full, with one warning", function()
    local result = run.sh(run.parhost .. [[ --trace /dev/full -e '
      local pool <close> = require "proc_pool".new(2)
      for i, v in pool:map(math.abs, { -1, -2, -3 }) do io.write(v, " ") end']])
    assert.same({ "1 2 3 ", "Lua warning: parhost: the trace /dev/full is not complete: No space left on device\n", 0 },
      { result.out, result.err, result.code })
  end)
end)
