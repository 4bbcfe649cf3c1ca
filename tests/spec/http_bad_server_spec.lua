-- SPDX-License-Identifier: MIT
-- http against a server that misbehaves, and what requests look like on the wire.
package.path = "tests/spec/?.lua;" .. package.path
local contexts = require "support.contexts"
local futures = require "futures"
local gate = require "support.gate"
local http = require "http"
local parhost = require "parhost"
local servers = require "support.servers"
local tasks = require "support.http_tasks"

local LONG <const> = 30 -- seconds: a limit that nothing here reaches

local function failure(...)
  local ok, err = pcall(...)
  assert.is_false(ok)
  assert.is_true(futures.is(err, "http"), tostring(err))
  return err
end

local function misuse(...)
  local ok, err = pcall(...)
  assert.is_false(ok)
  assert.equal("string", type(err), tostring(err))
  return (err:gsub("^.-%.lua:%d+: ", ""))
end

describe("http and a bad server", function()
  local server
  local other <const> = { headers = { Authorization = "mine", Cookie = "a=b", ["X-Api-Key"] = "k", ["X-Kind"] = "x" } }

  setup(function() server = servers.bad() end)
  teardown(function() server:stop() end)

  local function url(path) return server.url .. path end
  local function echo(method, options) return http[method](url "/echo", options):json() end

  local function header(seen, name)
    for _, pair in ipairs(seen.headers) do
      if pair[1]:lower() == name:lower() then return pair[2] end
    end
    return nil
  end

  it("IO-17 times out in task, thread, process and plain code", function()
    contexts.each(function(name, call)
      local ok, seconds, err = call(tasks.failure, url "/silent", { timeout = 0.5 })
      assert.is_true(ok, name)
      assert.is_true(seconds >= 0.5 and seconds < 3, name)
      assert.equal("timeout", err.code, name)
      assert.equal(28, err.curl, name)
      assert.equal(0.5, err.seconds)
      assert.equal(url "/silent", err.url)
      assert.equal(("GET %s: timed out after 0.5 s while waiting for the response"):format(url "/silent"), err.message)
    end)
  end)

  it("times out in every phase", function()
    local cases = {
      { server.full_url, "connecting" },
      { server.tls_url, "connecting" },
      { url "/silent", "waiting for the response" },
      { url "/drip", "receiving the body" },
      { url "/slow-body", "sending the request", { body = ("x"):rep(20000000) } },
    }
    for _, case in ipairs(cases) do
      local options = case[3] or {}
      options.timeout = 0.3
      local err = failure(case[3] and http.post or http.get, case[1], options)
      assert.equal("timeout", err.code)
      assert.equal(case[2], err.message:match("while (.*)$"))
    end
    assert.equal("timeout", failure(http.get, server.full_url, { connect_timeout = 0.2, timeout = LONG }).code)
    assert.equal("timeout", failure(http.get, url "/drip", { low_speed = { 1000, 1 }, timeout = LONG }).code)
    assert.equal("timeout", failure(http.get, url "/echo", { timeout = 0 }).code)
    assert.equal("timeout", failure(http.get, url "/echo", { timeout = -1 }).code)
    local response = http.get(url "/drip", { stream = true, timeout = 0.3 })
    assert.equal("timeout", failure(response.read, response).code)
  end)

  it("names what the server does wrong", function()
    local cases = {
      ["/reset"] = "receive", ["/short"] = "incomplete", ["/close"] = "closed", ["/garbage"] = "bad_response",
      ["/bad-chunks"] = "bad_response", ["/cut-chunks"] = "incomplete", ["/endless-headers"] = "bad_response",
      ["/endless-interim"] = "bad_response",
    }
    for path, code in pairs(cases) do
      local err = failure(http.get, url(path), { timeout = LONG })
      assert.equal(code, err.code, path .. ": " .. tostring(err))
      assert.equal(url(path), err.url)
    end
    assert.equal("0123456789", http.get(url "/long").body)
    assert.equal("until the end", http.get(url "/no-length", { http_version = "1.0" }).body)
    assert.equal(200, http.get(url "/echo").status)
  end)

  it("fails at once where there is nobody", function()
    local cases = {
      ["http://127.0.0.1:1/"] = { "connect", 7 }, ["http://host.invalid/"] = { "resolve", 6 },
      ["http://127.0.0.1:99999/"] = { "url", 3 }, ["not a url"] = { "url", 3 }, ["http://"] = { "url", 3 },
      ["example.com/x"] = { "url", 3 }, [""] = { "url", 3 }, ["ftp://127.0.0.1/"] = { "protocol", 1 },
      ["file:///etc/passwd"] = { "protocol", 1 }, ["gopher://127.0.0.1/"] = { "protocol", 1 },
    }
    for address, expected in pairs(cases) do
      local err = failure(http.get, address, { timeout = LONG })
      assert.same(expected, { err.code, err.curl }, address)
      assert.equal(address, err.url)
    end
    local odd = {
      ["http://127.0.0.1\\@example.com/"] = "a backslash before the path", ["http://a b/"] = "Bad hostname",
      ["http://m\xc3\xbcller.example/"] = "names of hosts beyond ASCII are written in their xn-- form",
    }
    for address, text in pairs(odd) do assert.matches(text, failure(http.get, address).message, 1, true) end
    assert.equal("/echo?a+b", http.get(url "/echo?a b#c d"):json().target)
    assert.matches("https:// or http://", failure(http.get, "example.com/x").message, 1, true)
    assert.matches("'file' URLs are not allowed (http, https)", failure(http.get, "file:///x").message, 1, true)
  end)

  it("takes the protocols that it is told to", function()
    assert.equal("protocol", failure(http.get, url "/echo", { protocols = { "https" } }).code)
    assert.equal(200, http.get(url "/echo", { protocols = { "http" } }).status)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write("from a file")
    file:close()
    assert.equal("from a file", http.get("file://" .. path, { protocols = { "file" } }).body)
    os.remove(path)
    local err = failure(http.get, url "/redirect?to=file%3A///etc/passwd", { protocols = { "http", "file" } })
    assert.equal("protocol", err.code)
  end)

  it("IO-19 keeps redirects in bounds", function()
    local err = failure(http.get, url "/loop", { timeout = LONG })
    assert.equal("too_many_redirects", err.code)
    assert.matches("more than 20 redirects", err.message, 1, true)
    err = failure(http.get, url "/redirect?to=file%3A///etc/passwd")
    assert.equal("protocol", err.code)
    assert.equal("file:///etc/passwd", err.url)
    assert.equal("url", failure(http.get, url "/redirect?to=http%3A//").code)
    assert.equal("GET", http.get(url "/redirect-endless", { timeout = LONG }):json().method)
    local stream = http.get(url "/redirect?to=/echo", { stream = true })
    assert.equal("/echo", stream:json().target)
    assert.equal(1, #stream.history)
  end)

  it("changes the method on redirects as browsers do", function()
    local cases = {
      { 301, "POST", "GET" }, { 302, "POST", "GET" }, { 303, "POST", "GET" }, { 307, "POST", "POST" },
      { 308, "POST", "POST" }, { 301, "PUT", "PUT" }, { 303, "PUT", "GET" }, { 303, "DELETE", "GET" },
    }
    for _, case in ipairs(cases) do
      local code, before, after = table.unpack(case)
      local seen = http.request {
        method = before, url = url("/redirect?to=/echo&code=" .. code), body = "text",
        headers = { ["Content-Type"] = "a/b" },
      }:json()
      assert.equal(after, seen.method, code)
      assert.equal(after == "GET" and "" or "text", seen.body)
      assert.equal(after ~= "GET" and "a/b" or nil, header(seen, "Content-Type"))
    end
  end)

  it("sends no secrets to another host", function()
    local function after_redirect(to)
      return http.get(url "/redirect?to=" .. to .. "/echo", { auth = other.auth, headers = other.headers }):json()
    end
    local seen = after_redirect ""
    assert.equal("mine", header(seen, "Authorization"))
    assert.equal("a=b", header(seen, "Cookie"))
    seen = after_redirect(server.other_url)
    assert.equal(server.other_host, header(seen, "Host"))
    for _, name in ipairs { "Authorization", "Cookie", "X-Api-Key" } do assert.is_nil(header(seen, name), name) end
    assert.equal("x", header(seen, "X-Kind"))
    for _, auth in ipairs { { "me", "secret" }, { bearer = "secret" } } do
      local response = http.get(url("/redirect?to=" .. server.other_url .. "/echo"), { auth = auth })
      assert.is_nil(header(response:json(), "Authorization"))
      assert.is_truthy(header(echo("get", { auth = auth }), "Authorization"))
    end
    seen = http.get((url("/redirect?to=" .. server.other_url .. "/echo"):gsub("//", "//me:secret@", 1))):json()
    assert.is_nil(header(seen, "Authorization"))
  end)

  it("shows no passwords in errors", function()
    local err = failure(http.get, "http://me:secret@127.0.0.1:1/x")
    assert.is_nil(tostring(err):find("secret", 1, true))
    assert.equal("http://127.0.0.1:1/x", err.url)
    err = failure(http.get, "http://me:se@cret@127.0.0.1:99999/x")
    assert.is_nil(tostring(err):find("cret", 1, true))
    assert.equal("http://***@127.0.0.1:99999/x", err.url)
    err = failure(http.get, "ftp://me:secret@127.0.0.1/")
    assert.is_nil(tostring(err):find("secret", 1, true))
    err = failure(http.get, url "/redirect?to=ftp%3A//me%3Asecret%40127.0.0.1/")
    assert.is_nil(tostring(err):find(":secret", 1, true), tostring(err))
  end)

  it("sends what it is told", function()
    local seen = echo("get", { headers = { ["X-One"] = "1", ["X-Many"] = { "a", "b" }, ["X-N"] = 5, ["X-Empty"] = "" } })
    assert.equal("GET", seen.method)
    assert.equal("1", header(seen, "X-One"))
    assert.equal("5", header(seen, "X-N"))
    assert.equal("", header(seen, "X-Empty"))
    local many = {}
    for _, pair in ipairs(seen.headers) do
      if pair[1] == "X-Many" then many[#many + 1] = pair[2] end
    end
    assert.same({ "a", "b" }, many)
    assert.equal("parhost/" .. parhost.version, header(seen, "User-Agent"))
    assert.equal("mine", header(echo("get", { headers = { ["User-Agent"] = "mine" } }), "User-Agent"))

    for _, method in ipairs { "post", "put", "patch", "delete" } do
      seen = echo(method, { body = "a\0b" })
      assert.equal(method:upper(), seen.method)
      assert.equal("a\0b", seen.body)
      assert.is_nil(header(seen, "Content-Type"))
      assert.is_nil(header(seen, "Expect"))
    end
    seen = echo("post")
    assert.equal("0", header(seen, "Content-Length"))
    assert.is_nil(header(seen, "Content-Type"))
    seen = echo("post", { body = ("x"):rep(3000000), timeout = LONG })
    assert.equal(3000000, #seen.body)
    assert.equal("SEARCH", http.request({ method = "search", url = url "/echo" }):json().method)
    assert.equal("", http.head(url "/echo").body)
    assert.equal("Bearer t", header(echo("get", { auth = { bearer = "t" } }), "Authorization"))
  end)

  it("sends the headers of its session, unless told otherwise", function()
    local session <close> = http.session { headers = { ["X-Own"] = "1", ["X-Two"] = "2" }, auth = { bearer = "t" } }
    local seen = session:get(url "/echo"):json()
    assert.same({ "1", "2", "Bearer t" }, { header(seen, "x-own"), header(seen, "x-two"), header(seen, "Authorization") })
    local own = { ["x-own"] = false, ["X-TWO"] = "own", ["User-Agent"] = false, Accept = false }
    seen = session:post(url "/echo", { headers = own, body = "x" }):json()
    assert.equal("own", header(seen, "X-Two"))
    for _, name in ipairs { "X-Own", "User-Agent", "Accept" } do assert.is_nil(header(seen, name), name) end
  end)

  it("answers a digest challenge", function()
    for _, stream in ipairs { false, true } do
      local seen = http.get(url "/digest", { auth = { "me", "secret", digest = true }, stream = stream }):json()
      assert.matches("^Digest username=\"me\"", header(seen, "Authorization"))
    end
    assert.equal(401, http.get(url "/digest").status)
  end)

  it("goes through a proxy", function()
    local seen = http.get("http://host.invalid/echo", { proxy = server.url }):json()
    assert.equal("http://host.invalid/echo", seen.target)
    assert.equal("host.invalid", header(seen, "Host"))
    local err = failure(http.get, "http://host.invalid/echo", { proxy = "http://me:secret@proxy.invalid:1" })
    assert.equal("resolve", err.code)
    assert.is_nil(tostring(err):find("secret", 1, true))
  end)

  it("sends JSON", function()
    local function sent(value)
      local seen = echo("post", { json = value })
      assert.equal("application/json", header(seen, "Content-Type"))
      return seen.body
    end
    assert.equal('{"a":[1,2.5,"x"],"b":null,"c":{}}', sent { a = { 1, 2.5, "x" }, b = http.null, c = {} })
    assert.equal("[]", sent(http.array()))
    assert.equal("[[]]", sent { http.array {} })
    assert.equal("9223372036854775807", sent(math.maxinteger))
    assert.equal('"\\u0000"', sent "\0")
    assert.equal("false", sent(false))
    assert.equal('{"1":1,"3":3}', sent { [1] = 1, [3] = 3 })
    assert.equal("vnd/x", header(echo("post", { json = 1, headers = { ["content-type"] = "vnd/x" } }), "Content-Type"))
    local loop = {}
    loop.loop = loop
    local cases = {
      { { a = { 1, { b = print } } }, "'a[2].b': a function is not JSON" },
      { 0 / 0, "NaN and infinity are not JSON" },
      { "\xff", "a string that is not valid UTF-8" },
      { { [{}] = 1 }, "keys of JSON objects are strings and numbers" },
      { loop, "nested too deeply, or in itself" },
      { { ["\xff"] = 1 }, "a key that is not valid UTF-8" },
    }
    for _, case in ipairs(cases) do
      local text = misuse(http.post, url "/echo", { json = case[1] })
      assert.matches("bad argument #2 to 'post' (option 'json': ", text, 1, true)
      assert.matches(case[2], text, 1, true)
    end
  end)

  it("sends forms and parameters", function()
    local seen = echo("post", { form = { a = 1, b = { "x y", "&" }, ["ü"] = true } })
    assert.equal("a=1&b=x+y&b=%26&%C3%BC=true", seen.body)
    assert.equal("application/x-www-form-urlencoded", header(seen, "Content-Type"))
    seen = echo("post", { form = { { "z", "1" }, { "a", "2" } } })
    assert.equal("z=1&a=2", seen.body)
    assert.equal("/echo?a=1&b=%2F", echo("get", { params = { b = "/", a = 1 } }).target)
    assert.equal("/echo?x=1&a=2", http.get(url "/echo?x=1#part", { params = { a = 2 } }):json().target)
    assert.equal("/echo?raw", http.get(url "/echo", { params = "raw" }):json().target)
    assert.equal("/echo", http.get(url "/echo", { params = {} }):json().target)
    assert.equal("/echo?q=a%20b", http.get(url "/echo?q=a b"):json().target:gsub("+", "%%20"))

    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write("contents")
    file:close()
    seen = echo("post", { form = {
      a = "1", f = { path = path, content_type = "text/plain" }, g = { data = "x", filename = 'n"' },
    } })
    local mark = header(seen, "Content-Type"):match("^multipart/form%-data; boundary=(.+)$")
    local expected = ("--M\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--M\r\nContent-Disposition: form-data; "
      .. "name=\"f\"; filename=\"F\"\r\nContent-Type: text/plain\r\n\r\ncontents\r\n--M\r\nContent-Disposition: form-data; "
      .. "name=\"g\"; filename=\"n%22\"\r\nContent-Type: application/octet-stream\r\n\r\nx\r\n--M--\r\n")
    assert.equal(expected:gsub("M", mark):gsub("F", path:match("[^/]+$"), 1), seen.body)
    os.remove(path)
    assert.matches("option 'form': 'f': ", misuse(http.post, url "/echo", { form = { f = { path = path } } }), 1, true)
    assert.matches("option 'params': string, number or boolean expected for 'a', got function",
      misuse(http.get, url "/echo", { params = { a = print } }), 1, true)
  end)

  it("reads odd heads", function()
    local headers = http.get(url "/headers").headers
    assert.equal("1, 2", headers["X-One"])
    assert.same({ "1", "2" }, headers:all "X-ONE")
    assert.equal("", headers["X-Empty"])
    assert.equal("a b", headers["X-Folded"])
    assert.equal("padded", headers["X-Space"])
    local names = {}
    for name, value in pairs(headers) do names[#names + 1] = name .. "=" .. value end
    assert.same({ "X-One=1", "x-one=2", "X-Empty=", "X-Folded=a b", "X-Space=padded", "Content-Length=0" }, names)
    assert.matches("headers of a response cannot be changed", misuse(function() headers.x = "y" end), 1, true)
    for _, status in ipairs { 204, 304, 299, 418, 599 } do
      assert.equal(status, http.get(url("/status?code=" .. status)).status)
    end
  end)

  it("keeps cookies where they belong", function()
    local session <close> = http.session()
    session:get(url "/odd-cookies")
    local names = {}
    for _, cookie in ipairs(session:cookies()) do
      names[cookie.name] = cookie.value
      assert.equal(cookie.name == "strict", cookie.http_only)
      assert.equal(cookie.name == "path" and "/other" or "/", cookie.path)
    end
    assert.equal("1", names.plain)
    assert.equal("a b", names.spaced)
    assert.equal("", names.empty)
    assert.is_nil(names.elsewhere)
    assert.is_nil(names.gone)
    local sent = header(session:get(url "/echo"):json(), "Cookie")
    assert.is_truthy(sent:find("plain=1", 1, true))
    assert.is_nil(sent:find("path=1", 1, true))
    assert.is_nil(header(session:get(server.other_url .. "/echo"):json(), "Cookie"))
  end)

  it("keeps connections, within limits", function()
    local function accepted() return http.get(url "/counts"):json().accepted end
    local session <close> = http.session { max_connections = 1 }
    session:get(url "/echo")
    local before = accepted()
    for _ = 1, 10 do session:get(url "/echo") end
    assert.equal(before, accepted())
  end)

  it("IO-21 streams with backpressure", function()
    local response = http.get(url "/endless", { stream = true, timeout = LONG })
    assert.is_nil(response.body)
    local total = 0
    for chunk in response:chunks() do
      total = total + #chunk
      if total > 20000000 then break end
    end
    response = http.get(url "/gated?id=stream", { stream = true, timeout = LONG })
    local next_chunk = response:chunks()
    assert.equal("first", next_chunk())
    http.get(url "/release?id=stream")
    assert.equal("second", next_chunk())
    assert.is_nil(next_chunk())
    assert.is_nil(next_chunk())
    assert.matches("without stream = true", misuse(function() http.get(url "/echo"):chunks() end), 1, true)
    local err = failure(http.get, url "/endless", { max_body = 1000000, timeout = LONG })
    assert.equal("body_too_large", err.code)
    response = http.get(url "/short", { stream = true })
    next_chunk = response:chunks()
    assert.equal("0123456789", next_chunk())
    assert.equal("incomplete", failure(next_chunk).code)
    response:close()
    response:close()
  end)

  it("IO-23 gives a request up and goes on", function()
    contexts.each(function(name, call)
      local ok, gone, status = call(tasks.abandon_and_go_on, server.url)
      assert.is_true(ok, name .. ": " .. tostring(gone))
      assert.equal("gone", gone)
      assert.equal(200, status)
    end)
    local response = http.get(url "/gated?id=closed", { stream = true, timeout = LONG })
    response:close()
    assert.is_nil(response:chunks()())
  end)

  it("IO-23 ends the request of a task that is stopped", function()
    for _, name in ipairs { "proc_pool", "thread_pool" } do
      if pcall(require, name) then
        local pool <close> = require(name).new(1)
        for _, path in ipairs { "/silent?id=", "/drip?id=", "/slow-body?id=" } do
          local id = name .. path:match("%a+")
          local f = pool:submit(http.request, { method = "POST", url = url(path .. id), body = ("x"):rep(20000000) })
          http.get(url("/reached/" .. id), { timeout = LONG })
          assert.is_true(f:cancel { force = true })
          local ok, err = f:outcome(LONG)
          assert.is_false(ok)
          assert.equal("cancelled", err.kind)
          assert.equal(200, pool:submit(tasks.status_and_length, url "/echo"):result(LONG))
        end
      end
    end
  end)

  it("survives a worker that dies in mid-request", function()
    local pool <close> = require("proc_pool").new(1)
    local f = pool:submit(tasks.failure, url "/silent?id=dies", {})
    http.get(url "/reached/dies", { timeout = LONG })
    os.execute("kill -KILL " .. pool:workers()[1].pid)
    local ok, err = f:outcome(LONG)
    assert.is_false(ok)
    assert.equal("worker_died", err.kind)
    assert.equal("gone", http.get(url "/gone/dies", { timeout = LONG }).body)
    assert.equal(200, pool:submit(tasks.status_and_length, url "/echo"):result(LONG))
  end)

  it("tells misuse from failure", function()
    local target = url "/echo"
    local cases = {
      { { nil }, "bad argument #1 to 'get' (string for the URL expected, got nil)" },
      { { 5 }, "bad argument #1 to 'get' (string for the URL expected, got number)" },
      { { target, 5 }, "bad argument #2 to 'get' (table of options expected, got number)" },
      { { target, { timout = 5 } }, "bad argument #2 to 'get' (unknown option 'timout'; did you mean 'timeout'?)" },
      { { target, { timeout = "5" } }, "bad argument #2 to 'get' (option 'timeout': number expected, got \"5\")" },
      { { target, { timeout = 0 / 0 } }, "bad argument #2 to 'get' (option 'timeout': number expected, got nan)", true },
      { { target, { headers = 5 } }, "bad argument #2 to 'get' (option 'headers': table expected, got 5)" },
      { { target, { headers = { A = print } } }, "bad argument #2 to 'get' (option 'headers': string, number, false or "
        .. "array of strings expected for 'A', got function)" },
      { { target, { headers = { A = "x\r\nB: y" } } },
        "bad argument #2 to 'get' (option 'headers': value without line breaks and "
        .. "NUL bytes expected for 'A', got one with)" },
      { { target, { headers = { ["A: b"] = "x" } } },
        "bad argument #2 to 'get' (option 'headers': name of a header expected, got "
        .. "\"A: b\")" },
      { { target .. "\r\nX: y" }, "bad argument #1 to 'get' (option 'url': byte 13 at position " .. #target + 1
        .. " cannot be in a URL)" },
      { { target .. "\0" }, "bad argument #1 to 'get' (option 'url': byte 0 at position " .. #target + 1
        .. " cannot be in a URL)" },
      { { target, { body = "a", json = 1 } }, "bad argument #2 to 'get' (options 'body' and 'json': only one of them is "
        .. "possible)" },
      { { target, { stream = true, sink = print } }, "bad argument #2 to 'get' (options 'stream' and 'sink': only one of "
        .. "them is possible)" },
      { { target, { auth = "x" } }, "bad argument #2 to 'get' (option 'auth': { user, password } or { bearer = token } "
        .. "expected, got string)" },
      { { target, { ca = "/no/such.pem" } }, "bad argument #2 to 'get' (option 'ca': a readable file expected, got "
        .. "/no/such.pem: No such file or directory)" },
      { { target, { http_version = "4" } }, "bad argument #2 to 'get' (option 'http_version': \"1.0\", \"1.1\", \"2\" or "
        .. "\"2-prior-knowledge\" expected, got \"4\")" },
      { { target, { max_body = -1 } }, "bad argument #2 to 'get' (option 'max_body': integer >= 0 expected, got -1)" },
      { { target, { sink = 5 } }, "bad argument #2 to 'get' (option 'sink': path, file or function expected, got 5)" },
      { { target, { low_speed = { 5 } } }, "bad argument #2 to 'get' (option 'low_speed': { bytes, seconds }, both > 0, "
        .. "expected, got table)" },
    }
    for _, case in ipairs(cases) do
      local text = misuse(http.get, table.unpack(case[1], 1, 2))
      assert.equal(case[3] and case[2]:gsub("nan", "-nan") or case[2], case[3] and text:gsub("%-*nan", "-nan") or text)
    end
    assert.equal("bad argument #1 to 'request' (option 'method': \"GE T\" is no HTTP method)",
      misuse(http.request, { method = "GE T", url = target }))
    assert.equal("bad argument #1 to 'request' (unknown option 'uri'; did you mean 'url'?)",
      misuse(http.request, { uri = target }))
    assert.equal("bad argument #1 to 'session' (unknown option 'cookie'; did you mean 'cookies'?)",
      misuse(http.session, { cookie = true }))
    assert.equal("calling 'get' on bad self (http.Session expected, got string)", misuse(http.session().get, "x"))
    assert.equal("bad argument #2 to 'head' (a HEAD request has no body)", misuse(http.head, target, { body = "x" }))
    local err = failure(http.get, target, { protocols = { "nonsense", "http" } })
    assert.equal(1, err.curl)
  end)

  it("waits for a gate elsewhere meanwhile", function()
    local pool <close> = require("proc_pool").new(1)
    local here = gate.new()
    local f = pool:submit(gate.pass, here.path)
    local response = http.get(url "/echo", { timeout = LONG })
    here:open "through"
    assert.equal("through", f:result(LONG))
    assert.equal(200, response.status)
  end)
end)
