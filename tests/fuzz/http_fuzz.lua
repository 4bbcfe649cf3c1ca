-- SPDX-License-Identifier: MIT
-- What http makes of what servers send (heads, cookies, redirects), of URLs, and of the options of requests: whatever
-- they are, nothing that could be taken for another line reaches libcurl, secrets stay with the host that they were meant
-- for, and errors are errors of ours.
-- An input begins with a letter: what the rest is.
local Headers = require "http.headers"
local Response = require "http.response"
local http = require "http"
local http_options = require "http.options"
local plans = require "http.plan"
local url = require "http.url"

local function is_misuse(err)
  return type(err) == "string" and err:find("bad argument", 1, true)
end

local function is_http_error(err)
  return type(err) == "table" and err.kind == "http" and not tostring(err):find("\n")
end

local checks = {}

-- The head of a response.
function checks.h(head)
  local response = Response.new { head, status = 200, url = "http://x/", body = "" }
  local headers = response.headers
  assert(not response.reason:find("[\r\n]"), "reason of more lines")
  local count = 0
  for name, value in pairs(headers) do
    count = count + 1
    assert(name ~= "" and not name:find("[:%s]"), "name of a header")
    assert(not value:find("[\r\n]"), "value of more lines")
    local found = false
    for _, one in ipairs(headers:all(name:upper())) do found = found or one == value end
    assert(found, "a header that is not found by its name")
  end
  assert(count <= select(2, head:gsub("\n", "\n")), "more headers than lines")
  assert(#tostring(headers) <= 2 * #head + count * 4)
  assert(getmetatable(Headers.parse(head)) == Headers)
end

-- libcurl's lines of cookies, as a session reads them: seven fields each.
function checks.c(text)
  local session = http.session()
  for line in text:gmatch("[^\n]+") do
    if select(2, line:gsub("\t", "\t")) ~= 6 then return end
  end
  session.core = { usable = function() return true end, cookies = function() return text end, close = function() end }
  for _, cookie in ipairs(session:cookies()) do
    assert(type(cookie.name) == "string" and type(cookie.value) == "string" and type(cookie.domain) == "string")
    assert(cookie.expires == nil or math.type(cookie.expires) == "integer")
  end
end

local function check_parts(parts)
  assert(not parts.whole:find("[%z\r\n]"), "a URL of more lines")
  assert(parts.scheme == parts.scheme:lower(), "scheme of a URL")
  if parts.scheme == "file" then return end
  assert(parts.host and parts.host ~= "", "no host")
  local again = assert(url.parse(parts.whole))
  assert(again.whole == parts.whole and again.host == parts.host and again.port == parts.port, "read another way")
  assert(not again.user and not again.password, "a password in a URL for logs")
  assert(url.same_origin(parts, again))
end

-- A URL.
function checks.u(text)
  local ok, checked = pcall(http_options.check_url, text, 1, "get")
  if not ok then
    assert(is_misuse(checked), checked)
    return
  end
  local parts, why = url.parse(text)
  if parts then check_parts(parts) else assert(type(why) == "string") end
  local shown = url.masked(text):match("^%a[%w+.-]*:/+[^/?#]*") -- what comes behind is a path, whatever is in it
  local secret = text:match("^%a[%w+.-]*:/+[^/?#@]*:([^/?#@]+)@")
  assert(not secret or not shown:find(":" .. secret .. "@", 1, true), "a password in a URL for people")
end

local SECRETS <const> = { headers = { Authorization = "secret", Cookie = "a=secret", ["X-Plain"] = "1", Host = "first" },
  auth = { "user", "secret" } }

-- Where a redirect leads: status, Location.
function checks.r(text)
  local which, location = text:match("^(.)(.*)$")
  if not which then return end
  local status = ({ 301, 302, 303, 307, 308 })[which:byte() % 5 + 1]
  local o = http_options.read_request(SECRETS, http_options.DEFAULTS, 2, "get")
  local plan = plans.new(which:byte() % 2 == 0 and "POST" or "GET", "https://first.example/a/b?c", o, 2, "get")
  local ok, new = pcall(plans.next, plan, status, location, 0)
  if not ok then
    assert(is_http_error(new), tostring(new))
    return
  end
  check_parts(new.url)
  assert(new.url.scheme == "http" or new.url.scheme == "https", "a scheme that is not allowed")
  local stays = new.url.scheme == "https" and new.url.host:lower() == "first.example" and new.url.port == "443"
  for _, name in ipairs { "authorization", "cookie", "host" } do
    assert((new.headers[name] ~= nil) == stays, name .. " goes elsewhere")
  end
  local own = new.auth and new.auth.user == "user" and new.auth.password == "secret"
  assert(not own or stays or new.url.user, "the password goes elsewhere")
end

local function check_lines(lines)
  for name, list in pairs(lines) do
    for _, line in ipairs(list or {}) do
      assert(not line:find("[%z\r\n]"), "a header of more lines")
      assert(line:sub(1, #name):lower() == name and line:find("^[:;]", #name + 1), "another header")
    end
  end
end

local LIST <const> = { "headers", "params", "form", "auth", "proxy", "protocols", "method", "http_version" }

-- Options of a request: name = value, each ended by a NUL byte; they go into one of the tables.
function checks.o(text)
  local which, rest = text:match("^(.)(.*)$")
  if not which then return end
  local fields = {}
  for name, value in rest:gmatch("([^%z]*)%z([^%z]*)%z") do
    fields[name] = name:find("^[a-m]") and { value, value } or value
  end
  local key = LIST[which:byte() % #LIST + 1]
  local given = { [key] = (key == "method" or key == "http_version" or key == "proxy") and rest or fields }
  local ok, o = pcall(http_options.read_request, given, http_options.DEFAULTS, 2, "request", true)
  if not ok then
    assert(is_misuse(o), tostring(o))
    return
  end
  if o.headers then check_lines(o.headers) end
  local method
  if o.method then
    ok, method = pcall(http_options.check_method, o.method, 1, "request")
    assert(ok or is_misuse(method))
    assert(not ok or not method:find("[%c ]"), "a method of more words")
  end
  local fine, plan = pcall(plans.new, "POST", "http://first.example/", o, 2, "request")
  assert(fine or is_misuse(plan) or is_http_error(plan), tostring(plan))
  if fine and plan.body then assert(not o.form or not plan.body:find("[^%w%-._~+%%&=]"), "a form that is not encoded") end
  if fine then check_parts(plan.url) end
end

return function(bytes)
  local check = checks[bytes:sub(1, 1)]
  if check then check(bytes:sub(2)) end
end
