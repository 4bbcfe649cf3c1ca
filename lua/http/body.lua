-- SPDX-License-Identifier: MIT
-- Bodies of requests: JSON, forms, forms with files.
local check = require "parhost.check"
local json = require "http.json"
local url = require "http.url"

local body = {}

-- Each gives the bytes and their content type, or nil and what is wrong with the option.

function body.json(value)
  local ok, text = pcall(json.encode, value)
  if not ok then return nil, text end
  return text, "application/json"
end

local function has_parts(form)
  for _, value in next, form do
    if type(value) == "table" then
      if value.data ~= nil or value.path ~= nil then return true end
      local second = value[2]
      if type(second) == "table" and (second.data ~= nil or second.path ~= nil) then return true end
    end
  end
  return false
end

local function read_file(path)
  if type(path) ~= "string" then return nil, ("string expected for path, got %s"):format(check.type_name(path)) end
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local data
  data, why = file:read("a")
  file:close()
  return data, why and ("%s: %s"):format(path, why)
end

local function quoted(text)
  return '"' .. text:gsub('[\r\n"]', { ["\r"] = "%0D", ["\n"] = "%0A", ['"'] = "%22" }) .. '"'
end

-- One part: what stands before the data, and the data. nil and what is wrong.
local function part_of(name, value)
  local head = "Content-Disposition: form-data; name=" .. quoted(name)
  if type(value) ~= "table" then
    local text = url.text_of(value)
    if not text then return nil, ("string, number, boolean or table expected, got %s"):format(check.type_name(value)) end
    return head, text
  end
  local data, why = value.data, nil
  if value.path ~= nil then data, why = read_file(value.path) end
  if type(data) ~= "string" then return nil, why or ("string expected for data, got %s"):format(check.type_name(data)) end
  local filename = value.filename or (value.path and value.path:match("[^/]*$"))
  if filename then head = head .. "; filename=" .. quoted(filename) end
  local kind = value.content_type or (filename and "application/octet-stream")
  if kind then
    if type(kind) ~= "string" or kind:find("[%c]") then return nil, "content_type: one line of text expected" end
    head = head .. "\r\nContent-Type: " .. kind
  end
  return head, data
end

local function boundary()
  return ("parhost-%016x%016x"):format(math.random(0), math.random(0))
end

local function multipart(form)
  local mark, parts = boundary(), {}
  local why = url.each_field(form, function(name, value)
    local head, data = part_of(name, value)
    if not head then return ("'%s': %s"):format(name, data) end
    parts[#parts + 1] = ("--%s\r\n%s\r\n\r\n"):format(mark, head)
    parts[#parts + 1] = data
    parts[#parts + 1] = "\r\n"
  end)
  if why then return nil, why end
  parts[#parts + 1] = ("--%s--\r\n"):format(mark)
  return table.concat(parts), "multipart/form-data; boundary=" .. mark
end

function body.form(form)
  if has_parts(form) then return multipart(form) end
  local text, why = url.encode_fields(form)
  if not text then return nil, why end
  return text, "application/x-www-form-urlencoded"
end

return body
