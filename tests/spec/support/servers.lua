-- SPDX-License-Identifier: MIT
-- Servers for specs of HTTP, on free ports of the loopback interface: nginx, and one that misbehaves. Each lives until it is
-- stopped, or until this process ends, whatever way: it watches a pipe that we hold.
local run = require "support.run"

local servers = {}

local Server = {}
Server.__index = Server

-- Runs a shell command that gets the path of a pipe in $FIFO and writes one line to it when it is ready. Gives the line.
local function start(command, folder)
  local fifo = folder .. "/fifo"
  assert(os.execute("mkfifo " .. fifo))
  local pipe = assert(io.popen(("FIFO=%s; export FIFO; %s"):format(fifo, command), "w"))
  local file = assert(io.open(fifo, "r"))
  local line = file:read("l")
  file:close()
  os.remove(fifo)
  return pipe, assert(line, "the server did not start")
end

local function temporary_folder()
  local pipe = assert(io.popen("mktemp -d"))
  local folder = pipe:read("l")
  pipe:close()
  return folder
end

function Server:stop()
  if not self.pipe then return end
  self.pipe:close() -- waits for its end
  self.pipe = nil
  os.execute("rm -rf " .. self.folder)
end

Server.__close = Server.stop
Server.__gc = Server.stop

-- .url, .tls_url (nothing but noise there), .full_url (connecting hangs)
function servers.bad()
  local folder = temporary_folder()
  local pipe, line = start("exec python3 tests/spec/support/bad_server.py $FIFO", folder)
  local port, full = line:match("(%d+) (%d+)")
  return setmetatable({
    folder = folder, pipe = pipe,
    host = "127.0.0.1:" .. port, other_host = "localhost:" .. port,
    url = "http://127.0.0.1:" .. port, other_url = "http://localhost:" .. port,
    tls_url = "https://127.0.0.1:" .. port, full_url = "http://127.0.0.1:" .. full,
  }, Server)
end

-- nginx -----------------------------------------------------------------------------------------------------

local CERTIFICATES = [[
set -e; cd %s
key="ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
openssl req -x509 -newkey $key -keyout ca.key -out ca.pem -subj /CN=Test -days 2
for name in server client; do openssl req -newkey $key -keyout $name.key -out $name.csr -subj /CN=$name; done
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' >names
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days -1 -extfile names -out expired.pem
openssl x509 -req -in server.csr -signkey server.key -days 2 -extfile names -out selfsigned.pem
openssl x509 -req -in client.csr -CA ca.pem -CAkey ca.key -days 2 -out client.pem
printf 'user:%%s\n' "$(openssl passwd -apr1 secret)" >passwords
]]

local FILES = [[
set -e; cd %s; mkdir www
head -c 1024 /dev/zero | tr '\0' 'k' >www/1k
seq 200000 >www/numbers
truncate -s 10G www/huge
head -c 50000000 /dev/zero | gzip >www/bomb
yes compressible | head -c 100000 >www/text.txt
]]

local CONFIGURATION = [[
user root; worker_processes 1; pid $dir/pid; error_log $dir/error.log;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/fastcgi;
  uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi; default_type application/octet-stream; keepalive_requests 1000000;
  gzip on; gzip_types text/plain; types { text/plain txt; } client_max_body_size 100m;
  ssl_certificate_key $dir/server.key; ssl_client_certificate $dir/ca.pem; ssl_verify_client optional;
  server {
    listen 127.0.0.1:$plain; listen 127.0.0.1:$tls ssl http2; ssl_certificate $dir/server.pem; root $dir/www;
    location = /old { return 302 /1k; }
    location = /new { return 301 http://127.0.0.1:$plain/1k; }
    location = /missing { return 404 "not here"; }
    location = /protocol { return 200 "$server_protocol"; }
    location = /client { return 200 "$ssl_client_verify"; }
    location = /bomb { add_header Content-Encoding gzip; }
    location = /cookie { add_header Set-Cookie "color=green; Path=/"; return 200 "set"; }
    location = /cookies { return 200 "$http_cookie"; }
    location = /query { return 200 "$args"; }
    location = /json { return 200 '{"n": 9007199254740993, "x": 1.5, "list": [1, null, true], "none": {}}'; }
    location = /bad-json { return 200 '{"a": 1,\n "b": oops}'; }
    location = /private/file { auth_basic "x"; auth_basic_user_file $dir/passwords; alias $dir/www/1k; }
  }
  server { listen 127.0.0.1:$expired ssl; ssl_certificate $dir/expired.pem; return 200; }
  server { listen 127.0.0.1:$selfsigned ssl; ssl_certificate $dir/selfsigned.pem; return 200; }
}
]]

-- Ports that were free a moment ago.
local function free_ports(n)
  local pipe = assert(io.popen(([[python3 -c "
import socket
all = [socket.socket() for _ in range(%d)]
for s in all: s.bind(('127.0.0.1', 0))
print(*[s.getsockname()[1] for s in all])"]]):format(n)))
  local ports = {}
  for port in pipe:read("l"):gmatch("%d+") do ports[#ports + 1] = port end
  pipe:close()
  return ports
end

local function shell(text, folder)
  local result = run.sh(text:format(folder))
  assert(result.code == 0, result.err)
end

local RUN = [[cd %s; nginx -e error.log -c $PWD/nginx.conf </dev/null && echo ready >$FIFO || echo >$FIFO;
  read line; pid=$(cat pid); kill -TERM $pid; while kill -0 $pid 2>/dev/null; do sleep 0.02; done]]

-- .url, .tls_url, .expired_url, .selfsigned_url; .file(name) gives a path in its folder: ca.pem, client.pem, ...
function servers.nginx()
  local folder = temporary_folder()
  shell(CERTIFICATES, folder)
  shell(FILES, folder)
  local ports = free_ports(4)
  local values = { dir = folder, plain = ports[1], tls = ports[2], expired = ports[3], selfsigned = ports[4] }
  local file = assert(io.open(folder .. "/nginx.conf", "w"))
  file:write((CONFIGURATION:gsub("%$(%l+)", values)))
  file:close()
  local pipe, line = start(RUN:format(folder), folder)
  assert(line == "ready", "nginx did not start")
  return setmetatable({
    folder = folder, pipe = pipe, url = "http://127.0.0.1:" .. ports[1], tls_url = "https://localhost:" .. ports[2],
    expired_url = "https://localhost:" .. ports[3], selfsigned_url = "https://localhost:" .. ports[4],
    file = function(name) return folder .. "/" .. name end,
  }, Server)
end

return servers
