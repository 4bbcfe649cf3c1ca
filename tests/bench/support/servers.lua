-- SPDX-License-Identifier: MIT
-- HTTP servers on a free port of the loopback, for the rows that need one. A row's `setup` is one of these: it gets a
-- folder and gives { url =, stop = function }, or nil and what is missing.
local sides = require "support.sides"

local servers = {}

local quote = sides.quote

local function write_file(path, text)
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(text))
end

local function read_line(path)
  local file = io.open(path)
  local line = file and file:read "l"
  if file then file:close() end
  return line
end

local function stopper(pid)
  return function() os.execute(("kill %d 2>/dev/null"):format(pid)) end
end

local NGINX <const> = [[
worker_processes 1; pid "%s/pid"; error_log "%s/error.log"; daemon on;
events { worker_connections %d; }
http { access_log off; keepalive_requests 1000000; client_body_temp_path "%s"; proxy_temp_path "%s";
  fastcgi_temp_path "%s"; uwsgi_temp_path "%s"; scgi_temp_path "%s";
  server { listen 127.0.0.1:%d backlog=4096; location / { return 200 "%s"; } } }
]]

-- 1 KB for every request, on so many connections (default 1000).
function servers.nginx(folder, connections)
  local nginx = "PATH=$PATH:/usr/sbin nginx"
  if not os.execute(nginx .. " -v >/dev/null 2>&1") then return nil, "nginx is not installed here" end
  folder = folder .. "/nginx"
  assert(os.execute("mkdir -p " .. quote(folder)))
  local pipe <close> = io.popen("cd " .. quote(folder) .. " && pwd")
  folder = pipe:read "l"
  for _ = 1, 20 do
    local port = math.random(20000, 50000)
    local f, most = folder, (connections or 1000) + 24
    write_file(folder .. "/nginx.conf", NGINX:format(f, f, most, f, f, f, f, f, port, ("x"):rep(1024)))
    if os.execute(("%s -p %s -c %s 2>/dev/null"):format(nginx, quote(folder), quote(folder .. "/nginx.conf"))) then
      return { url = ("http://127.0.0.1:%d/"):format(port), stop = stopper(tonumber(read_line(folder .. "/pid"))) }
    end
  end
  return nil, "nginx does not start"
end

local SLOW <const> = [[
import asyncio, os
async def answer(reader, writer):
    try:
        while (line := await reader.readline()).strip():
            while (await reader.readline()).strip(): pass
            await asyncio.sleep(0.1)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024)
            await writer.drain()
    except ConnectionError: pass
    finally: writer.close()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(os.getpid(), server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(300)
asyncio.run(main())
]]

-- Every answer takes 100 ms.
function servers.slow(folder)
  local program, said = folder .. "/programs/slow-server.py", folder .. "/programs/slow-server.port"
  write_file(program, SLOW)
  os.remove(said)
  if not os.execute "command -v python3 >/dev/null 2>&1" then return nil, "python3 is not installed here" end
  os.execute(("python3 %s >%s 2>/dev/null &"):format(quote(program), quote(said)))
  for _ = 1, 100 do
    local pid, port = (read_line(said) or ""):match "^(%d+) (%d+)"
    if pid then return { url = ("http://127.0.0.1:%s/"):format(port), stop = stopper(tonumber(pid)) } end
    os.execute "sleep 0.05"
  end
  return nil, "the slow server does not start"
end

return servers
