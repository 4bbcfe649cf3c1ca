-- SPDX-License-Identifier: MIT
-- A process, a thread, a request and a coroutine in one task group, under one time limit.
--   parhost scripts/mixed.lua [URL]       without a URL: a small server of our own (python3 -m http.server)
local async = require "async"
local http = require "http"

local function sum_of_squares(n)
  local sum = 0
  for i = 0, n - 1 do sum = sum + i * i end
  return sum
end

-- Starts a server on a free port of the loopback interface; gives it and its URL.
local function serve()
  local server = async.process {
    "python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "0", stdout = "pipe", stderr = "null",
  }
  local port = server:read("l"):match("port (%d+)")
  return server, ("http://127.0.0.1:%s/"):format(port)
end

local function main(url)
  local process, thread, request, sleeper
  do
    local _ <close> = async.timeout(10)
    local tg <close> = async.task_group()
    process = tg:create_task(async.to_process, sum_of_squares, 1000000)
    thread = tg:create_task(async.to_thread, sum_of_squares, 1000000)
    request = tg:create_task(http.get, url)
    sleeper = tg:create_task(function()
      async.sleep(0.2)
      return "slept"
    end)
  end
  print("process:   " .. process:result())
  print("thread:    " .. thread:result())
  print("request:   " .. request:result().status)
  print("coroutine: " .. sleeper:result())
end

async.run(function()
  if arg[1] then return main(arg[1]) end
  local _ <close>, url = serve()
  main(url)
end)
