-- SPDX-License-Identifier: MIT
-- A session that is asked for the same URL again: what it has kept changes nothing about limits, ends and cancellation.
package.path = "tests/spec/?.lua;" .. package.path
local http = require "http"
local parhost = require "parhost"
local servers = require "support.servers"

local has_async, async = pcall(require, "async")
local LONG <const> = 30 -- seconds: a limit that nothing here reaches
local it_with_async = has_async and it or pending

describe("the same request again", function()
  local server

  setup(function() server = servers.bad() end)
  teardown(function() server:stop() end)

  local function url(path) return server.url .. path end

  local function has_gone(id)
    return http.get(url("/gone/" .. id), { timeout = LONG }).body == "gone"
  end

  it("has the session's time limit, each anew", function()
    local session <close> = http.session { timeout = 0.15 }
    assert.equal("once", session:get(url "/once?id=limit").body)
    local ok, err = pcall(session.get, session, url "/once?id=limit")
    assert.is_false(ok)
    assert.equal("timeout", err.code)
    assert.matches("timed out after 0.15 s while waiting for the response", err.message)
    assert.is_true(has_gone "limit")
  end)

  it("has the limit of the body", function()
    local session <close> = http.session { max_body = 3 }
    for _ = 1, 3 do
      local ok, err = pcall(session.get, session, url "/status?code=200")
      assert.is_false(ok)
      assert.equal("body_too_large", err.code)
    end
  end)

  it("is refused once the session is closed", function()
    local session = http.session()
    for _ = 1, 2 do assert.equal(200, session:get(url "/echo").status) end
    session:close()
    local ok, err = pcall(session.get, session, url "/echo")
    assert.is_false(ok)
    assert.equal("closed", err.kind)
    assert.has_error(function() session.get({}, url "/echo") end)
  end)

  it("takes its own options, and its own URL, each time", function()
    local session <close> = http.session()
    for i = 1, 2 do
      assert.equal("/echo", session:get(url "/echo"):json().target)
      assert.equal("/echo?own=" .. i, session:get(url "/echo", { params = { own = i } }):json().target)
    end
    for i = 1, 250 do
      local path = "/echo?" .. i % 230
      assert.equal(path, session:get(url(path)):json().target)
    end
  end)

  it("is redirected each time", function()
    local session <close> = http.session()
    for _ = 1, 3 do
      local response = session:get(url "/redirect?to=/echo")
      assert.equal(url "/echo", response.url)
      assert.equal(1, #response.history)
      assert.equal(302, response.history[1].status)
      assert.is_nil(response.history.begun)
      assert.is_true(response.elapsed >= response.history[1].elapsed)
    end
  end)

  it("has a response that travels with all that it can tell", function()
    local session <close> = http.session()
    for _ = 1, 2 do
      local copy = parhost.load_value(parhost.dump_value(session:get(url "/echo")))
      assert.equal("1.1", copy.http_version)
      assert.is_true(copy.elapsed > 0 and copy.timings.total > 0)
      assert.equal("application/json", copy.headers["content-type"])
    end
  end)

  it_with_async("gives its connection up when its task is cancelled", function()
    async.run(function()
      local session <close> = http.session()
      for _, id in ipairs { "cancel1", "cancel2" } do
        local path = url("/once?id=" .. id)
        assert.equal("once", session:get(path).body)
        local task = async.create_task(session.get, session, path)
        assert.equal("reached", session:get(url("/reached/" .. id)).body)
        task:cancel()
        local ok, err = task:outcome(LONG)
        assert.is_false(ok)
        assert.equal("cancelled", err.kind)
        assert.is_true(has_gone(id))
        assert.equal(200, session:get(url "/echo").status)
      end
    end)
  end)

  it_with_async("ends in its task with the session, or its limit", function()
    async.run(function()
      local session = http.session()
      assert.equal("once", session:get(url "/once?id=end").body)
      local task = async.create_task(session.get, session, url "/once?id=end")
      http.get(url "/reached/end", { timeout = LONG })
      session:close()
      local ok, err = task:outcome(LONG)
      assert.is_false(ok)
      assert.equal("closed", err.code)
      local limited <close> = http.session { timeout = 0.1 }
      assert.equal("once", limited:get(url "/once?id=task-limit").body)
      ok, err = pcall(limited.get, limited, url "/once?id=task-limit")
      assert.is_false(ok)
      assert.equal("timeout", err.code)
      assert.is_true(has_gone "task-limit")
    end)
  end)

  it_with_async("goes on waiting when its task is woken for nothing", function()
    local core = require "parhost.core.task"
    async.run(function()
      local task = async.create_task(function() return http.get(url "/gated?id=nothing").body end)
      async.sleep(0.02)
      for _ = 1, 3 do
        core.wake(task)
        async.checkpoint()
        assert.is_false(task:done())
      end
      http.get(url "/release?id=nothing", { timeout = LONG })
      assert.equal("firstsecond", task:result(LONG))
    end)
  end)
end)
