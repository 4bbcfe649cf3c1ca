-- SPDX-License-Identifier: MIT
-- In a program that had chosen a locale with decimal commas, numbers went to servers, and into the keys of job logs,
-- with them.
package.path = "tests/spec/?.lua;" .. package.path
local async = require "async"
local program = require "support.program"

local folder = os.tmpname()

describe("a number", function()
  local made

  setup(function()
    os.remove(folder)
    os.execute("mkdir " .. folder)
    made = os.execute(("localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >%s/said 2>&1"):format(folder, folder))
  end)
  teardown(function() async.run_process { "rm", "-rf", folder, check = true } end)

  it("has a decimal point in requests and job logs, whatever the locale", function()
    if not made then return pending "no sources of locales" end
    local out, err, code = program.run(([[
      assert(os.setlocale "de_DE.UTF-8")
      local url, headers = require "http.url", require "http.options"
      io.write(tostring(1.5), " ", url.encode_fields { x = 1.5 }, " ")
      io.write(headers.read_session { headers = { A = 1.5 } }.headers.a[1], " ")
      io.write(select(2, require "http.body".form { a = 1.5, f = { data = "" } }) and "form " or "")
      print(require "http.body".form { a = 1.5, f = { data = "" } }:match "\r\n\r\n(1.5)")
      local pool <close> = require "thread_pool".new(1)
      pool:with { joblog = "FOLDER/log" }:submit(math.abs, 1.5):result()
      print(io.open("FOLDER/log"):read "a":match "\t([^\t]*)\n$")]]):gsub("FOLDER", folder), "LOCPATH=" .. folder)
    assert.same({ "1,5 x=1.5 A: 1.5 form 1.5\n1.5\n", "", 0 }, { out, err, code })
  end)
end)
