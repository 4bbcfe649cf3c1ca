-- SPDX-License-Identifier: MIT
-- `--dashboard`: whom its server answers, what it sends, and that it ends with the program. What the page makes of it is in
-- dashboard_browser_spec.lua.
package.path = "tests/spec/?.lua;" .. package.path
local http = require "http"
local hostile = require "support.hostile"
local run = require "support.run"
local world = require "support.world"

local WAIT <const> = "ready() io.read()"
local READER <const> = [[
  local stream = require "http".get(os.getenv "URL", { stream = true, timeout = 30 })
  print "reads"
  for chunk in stream:chunks() do io.write(chunk) end
]]

-- A program that runs until it gets a line, and the address of its dashboard.
local function start(options)
  local fifo = os.tmpname()
  os.remove(fifo)
  assert(os.execute("mkfifo " .. fifo))
  local program = world.start { text = WAIT, stdin = fifo, options = options or { "--dashboard" } }
  local keeper = assert(io.open(fifo, "w"))
  os.remove(fifo)
  program:await_ready()
  local file <close> = assert(io.open(program.folder .. "/err"))
  local port, token = file:read("l"):match("^parhost: dashboard: http://127%.0%.0%.1:(%d+)/(%x+)/$")
  return { program = program, keeper = keeper, port = port, token = token, host = "127.0.0.1:" .. port,
    url = ("http://127.0.0.1:%s/%s/"):format(port, token) }
end

local function tell_to_end(d)
  if io.type(d.keeper) ~= "file" then return end
  d.keeper:write("\n")
  d.keeper:close()
end

-- The program's end: nothing is left.
local function finish(d)
  tell_to_end(d)
  local result = d.program:finish()
  assert.same({ 0, "" }, { result.code, result.left })
  return result
end

local function status(url, options)
  options = options or {}
  options.url, options.timeout = url, 10
  return http.request(options).status
end

-- The beginning of the stream, up to what matches the pattern. on_begin: called when there is some of it.
local function stream(d, pattern, headers, on_begin)
  local text = ""
  for chunk in http.get(d.url .. "events", { stream = true, timeout = 30, headers = headers }):chunks() do
    if text == "" and on_begin then on_begin(d) end
    text = text .. chunk
    if text:find(pattern) then return text end
  end
  return text
end

local trial = run.sh(run.parhost .. " --dashboard -e ''")
if trial.code ~= 0 then
  pending(trial.err)
  return
end

describe("the dashboard", function()
  it("is told on stderr, with 128 bits that are drawn anew", function()
    local one, two = start(), start()
    assert.equal(32, #one.token)
    assert.not_equal(one.token, two.token)
    finish(one)
    finish(two)
  end)

  it("gives its page to who knows the token", function()
    local d <close> = setmetatable(start(), { __close = finish })
    local response = http.get(d.url, { timeout = 10 })
    assert.equal(200, response.status)
    assert.match("^text/html", response.headers["content-type"])
    assert.match("data%-feed=\"events\"", response.body)
    assert.match("connect%-src 'self'", response.body)
    assert.equal("no-store", response.headers["cache-control"])
    assert.equal("no-referrer", response.headers["referrer-policy"])
    assert.equal("nosniff", response.headers["x-content-type-options"])
    assert.match("frame%-ancestors 'none'", response.headers["content-security-policy"])
    assert.is_nil(response.headers["access-control-allow-origin"])
    assert.equal(200, status(("http://localhost:%s/%s/"):format(d.port, d.token)))
  end)

  it("answers nobody else", function()
    local d <close> = setmetatable(start(), { __close = finish })
    local base = "http://" .. d.host
    for _, path in ipairs {
      "/", "/" .. d.token, "/" .. d.token .. "/other", "/" .. d.token .. "x/", "/" .. d.token:sub(1, 31) .. "/",
      "/" .. ("0"):rep(32) .. "/", "/events", "//" .. d.token .. "/", "/favicon.ico", "/" .. d.token .. "/../x",
    } do
      assert.equal(404, status(base .. path), path)
    end
    for _, host in ipairs {
      "evil.example:" .. d.port, "127.0.0.1", "127.0.0.1:1", "localhost", "127.0.0.1.evil.example:" .. d.port,
    } do
      assert.equal(403, status(d.url, { headers = { Host = host } }), host)
      assert.equal(403, status(d.url .. "events", { headers = { Host = host } }), host)
    end
    assert.equal(403, status(d.url, { headers = { Origin = "http://evil.example" } }))
    assert.equal(200, status(d.url, { headers = { Origin = "http://" .. d.host } }))
    for _, method in ipairs { "POST", "PUT", "DELETE", "OPTIONS", "HEAD" } do
      local body = (method == "POST" or method == "PUT") and "x" or nil
      assert.equal(405, status(d.url, { method = method, body = body }), method)
    end
  end)

  it("listens on the loopback interface alone", function()
    local d <close> = setmetatable(start(), { __close = finish })
    local found = {}
    for _, name in ipairs { "tcp", "tcp6" } do
      local file <close> = io.open("/proc/net/" .. name)
      for line in file and file:lines() or function() end do
        local address, port, state = line:match("^%s*%d+: (%x+):(%x+) %x+:%x+ (%x+)")
        if state == "0A" and tonumber(port, 16) == tonumber(d.port) then found[#found + 1] = address end
      end
    end
    assert.same({ "0100007F" }, found)
  end)

  it("sends the trace from its beginning, and goes on where a client was", function()
    local d <close> = setmetatable(start(), { __close = finish })
    local text = stream(d, "\nid: %d+\n\n")
    assert.match("data: %[\n", text)
    assert.match('data: {"ph":"M".-"name":"parhost"', text)
    local place = text:match("\nid: (%d+)\n\n")
    local rest = stream(d, "event: ended", { ["Last-Event-ID"] = place }, tell_to_end)
    assert.is_nil(rest:find('"name":"parhost",', 1, true))
    assert.match('"name":"parhost_end"', rest)
    assert.match("event: ended\ndata: .\n\n$", rest)
  end)

  it("uses the port that it is given, and says when it cannot", function()
    local d = start()
    local taken = run.sh(("%s --dashboard=%s -e 'print(1)'"):format(run.parhost, d.port))
    assert.same({ "", ("parhost: --dashboard: cannot listen at 127.0.0.1:%s: Address already in use\n"):format(d.port), 1 },
      { taken.out, taken.err, taken.code })
    finish(d)
    local again = start { "--dashboard=" .. d.port }
    assert.equal(d.port, again.port)
    finish(again)
    for _, port in ipairs { "x", "", "-1", "65536", "1.5" } do
      local result = run.sh(("%s --dashboard=%s -e 'print(1)'"):format(run.parhost, port))
      assert.same({ "", ("parhost: --dashboard: a port expected (0 to 65535), got '%s'\n"):format(port), 1 },
        { result.out, result.err, result.code })
    end
  end)

  it("needs a trace that can be read", function()
    local result = run.sh(("%s --trace /dev/stdout --dashboard -e 'print(1)' | cat >/dev/null"):format(run.parhost))
    assert.match("^parhost: %-%-dashboard: the trace cannot be read: a regular file is needed\n", result.err)
  end)

  it("leaves the program's exit code and output alone", function()
    local result = run.sh(run.parhost .. " --dashboard -e 'io.write(\"x\") os.exit(7)'")
    assert.same({ "x", 7 }, { result.out, result.code })
    assert.match("^parhost: dashboard: [^\n]+\n$", result.err)
  end)

  it("ends with the program, whatever ends that", function()
    for _, name in ipairs { "TERM", "KILL", "HUP" } do
      local d = start()
      d.program:kill(name)
      local result = d.program:finish()
      d.keeper:close()
      assert.same({ name, true, "" }, { name, result.code < 0, result.left })
    end
  end)

  it("is not met by Ctrl-C, and does not change what that does", function()
    local d = start()
    d.program:await_asleep()
    d.program:kill_group "INT"
    local result = d.program:finish()
    d.keeper:close()
    assert.same({ -2, "" }, { result.code, result.left })
  end)

  it("does not end with a copy of the program", function()
    local result = world.run {
      options = { "--dashboard" },
      text = hostile.prelude .. [[
        local crash = require "crash"
        local pid = crash.fork()
        if pid == 0 then return end
        crash.wait(pid)
        local url = io.open((os.getenv "READY":gsub("ready$", "err"))):read("a"):match("http%S+")
        print(require "http".get(url, { timeout = 10 }).status)]],
    }
    assert.same({ "200\n", 0, "" }, { result.out, result.code, result.left })
  end)

  it("ends also while clients read", function()
    local d = start()
    local reader <close> = assert(io.popen(("URL=%sevents %s -e '%s'"):format(d.url, run.parhost, READER)))
    assert.equal("reads", reader:read("l"))
    finish(d)
    assert.match("event: ended\ndata: .\n\n$", reader:read("a"))
  end)
end)
