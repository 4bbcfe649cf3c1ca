-- SPDX-License-Identifier: MIT
-- `parhost report`: what it takes, what it writes, what it says. How the page behaves is in report_browser_spec.lua.
package.path = "tests/spec/?.lua;" .. package.path
local host = require "parhost.core.host"
local run = require "support.run"
local stage = require "support.stage"
local trace_file = require "support.trace_file"

local program = run.quote(host.program_path())

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

describe("parhost report", function()
  local folder

  before_each(function() folder = stage.folder() end)
  after_each(function() stage.remove(folder) end)

  local function report(arguments)
    return run.sh(("cd %s && exec %s report %s"):format(folder, program, arguments))
  end

  local function report_of(text, arguments)
    write(folder .. "/t.json", text)
    return report(arguments or "t.json")
  end

  it("writes a page beside the trace, or where it is told to", function()
    local text = trace_file.text { trace_file.task {} }
    local result = report_of(text)
    assert.same({ out = "parhost: report: t.html: written (3 events)\n", err = "", code = 0 }, result)
    local page = read(folder .. "/t.html")
    assert.match("^<!DOCTYPE html>", page)
    assert.match("</html>%s*$", page)
    assert.equal(0, report("t.json -o other.html").code)
    assert.equal(#page, #read(folder .. "/other.html"))
    assert.equal(0, report("-oother2.html t.json").code)
    local printed = report("-o - t.json")
    assert.equal(#page, #printed.out)
    assert.equal("", printed.err)
  end)

  it("is one file that asks for nothing", function()
    report_of(trace_file.text { trace_file.task {} })
    local page = read(folder .. "/t.html")
    for _, pattern in ipairs {
      "<script[^>]* src=", "<link[^>]*href=\"[^d]", "@import", "url%(", "fetch%(", "XMLHttpRequest",
    } do
      assert.is_nil(page:find(pattern), pattern)
    end
    assert.match("connect%-src 'none'", page)
    assert.match("Copyright %(c%) 2022 Leon Sorokin", page)
  end)

  it("lets scripts run only with a number that is drawn for each page", function()
    local text = trace_file.text {}
    local nonce = report_of(text, "-o - t.json").out:match("script%-src 'nonce%-(%x+)'")
    assert.equal(32, #nonce)
    assert.not_equal(nonce, report("-o - t.json").out:match("script%-src 'nonce%-(%x+)'"))
  end)

  it("lets nothing in a trace become markup", function()
    local evil = "</script><script>alert(1)</script><!--<img src=x onerror=alert(1)>"
    report_of(trace_file.text {
      trace_file.task({ name = evil }, { error = evil, traceback = evil, state = "failed", fn = evil, pool = evil }),
      evil .. "\n",
    })
    local page = read(folder .. "/t.html")
    assert.is_nil(page:find("<script>alert", 1, true))
    assert.is_nil(page:find("<img", 1, true))
    assert.match('\\u003c/script>\\u003cscript>alert', page)
    local _, scripts = page:gsub("<script", "")
    local _, ends = page:gsub("</script>", "")
    assert.equal(scripts, ends)
  end)

  it("leaves out what the page does not need, but for what was submitted and has no end", function()
    local args = { pool = "p", task = 1 }
    local submit = { ph = "s", cat = "submit", ts = 80, id = 7, pid = 1, tid = 1, name = "seven", args = args }
    local start = { ph = "f", cat = "submit", ts = 90, id = 7, pid = 2, tid = 2, name = "seven" }
    local page = report_of(trace_file.text { submit, start, trace_file.task {} }, "-o - t.json").out
    assert.is_nil(page:find("seven", 1, true))
    page = report_of(trace_file.text({ trace_file.task {}, submit }, true), "-o - t.json").out
    assert.match("seven", page)
  end)

  it("says that a run was killed, and what was torn or is no event", function()
    local result = report_of(trace_file.text({ trace_file.task {}, "oops\n", '{"ph":"X","na' }, true))
    assert.equal(0, result.code)
    assert.equal("parhost: report: t.json: has no end: the program was killed, or still runs\n"
      .. "parhost: report: t.json: its last line is torn, and left out\n"
      .. "parhost: report: t.json: 1 lines that are no events are left out\n", result.err)
    assert.match("&quot;torn&quot;:true", read(folder .. "/t.html"))
  end)

  it("says what it leaves out of a trace that is too big", function()
    local events = {}
    for i = 1, 20 do events[i] = trace_file.task({ ts = i * 10, dur = 5 }, { state = i == 20 and "failed" or "done" }) end
    write(folder .. "/t.json", trace_file.text(events))
    local report_module = host.load_built_in("cli.report")()
    local notes = report_module.write(folder .. "/t.json", folder .. "/t.html", { events = 10 })
    assert.same({ 22, 10, 100 }, { notes.events, notes.left_out, notes.left_out_from })
    local page = read(folder .. "/t.html")
    assert.match('"ts":200', page) -- it failed
    assert.match('"parhost_end"', page)
    assert.is_nil(page:find('"ts":190', 1, true))
    assert.match("&quot;left_out&quot;:10", page)
  end)

  describe("has a clear error for", function()
    local function fails(message, arguments)
      local result = report(arguments)
      assert.same({ "", "parhost: report: " .. message .. "\n", 1 }, { result.out, result.err, result.code })
    end

    it("what is no trace", function()
      for _, text in ipairs { "{}", "[\n{}\n]\n", "hello\n", "[\nnonsense\n", '{"traceEvents":[]}\n' } do
        write(folder .. "/t.json", text)
        fails("t.json: is not a trace of parhost", "t.json")
      end
      assert.is_nil(io.open(folder .. "/t.html"))
      assert.is_nil(io.open(folder .. "/t.html.new"))
    end)

    it("no file, an empty one, a directory", function()
      write(folder .. "/empty.json", "")
      write(folder .. "/begun.json", "[\n")
      fails("begun.json: has no events", "begun.json")
      fails("missing.json: No such file or directory", "missing.json")
      fails("empty.json: is empty", "empty.json")
      fails(".: Is a directory", ".")
    end)

    it("a place that cannot be written to, and keeps what stands there", function()
      write(folder .. "/t.json", trace_file.text {})
      fails("no/where.html.new: No such file or directory", "t.json -o no/where.html")
      fails("t.json: is the trace itself", "t.json -o t.json")
      write(folder .. "/old.html", "old")
      fails("x.json: No such file or directory", "x.json -o old.html")
      assert.equal("old", read(folder .. "/old.html"))
      fails("/dev/full: No space left on device", "t.json -o /dev/full")
    end)

    it("wrong arguments", function()
      fails("a trace's name is expected (see parhost report --help)", "")
      fails("one trace expected, got 'a' and 'b'", "a b")
      fails("unrecognized option '-x' (see parhost report --help)", "-x")
      fails("'-o' needs a file's name", "a -o")
    end)
  end)

  it("tells its options", function()
    local result = report("--help")
    assert.match("^usage: parhost report", result.out)
    assert.equal(0, result.code)
  end)
end)
