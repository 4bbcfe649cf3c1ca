-- SPDX-License-Identifier: MIT
-- Sessions: connections that are kept, their limits and cookies, and defaults for requests.
local block = require "parhost.block"
local check = require "parhost.check"
local client = require "http.client"
local core = require "parhost.core.http"
local core_pool = require "parhost.core.pool"
local errors = require "futures.error"
local host = require "parhost.core.host"
local options = require "http.options"
local plans = require "http.plan"

local Session = { __name = "http.Session" }
Session.__index = Session

local session = {}

-- The core's session, which loads libcurl; anew in a forked copy of the process. The fork server comes first: later the
-- process is not fit for it any more. (In a worker, whose own pools are rare, that is left to the program.)
local function core_of(self)
  local known = self.core
  if known and known:usable() then return known end
  if self.closed then error(errors.new("closed", "the session is closed"), 0) end
  local o = self.o
  if not host.worker() then core_pool.prepare() end
  self.core = core.session(o.max_connections or 0, o.max_per_host or 0, o.cookies == true)
  return self.core
end

-- Plain GETs without options of their own come again and again: session -> { URL -> plan }. A session is known here
-- by its first request.
local PLANS_MAX <const> = 200
local plans_of = setmetatable({}, { __mode = "k" })

local function remember(self, url, plan)
  local known = plans_of[self]
  if not known or self.n_plans >= PLANS_MAX then
    known, self.n_plans = {}, 0
    plans_of[self] = known
  end
  known[url], self.n_plans = plan, self.n_plans + 1
end

local perform_plan = client.perform

local function perform(self, method, url, given, n, name, whole)
  if not whole and type(url) ~= "string" then options.check_url(url, 1, name) end -- before the options: it may be the module
  local o = options.read_request(given, self.o, n, name, whole)
  local plan = plans.new(method, options.check_url(url, 1, name), o, n, name)
  local response = perform_plan(core_of(self), plan, block.deadline(o.timeout, n, name))
  if given == nil and plan.plain then remember(self, url, plan) end
  return response
end

local function check_self(self, name)
  if getmetatable(self) ~= Session then check.bad_self(name, "http.Session", self) end
end

for _, name in ipairs { "post", "put", "patch", "delete", "head" } do
  local method = name:upper()
  Session[name] = function(self, url, given)
    check_self(self, name)
    return perform(self, method, url, given, 2, name)
  end
end

function Session:get(url, given)
  local known = given == nil and plans_of[self]
  local plan = known and known[url]
  if plan then
    local timeout = plan.o.timeout
    local response = perform_plan(self.core, plan, timeout and block.deadline(timeout))
    if response then return response end -- the session is open
  end
  check_self(self, "get")
  return perform(self, "GET", url, given, 2, "get")
end

function Session:request(given)
  check_self(self, "request")
  if type(given) ~= "table" then check.expected(1, "request", "table of options", given) end
  local method = options.check_method(given.method == nil and "GET" or given.method, 1, "request")
  return perform(self, method, given.url, given, 1, "request", true)
end

local COOKIE <const> = "^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)$"

-- The cookies that it has: an array of { name, value, domain, path, secure, http_only, expires } by field name.
function Session:cookies()
  check_self(self, "cookies")
  local list = {}
  if not self.core or not self.core:usable() then return list end
  for line in self.core:cookies():gmatch("[^\n]+") do
    local http_only = line:find("^#HttpOnly_") ~= nil
    local domain, _, path, secure, expires, name, value = line:gsub("^#HttpOnly_", ""):match(COOKIE)
    expires = math.tointeger(tonumber(expires))
    list[#list + 1] = {
      name = name, value = value, domain = domain, path = path, secure = secure == "TRUE", http_only = http_only,
      expires = expires ~= 0 and expires or nil,
    }
  end
  return list
end

-- Closes its connections; requests that are under way end with an error.
function Session:close()
  check_self(self, "close")
  self.closed = true
  if self.core then self.core:close() end
end

Session.__close = Session.close

function session.new(given)
  return setmetatable({ o = options.read_session(given) }, Session)
end

-- What the functions of the module use: keeps connections, but nothing that one request could tell another.
function session.default()
  return setmetatable({ o = options.DEFAULTS }, Session)
end

return session
