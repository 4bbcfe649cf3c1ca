-- SPDX-License-Identifier: MIT
-- The options of requests and sessions: rules, checks, defaults.
local check = require "parhost.check"
local options = require "parhost.options"
local url = require "http.url"

local http_options = {}

-- Bytes that would end a line of the protocol, or a string of C.
local function has_control(text)
  return text:find("[\r\n\0]") ~= nil
end

local function is_token(text)
  return text:find("^[%w!#$%%&'*+.^_`|~-]+$") ~= nil
end

-- Values of one header -> lines, or nil and what is wrong.
local function header_lines(name, value)
  local lines = {}
  for i, one in ipairs(type(value) == "table" and value or { value }) do
    if math.type(one) then one = url.text_of(one) end
    if type(one) ~= "string" then
      local expected = "string, number, false or array of strings expected for '%s', got %s"
      return nil, expected:format(name, check.type_name(one))
    end
    if has_control(one) then
      return nil, ("value without line breaks and NUL bytes expected for '%s', got one with"):format(name)
    end
    lines[i] = one:find("%S") and name .. ": " .. one or name .. ";" -- ";": libcurl's way to send an empty one
  end
  return lines
end

-- { name = value } -> { name in lower case = false or { line... } }
local function headers(given)
  if type(given) ~= "table" then return nil, "table" end
  local read = {}
  for name, value in next, given do
    if type(name) ~= "string" then return nil, ("names of headers expected, got %s"):format(check.type_name(name)) end
    if not is_token(name) then return nil, ("name of a header expected, got %q"):format(name) end
    local key = name:lower()
    if key == "content-length" then return nil, "no Content-Length expected, as it follows from the body, got one" end
    local lines, why
    if value ~= false then lines, why = header_lines(name, value) end
    if why then return nil, why end
    read[key] = lines or false
  end
  return read
end

local LOW_SPEED_MAX <const> = 65535 -- seconds, in libcurl

local function low_speed(value)
  if type(value) ~= "table" then return nil, "{ bytes, seconds }" end
  local bytes, seconds = math.tointeger(value.bytes or value[1]), value.seconds or value[2]
  if not bytes or bytes < 1 or not math.type(seconds) or not (0 < seconds and seconds < math.huge) then
    return nil, "{ bytes, seconds }, both > 0,"
  end
  return { bytes = bytes, seconds = math.ceil(math.min(seconds, LOW_SPEED_MAX)) }
end

local function plain_text(value)
  return type(value) == "string" and not has_control(value)
end

local function auth(value)
  local expected = ("{ user, password } or { bearer = token } expected, got %s"):format(check.type_name(value))
  if type(value) ~= "table" then return nil, expected end
  if value.bearer ~= nil then
    if not plain_text(value.bearer) then return nil, "bearer token of one line expected, got another" end
    return { bearer = value.bearer }
  end
  local user, password = value.user or value[1], value.password or value[2] or ""
  if not plain_text(user) or not plain_text(password) then return nil, expected end
  return { user = user, password = password, digest = value.digest and true or nil }
end

local function proxy(value)
  if value == false then return "" end
  if plain_text(value) and value ~= "" then return value end
  return nil, "URL of a proxy or false"
end

-- What kind of thing there is to be read at a path: "file", "folder", or nil and the system's words.
local function kind_of(path)
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local _, _, code = file:read(1)
  file:close()
  return code == 21 and "folder" or "file" -- EISDIR
end

local function ca(value)
  if type(value) ~= "string" or value:find("\0", 1, true) then return nil, "path or PEM text" end
  if value:find("-----BEGIN", 1, true) then return { ca_text = value } end
  local kind, why = kind_of(value)
  if not kind then return nil, ("a readable file expected, got %s"):format(why) end
  return { [kind == "file" and "ca_file" or "ca_path"] = value }
end

local function cert(value)
  if type(value) == "string" then value = { cert = value } end
  if type(value) ~= "table" then return nil, "path or { cert =, key =, password = }" end
  local read = { cert = value.cert or value[1], key = value.key or value[2], key_password = value.password }
  if read.cert == nil then return nil, "path or { cert =, key =, password = }" end
  for _, name in ipairs { "cert", "key" } do
    local path = read[name]
    if path ~= nil and type(path) ~= "string" then return nil, ("path expected for %s, got %s"):format(name, type(path)) end
    local kind, why = kind_of(path or read.cert)
    if kind ~= "file" then return nil, ("a readable file expected, got %s"):format(why or "a folder") end
  end
  if read.key_password ~= nil and not plain_text(read.key_password) then
    return nil, "string of one line expected for password, got another"
  end
  return read
end

local function sink(value)
  if type(value) == "string" and not value:find("\0", 1, true) then return value end
  if type(value) == "function" then return value end
  if io.type(value) == "file" then return value end
  if io.type(value) == "closed file" then return nil, "open file expected, got a closed one" end
  return nil, "path, file or function"
end

local function protocols(value)
  if type(value) ~= "table" or #value == 0 then return nil, "array of schemes" end
  local read = {}
  for i, scheme in ipairs(value) do
    if type(scheme) ~= "string" or not scheme:find("^%a[%w+.-]*$") then return nil, "array of schemes" end
    read[i] = scheme:lower()
    read[read[i]] = true
  end
  return read
end

local function params(value)
  if type(value) == "table" then return value end
  if plain_text(value) then return value end
  return nil, "table or string of one line"
end

local HTTP_ONLY <const> = { "http", "https", http = true, https = true }

-- What a session can say for all of its requests.
local COMMON <const> = {
  headers = { test = headers },
  timeout = { "number" },
  connect_timeout = { "number", above = 0 },
  low_speed = { test = low_speed },
  follow = { "boolean", default = true },
  max_redirects = { "integer", min = 0, default = 20 },
  auth = { test = auth },
  proxy = { test = proxy },
  verify = { "boolean", default = true },
  ca = { test = ca },
  cert = { test = cert },
  http_version = { "one_of", "1.0", "1.1", "2", "2-prior-knowledge" },
  max_body = { "integer", min = 0 },
  protocols = { test = protocols, default = HTTP_ONLY },
}

local function with_more(more)
  local all = {}
  for key, rule in next, COMMON do all[key] = rule end
  for key, rule in next, more do all[key] = rule end
  return all
end

local function anything(value) return value end

local REQUEST <const> = with_more {
  params = { test = params },
  body = { "string" }, -- `json` in a table: false is a value to send
  json = { test = function(value) return { value = value } end },
  form = { "table" },
  sink = { test = sink },
  on_progress = { "function" },
  stream = { "boolean" },
}

local WHOLE_REQUEST <const> = {}
for key, rule in next, REQUEST do WHOLE_REQUEST[key] = rule end
WHOLE_REQUEST.method = { test = anything }
WHOLE_REQUEST.url = { test = anything }

local SESSION <const> = with_more {
  max_connections = { "integer", min = 1 },
  max_per_host = { "integer", min = 1 },
  cookies = { "boolean", default = true },
}

local function without_defaults(spec)
  local plain = {}
  for key, rule in next, spec do
    plain[key] = {}
    for name, value in next, rule do
      if name ~= "default" then plain[key][name] = value end
    end
  end
  return plain
end

local REQUEST_PLAIN <const>, WHOLE_PLAIN <const> = without_defaults(REQUEST), without_defaults(WHOLE_REQUEST)

local BODIES <const> = { "body", "json", "form" }

local function check_together(o, n, name)
  local body
  for _, key in ipairs(BODIES) do
    if o[key] ~= nil then
      if body then check.bad_argument(n, name, ("options '%s' and '%s': only one of them is possible"):format(body, key)) end
      body = key
    end
  end
  if o.stream and o.sink ~= nil then
    check.bad_argument(n, name, "options 'stream' and 'sink': only one of them is possible")
  end
end

local function merge_headers(base, own)
  if not base or not own then return own or base end
  local all = {}
  for key, lines in next, base do all[key] = lines end
  for key, lines in next, own do all[key] = lines end
  return all
end

http_options.HTTP_ONLY = HTTP_ONLY

-- Notes whether a GET with these options says nothing but its URL: then the core has less to do.
local function note_plain(o)
  local says_more = o.headers or o.auth or o.cert or o.ca or o.proxy or o.connect_timeout or o.low_speed or o.http_version
    or o.on_progress
  o.plain = not says_more and o.verify and o.protocols == HTTP_ONLY
  return o
end

-- The options of a session without options of its own.
http_options.DEFAULTS = note_plain(options.check(COMMON, {}, 1, "session"))

-- Checks the options of a request, argument #n of `name`; what they leave open comes from the session. With `whole`
-- they have method and url in them.
function http_options.read_request(given, session, n, name, whole)
  if given == nil then return session end
  local o = options.check(whole and WHOLE_PLAIN or REQUEST_PLAIN, given, n, name)
  check_together(o, n, name)
  o.headers = merge_headers(session.headers, o.headers)
  return note_plain(setmetatable(o, { __index = session }))
end

function http_options.read_session(given)
  return note_plain(options.check(SESSION, given == nil and {} or given, 1, "session"))
end

function http_options.check_method(method, n, name)
  if type(method) ~= "string" then check.expected(n, name, "string for the method", method) end
  if not is_token(method) then check.bad_argument(n, name, ("option 'method': %q is no HTTP method"):format(method)) end
  return method:upper()
end

function http_options.check_url(text, n, name)
  if type(text) ~= "string" then check.expected(n, name, "string for the URL", text) end
  local at = not url.is_known(text) and text:find("%c")
  if at then
    check.bad_argument(n, name, ("option 'url': byte %d at position %d cannot be in a URL"):format(text:byte(at), at))
  end
  return text
end

return http_options
