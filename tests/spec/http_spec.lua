-- SPDX-License-Identifier: MIT
-- http against nginx: requests, responses, TLS, redirects, sessions.
package.path = "tests/spec/?.lua;" .. package.path
local contexts = require "support.contexts"
local futures = require "futures"
local http = require "http"
local servers = require "support.servers"
local tasks = require "support.http_tasks"

local function failure(...)
  local ok, err = pcall(...)
  assert.is_false(ok)
  assert.is_true(futures.is(err, "http"), tostring(err))
  return err
end

describe("http", function()
  local nginx

  setup(function() nginx = servers.nginx() end)
  teardown(function() nginx:stop() end)

  it("gets a page", function()
    local response = http.get(nginx.url .. "/1k")
    assert.equal(200, response.status)
    assert.equal("OK", response.reason)
    assert.equal(("k"):rep(1024), response.body)
    assert.equal(nginx.url .. "/1k", response.url)
    assert.equal("1024", response.headers["content-length"])
    assert.equal("1024", response.headers["CONTENT-LENGTH"])
    assert.same({ "1024" }, response.headers:all("Content-Length"))
    assert.is_nil(response.headers["X-None"])
    assert.same({}, response.headers:all("X-None"))
    assert.same({}, response.history)
    assert.equal("1.1", response.http_version)
    assert.is_true(response.elapsed > 0 and response.timings.total > 0)
    assert.is_true(response.timings.total >= response.timings.first_byte)
    assert.equal(("http.Response: 200 OK (%s/1k, 1024 bytes)"):format(nginx.url), tostring(response))
  end)

  it("works in every context alike", function()
    contexts.each(function(name, call)
      assert.same({ true, 200, 1024 }, { call(tasks.status_and_length, nginx.url .. "/1k", { timeout = 20 }) }, name)
      local seconds, err = select(2, call(tasks.failure, "http://127.0.0.1:1/", { timeout = 20 }))
      assert.is_true(seconds < 20, name)
      assert.equal("connect", err.code, name)
      assert.equal(7, err.curl, name)
      assert.is_true(futures.is(err, "http"), name)
    end)
  end)

  it("gives a response that travels", function()
    local pool <close> = require("proc_pool").new(1)
    local response = pool:submit(tasks.response, nginx.url .. "/old"):result()
    assert.equal(200, response.status)
    assert.equal(1024, #response.body)
    assert.equal("1024", response.headers["Content-Length"])
    assert.equal(302, response.history[1].status)
    assert.equal(200, pool:submit(tasks.status_of, response):result())
    assert.equal(200, pool:submit(http.get, nginx.url .. "/1k"):result():raise_for_status().status)
    assert.equal(200, pool:submit("http:get", nginx.url .. "/1k"):result().status)
    local cases = {
      [http.get(nginx.url .. "/1k", { stream = true })] = "a response with stream = true cannot travel",
      [http.session()] = "args[1]: its metatable (http.Session) is not a registered class (see parhost.register)",
    }
    for value, text in pairs(cases) do
      local ok, err = pcall(pool.submit, pool, print, value)
      assert.is_false(ok)
      assert.equal("not_serializable", err.kind)
      assert.matches(text, err.message, 1, true)
    end
    assert.same({ http.null, {} }, { pool:submit(tasks.same, http.null, http.array()):result() })
  end)

  it("takes any status as a result", function()
    local response = http.get(nginx.url .. "/missing")
    assert.equal(404, response.status)
    assert.equal("not here", response.body)
    local err = failure(response.raise_for_status, response)
    assert.equal("status", err.code)
    assert.equal(404, err.status)
    assert.equal(response, err.response)
    assert.equal(("parhost.http: %s/missing: status 404 Not Found"):format(nginx.url), tostring(err))
    assert.equal(200, http.get(nginx.url .. "/1k"):raise_for_status().status)
  end)

  it("IO-19 follows redirects and keeps their history", function()
    local response = http.get(nginx.url .. "/old")
    assert.equal(200, response.status)
    assert.equal(nginx.url .. "/1k", response.url)
    assert.equal(1, #response.history)
    assert.equal(302, response.history[1].status)
    assert.equal(nginx.url .. "/old", response.history[1].url)
    assert.equal(302, http.get(nginx.url .. "/old", { follow = false }).status)
    assert.equal(200, http.head(nginx.url .. "/new").status)
    local err = failure(http.get, nginx.url .. "/old", { max_redirects = 0 })
    assert.equal("too_many_redirects", err.code)
    assert.equal(47, err.curl)
  end)

  it("decompresses bodies", function()
    local response = http.get(nginx.url .. "/text.txt")
    assert.equal("gzip", response.headers["Content-Encoding"])
    assert.equal(100000, #response.body)
    assert.equal("compressible\n", response.body:sub(1, 13))
    local raw = http.get(nginx.url .. "/text.txt", { headers = { ["Accept-Encoding"] = "gzip" } })
    assert.equal("\x1f\x8b", raw.body:sub(1, 2))
  end)

  it("IO-21 limits the size of bodies", function()
    local cases = { huge = 1000000, bomb = 1000000, ["1k"] = 1023, numbers = 0 }
    for path, limit in pairs(cases) do
      for _, stream in ipairs { false, true } do
        local err = failure(function()
          local response = http.get(nginx.url .. "/" .. path, { max_body = limit, stream = stream, timeout = 60 })
          return stream and response:read()
        end)
        assert.equal("body_too_large", err.code)
        assert.equal(limit, err.limit)
        assert.equal(63, err.curl)
      end
    end
    assert.equal(1024, #http.get(nginx.url .. "/1k", { max_body = 1024 }).body)
  end)

  it("IO-21 streams with constant memory", function()
    local response = http.get(nginx.url .. "/huge", { stream = true, timeout = 60 })
    local total, biggest = 0, 0
    local function resident()
      return tonumber(io.open("/proc/self/statm"):read("a"):match("^%d+ (%d+)")) * require("parhost.core.inspect").page
    end
    local before
    for chunk in response:chunks() do
      total, biggest = total + #chunk, math.max(biggest, #chunk)
      if not before and total > 5000000 then before = resident() end
      if total > 100000000 then break end
    end
    assert.is_true(biggest <= 256 * 1024, biggest)
    local sanitized = io.open("/proc/self/maps"):read("a"):find("libasan", 1, true) ~= nil
    assert.is_true(sanitized or resident() - before < 10000000)
    for _ in response:chunks() do error("the loop was left: nothing comes any more") end
  end)

  it("IO-21 writes into sinks", function()
    local path = os.tmpname()
    local response = http.get(nginx.url .. "/numbers", { sink = path })
    assert.is_nil(response.body)
    local file = assert(io.open(path, "rb"))
    local text = file:read("a")
    file:close()
    assert.equal(http.get(nginx.url .. "/numbers").body, text)

    file = assert(io.open(path, "wb"))
    http.get(nginx.url .. "/1k", { sink = file })
    file:write("more")
    file:close()
    assert.equal(("k"):rep(1024) .. "more", io.open(path):read("a"))
    os.remove(path)

    local parts = {}
    http.get(nginx.url .. "/old", { sink = function(chunk) parts[#parts + 1] = chunk end })
    assert.equal(("k"):rep(1024), table.concat(parts))

    local ok, err = pcall(http.get, nginx.url .. "/1k", { sink = function() error({ "mine" }) end })
    assert.is_false(ok)
    assert.same({ "mine" }, err)
    ok, err = pcall(http.get, nginx.url .. "/1k", { sink = "/nowhere/file" })
    assert.is_false(ok)
    assert.equal("os", err.kind)
    assert.equal("ENOENT", err.code)
    assert.matches("cannot write the body: /nowhere/file: No such file", err.message, 1, true)
    if io.open("/dev/full", "wb") then
      ok, err = pcall(http.get, nginx.url .. "/numbers", { sink = "/dev/full" })
      assert.is_false(ok)
      assert.equal("os", err.kind)
      assert.equal("ENOSPC", err.code)
    end
  end)

  it("tells of progress", function()
    local last, calls = nil, 0
    local response = http.get(nginx.url .. "/numbers", { on_progress = function(received, total)
      calls, last = calls + 1, received
      assert.is_true(total == nil or total == 1288895, total)
    end })
    assert.equal(1288895, #response.body)
    assert.equal(1288895, last)
    assert.is_true(calls > 1)
  end)

  it("reads JSON, integers as integers", function()
    local value = http.get(nginx.url .. "/json"):json()
    assert.equal(9007199254740993, value.n)
    assert.equal("integer", math.type(value.n))
    assert.equal(1.5, value.x)
    assert.equal(http.null, value.list[2])
    assert.equal("null", tostring(http.null))
    assert.same({ 1, http.null, true }, value.list)
    local err = failure(function() return http.get(nginx.url .. "/bad-json"):json() end)
    assert.equal("json", err.code)
    assert.equal(2, err.line)
    assert.is_true(err.column >= 6 and err.column <= 10, err.column)
    assert.matches("invalid JSON at line 2, column %d", err.message)
  end)

  it("authenticates", function()
    assert.equal(401, http.get(nginx.url .. "/private/file").status)
    assert.equal(200, http.get(nginx.url .. "/private/file", { auth = { "user", "secret" } }).status)
    assert.equal(401, http.get(nginx.url .. "/private/file", { auth = { "user", "wrong" } }).status)
    local response = http.get((nginx.url:gsub("//", "//user:secret@")) .. "/private/file")
    assert.equal(200, response.status)
    assert.equal(nginx.url .. "/private/file", response.url)
  end)

  describe("with TLS", function()
    local ca
    setup(function() ca = nginx.file "ca.pem" end)

    it("speaks HTTP/2 when the server does", function()
      local response = http.get(nginx.tls_url .. "/protocol", { ca = ca })
      assert.equal("HTTP/2.0", response.body)
      assert.equal("2", response.http_version)
      assert.equal("", response.reason)
      assert.is_true(response.timings.secured > 0)
      response = http.get(nginx.tls_url .. "/protocol", { ca = ca, http_version = "1.1" })
      assert.equal("HTTP/1.1", response.body)
      assert.equal("HTTP/1.0", http.get(nginx.url .. "/protocol", { http_version = "1.0" }).body)
      local text = io.open(ca):read("a")
      assert.equal(200, http.get(nginx.tls_url .. "/1k", { ca = text }).status)
    end)

    it("trusts nobody unasked", function()
      local cases = {
        [nginx.tls_url] = {}, [nginx.expired_url] = { ca = ca }, [nginx.selfsigned_url] = { ca = ca },
      }
      for url, options in pairs(cases) do
        local err = failure(http.get, url .. "/1k", options)
        assert.equal("tls", err.code, url)
        assert.equal(60, err.curl, url)
        assert.is_true(http.get(url .. "/", { verify = false }).status >= 200)
      end
    end)

    it("shows a certificate of its own", function()
      local cert = { cert = nginx.file "client.pem", key = nginx.file "client.key" }
      assert.equal("NONE", http.get(nginx.tls_url .. "/client", { ca = ca }).body)
      local session <close> = http.session()
      assert.equal("SUCCESS", session:get(nginx.tls_url .. "/client", { ca = ca, cert = cert }).body)
    end)

    it("tells of speaking to the wrong kind of server", function()
      assert.equal("tls", failure(http.get, (nginx.url:gsub("http:", "https:"))).code)
      assert.equal(400, http.get((nginx.tls_url:gsub("https:", "http:"))).status)
    end)
  end)

  describe("session", function()
    it("keeps cookies and defaults", function()
      local session <close> = http.session { headers = { ["X-Own"] = "1", ["User-Agent"] = "spec" }, timeout = 20 }
      assert.equal("", session:get(nginx.url .. "/cookies").body)
      session:get(nginx.url .. "/cookie")
      assert.equal("color=green", session:get(nginx.url .. "/cookies").body)
      assert.same({ "color", "green", "127.0.0.1", "/" }, (function(c) return { c.name, c.value, c.domain, c.path } end)(
        session:cookies()[1]))
      assert.equal("", http.get(nginx.url .. "/cookies").body)
      local without <close> = http.session { cookies = false }
      without:get(nginx.url .. "/cookie")
      assert.equal("", without:get(nginx.url .. "/cookies").body)
      assert.same({}, without:cookies())
    end)

    it("ends", function()
      local session = http.session()
      assert.equal(200, session:get(nginx.url .. "/1k").status)
      session:close()
      session:close()
      local ok, err = pcall(session.get, session, nginx.url .. "/1k")
      assert.is_false(ok)
      assert.equal("closed", err.kind)
    end)

    it("goes on in forked workers with connections of their own", function()
      assert.equal(200, http.get(nginx.url .. "/1k").status)
      local pool <close> = require("proc_pool").new { max_workers = 2, start_method = "fork" }
      local lines = {}
      for i, line in pool:map(tasks.line, { nginx.url .. "/1k", nginx.url .. "/1k", nginx.url .. "/missing" }) do
        lines[i] = line
      end
      assert.same({ "status 200", "status 200", "status 404" }, lines)
      assert.equal(200, http.get(nginx.url .. "/1k").status)
    end)
  end)

  it("gets a thousand pages of which every tenth fails, in order", function()
    local urls, expected = {}, {}
    for i = 1, 1000 do
      urls[i] = i % 10 == 0 and "http://127.0.0.1:1/" or nginx.url .. "/1k"
      expected[i] = i % 10 == 0 and "error connect" or "status 200"
    end
    for _, name in ipairs { "proc_pool", "thread_pool" } do
      if pcall(require, name) then
        local pool <close> = require(name).new(2)
        local lines = {}
        for i, line in pool:map(tasks.line, urls) do lines[i] = line end
        assert.same(expected, lines)
      end
    end
  end)
end)
