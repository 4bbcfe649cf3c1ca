-- SPDX-License-Identifier: MIT
-- Errors of kind "http": the word in `code` for each number of libcurl's, and the message.
local errors = require "futures.error"

local http_errors = {}

local WORDS <const> = {
  [1] = "protocol", [3] = "url", [4] = "unsupported", [5] = "resolve", [6] = "resolve", [7] = "connect",
  [8] = "bad_response", [16] = "bad_response", [18] = "incomplete", [22] = "status", [23] = "write", [26] = "read",
  [27] = "memory", [28] = "timeout", [35] = "tls", [43] = "bad_option", [47] = "too_many_redirects",
  [52] = "closed", [53] = "tls", [54] = "tls", [55] = "send", [56] = "receive", [58] = "tls", [59] = "tls",
  [60] = "tls", [61] = "bad_response", [63] = "body_too_large", [64] = "tls", [66] = "tls", [67] = "auth", [77] = "tls",
  [80] = "tls", [82] = "tls", [83] = "tls", [90] = "tls", [91] = "tls", [92] = "bad_response", [94] = "auth",
  [97] = "proxy", [98] = "tls",
}

local NUMBERS <const> = { body_too_large = 63, too_many_redirects = 47, timeout = 28, url = 3, protocol = 1 }

-- What libcurl says under a number that it uses for other things, too.
local function word_of(number, text)
  if number == 1 and text:find("HTTP/0.9", 1, true) then return "bad_response" end
  if number == 56 and text:find("chunk", 1, true) then return "bad_response" end
  return WORDS[number] or "failed"
end

-- An error about the request `plan` ({ method =, shown = its URL without secrets }).
function http_errors.new(plan, code, text, fields)
  fields = fields or {}
  fields.code, fields.url, fields.curl = code, plan.shown, fields.curl or NUMBERS[code]
  return errors.new("http", ("%s %s: %s"):format(plan.method, plan.shown, text), fields)
end

-- From the number and the words of libcurl.
function http_errors.of_curl(plan, number, text)
  text = text:sub(1, 1):lower() .. text:sub(2)
  return http_errors.new(plan, word_of(number, text), text, { curl = number })
end

return http_errors
