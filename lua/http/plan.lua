-- SPDX-License-Identifier: MIT
-- A plan: one request as it is about to be made, with everything decided.
--
--   method, url (parts, see url.lua), whole (the URL as it is asked for), shown (for people)
--   headers   name in lower case -> false or lines          body, content_type
--   o         the options
--   plain     a GET that says nothing but its URL           window      the body is taken piece by piece
-- and what follows when the server redirects it.
local check = require "parhost.check"
local host = require "parhost.core.host"
local http_errors = require "http.errors"
local http_options = require "http.options"
local bodies = require "http.body"
local core = require "parhost.core.http"
local url = require "http.url"

local plan = {}

local WINDOW <const> = 256 * 1024 -- bytes of a body that wait to be taken, at the most
local CONNECT_TIMEOUT_MAX <const> = 2 ^ 31 - 1 -- ms, in libcurl
local AGENT <const> = "parhost/" .. host.version
local NO_HEADERS <const> = {}

local WITH_BODY <const> = { POST = true, PUT = true, PATCH = true }

local function add_body(self, o, n, name)
  local key = o.json ~= nil and "json" or o.form ~= nil and "form" or nil
  if key == nil then
    local text = o.body or (WITH_BODY[self.method] and "")
    if text then self.body = text end
  else
    local value = o.form
    if key == "json" then value = o.json.value end
    local text, kind = bodies[key](value)
    if not text then check.bad_argument(n, name, ("option '%s': %s"):format(key, kind)) end
    self.body, self.content_type = text, kind
  end
  if self.body and self.method == "HEAD" then check.bad_argument(n, name, "a HEAD request has no body") end
end

local function add_query(text, params, n, name)
  local query, why = params, nil
  if type(params) == "table" then query, why = url.encode_fields(params) end
  if not query then check.bad_argument(n, name, "option 'params': " .. why) end
  return url.with_query(text, query)
end

-- Raises unless the scheme of self.url is allowed.
local function check_scheme(self, redirected)
  local allowed, scheme = self.o.protocols, self.url.scheme
  if not allowed[scheme] or (redirected and scheme == "file") then
    local text = ("%s'%s' URLs are not allowed (%s)"):format(redirected and "redirected: " or "", scheme,
      table.concat(allowed, ", "))
    error(http_errors.new(self, "protocol", text), 0)
  end
end

local function joined(protocols)
  return protocols == http_options.HTTP_ONLY and "http,https" or table.concat(protocols, ",")
end

-- Notes whether the core has less to do for it.
local function note_plain(self)
  self.plain = self.o.plain and self.method == "GET" and not self.body and not self.auth
end

-- `o`: the checked options, the argument #n of `name`.
function plan.new(method, text, o, n, name)
  if o.params then text = add_query(text, o.params, n, name) end
  local parts, why = url.parse(text)
  local self = {
    method = method, o = o, headers = o.headers or NO_HEADERS, protocols = joined(o.protocols),
    window = (o.stream or o.sink ~= nil or o.on_progress ~= nil) and WINDOW or nil,
    url = parts, shown = parts and parts.shown or url.masked(text),
  }
  if not parts then error(http_errors.new(self, "url", "invalid URL: " .. why), 0) end
  check_scheme(self, false)
  self.whole = parts.whole
  add_body(self, o, n, name)
  if o.auth then
    self.auth = o.auth
  elseif parts.user then
    self.auth = { user = parts.user, password = parts.password or "" }
  end
  if o.cert then self.cert = o.cert end
  note_plain(self)
  return self
end

-- For the core --------------------------------------------------------------------------------------------------

local function header_lines(self)
  local lines = {}
  for name, list in next, self.headers do
    if list then table.move(list, 1, #list, #lines + 1, lines) else lines[#lines + 1] = name .. ":" end -- libcurl's own
  end
  if self.auth and self.auth.bearer and self.headers.authorization == nil then
    lines[#lines + 1] = "Authorization: Bearer " .. self.auth.bearer
  end
  if self.body then
    if self.headers["content-type"] == nil then
      lines[#lines + 1] = self.content_type and "Content-Type: " .. self.content_type or "Content-Type:"
    end
    lines[#lines + 1] = "Expect:" -- libcurl would wait a second for servers that do not know it
  end
  return lines
end

local function copy(from, to)
  for key, value in next, from do to[key] = value end
end

local function add_more(self, o, request)
  if self.auth and self.auth.user then copy(self.auth, request) end
  if o.connect_timeout then
    request.connect_timeout_ms = math.max(1, math.ceil(math.min(o.connect_timeout * 1000, CONNECT_TIMEOUT_MAX)))
  end
  if o.low_speed then
    request.low_speed_bytes, request.low_speed_seconds = o.low_speed.bytes, o.low_speed.seconds
  end
  if o.ca then copy(o.ca, request) end
  if self.cert then copy(self.cert, request) end
  request.proxy, request.insecure, request.http_version = o.proxy, not o.verify, o.http_version
  request.raw = self.headers["accept-encoding"] ~= nil
  request.progress = o.on_progress ~= nil
end

local function more_of(self)
  local more = { method = self.method, headers = header_lines(self), body = self.body }
  add_more(self, self.o, more)
  return more
end

local start = core.Session.start

-- Starts its exchange in a session of the core's. Most requests say nothing but their URL; the core starts these with
-- less work.
function plan.start(self, session, deadline)
  local o = self.o
  return start(session, self, self.whole, self.protocols, AGENT, o.max_body, self.window, o.follow, deadline,
    not self.plain and more_of(self) or nil)
end

-- Redirects -------------------------------------------------------------------------------------------------

-- Headers that may hold a secret stay where they were meant to go; so does the name of the host itself.
local function is_for_origin(name)
  return name == "host" or name:find("auth", 1, true) or name:find("cookie", 1, true) or name:find("token", 1, true)
    or name:find("secret", 1, true) or name:find("key", 1, true) or name:find("session", 1, true)
    or name:find("password", 1, true) or name:find("credential", 1, true)
end

local function without(headers, test)
  local kept = {}
  for name, lines in next, headers do
    if not test(name) then kept[name] = lines end
  end
  return kept
end

local function is_about_body(name)
  return name:find("^content%-") ~= nil or name == "transfer-encoding"
end

local REDIRECTS <const> = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

function plan.redirects(self, status, head)
  return self.o.follow and REDIRECTS[status] and head:lower():find("\nlocation:", 1, true) ~= nil
end

-- The plan for where the response leads, as browsers do it: after 301 and 302 a POST becomes a GET, after 303 anything
-- but HEAD. `hops`: how many there were already.
function plan.next(self, status, location, hops)
  if hops >= self.o.max_redirects then
    local limit = self.o.max_redirects
    error(http_errors.new(self, "too_many_redirects", ("more than %d redirects"):format(limit), { limit = limit }), 0)
  end
  local parts, why = url.join(self.url, location)
  if not parts then error(http_errors.new(self, "url", "redirected to an invalid URL: " .. why), 0) end
  local new = {}
  copy(self, new)
  new.url, new.whole, new.shown = parts, parts.whole, parts.shown
  check_scheme(new, true)
  if (status == 303 and self.method ~= "HEAD") or (status <= 302 and self.method == "POST") then
    new.method, new.body, new.content_type = "GET", nil, nil
    new.headers = without(new.headers, is_about_body)
  end
  if not url.same_origin(self.url, parts) then
    new.headers = without(new.headers, is_for_origin)
    new.auth, new.cert = nil, nil
  end
  if parts.user then new.auth = { user = parts.user, password = parts.password or "" } end
  note_plain(new)
  return new
end

return plan
