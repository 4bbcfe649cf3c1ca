-- SPDX-License-Identifier: MIT
-- What loading http costs, and waits in which the network has not been reached yet.
package.path = "tests/spec/?.lua;" .. package.path
local program = require "support.program"
local servers = require "support.servers"

-- A library that makes each name take seconds to resolve.
local SLOW_RESOLVER = [[
#include <netdb.h>
#include <unistd.h>
int getaddrinfo(const char *n, const char *s, const struct addrinfo *h, struct addrinfo **r) {
  (void)n, (void)s, (void)h, (void)r;
  sleep(5);
  return EAI_AGAIN;
}
]]

-- Wants to be loaded before any other.
local sanitizer = io.open("/proc/self/maps"):read("a"):match("(%S+/libasan[^\n]+)")

-- A system without libcurl.
local NO_LIBCURL = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
void *dlopen(const char *name, int flags) {
  void *(*real)(const char *, int) = dlsym(RTLD_NEXT, "dlopen");
  return real(name != NULL && strstr(name, "libcurl") ? "/nowhere/libcurl.so" : name, flags);
}
]]

-- Runs a program with a library, given as source, in front of all others.
local function run_with(library_source, text)
  local source = os.tmpname()
  local library = source .. ".so"
  local file = assert(io.open(source, "w"))
  file:write(library_source)
  file:close()
  assert(os.execute(("cc -shared -fPIC -x c -o %s %s"):format(library, source)))
  local out, err, code = program.run(text, "LD_PRELOAD=" .. (sanitizer and sanitizer .. ":" or "") .. library)
  os.remove(source)
  os.remove(library)
  return { out, err, code }
end

describe("http", function()
  it("loads libcurl at the first request", function()
    local out = program.run [[
      local http = require "http"
      local session = http.session { timeout = 1 }
      local function loaded() return io.open("/proc/self/maps"):read("a"):find("libcurl") ~= nil end
      print(loaded())
      print(pcall(session.get, session, "http://127.0.0.1:1/"))
      print(loaded())
    ]]
    assert.matches("^false\nfalse\tparhost.http: GET http://127.0.0.1:1/: failed to connect .*\ntrue\n$", out)
  end)

  it("says which package is missing", function()
    local result = run_with(NO_LIBCURL, [[
      local ok, err = pcall(require("http").get, "http://127.0.0.1:1/")
      print(ok, err.kind, err.message)
    ]])
    assert.same({ "false\thttp\tHTTP needs libcurl, which cannot be loaded (Debian's package is libcurl4): "
      .. "/nowhere/libcurl.so: cannot open shared object file: No such file or directory\n", "", 0 }, result)
  end)

  it("IO-17 IO-25 does not wait for a slow resolver", function()
    local result = run_with(SLOW_RESOLVER, [[
      local http, parhost = require "http", require "parhost"
      local begun = parhost.monotonic()
      local ok, err = pcall(http.get, "http://host.invalid/", { timeout = 0.3 })
      print(ok, err.code, err.message:match("while (.*)"), parhost.monotonic() - begun < 2)
    ]])
    assert.same({ "false\ttimeout\tresolving the name\ttrue\n", "", 0 }, result)
  end)

  it("leaves nothing open behind", function()
    local server <close> = servers.bad()
    local out, err, code = program.run((([[
      local http = require "http"
      local path = os.tmpname()
      local function open_files() -- without a pipe of our own
        os.execute("ls /proc/$PPID/fd | wc -l >" .. path)
        local file <close> = io.open(path)
        return file:read("n")
      end
      pcall(http.get, "http://127.0.0.1:1/")
      local before = open_files()
      for _ = 1, 3 do
        do
          local session <close> = http.session()
          assert(session:get("URL/echo").status == 200)
          assert(not pcall(session.get, session, "URL/silent", { timeout = 0.05 }))
          local response = session:get("URL/drip", { stream = true })
          response = nil
        end
        local dropped = http.session()
        dropped:get("URL/drip", { stream = true })
        dropped = nil
        collectgarbage()
        collectgarbage()
      end
      print(before == open_files())
      os.remove(path)
    ]]):gsub("URL", server.url)))
    assert.same({ "true\n", "", 0 }, { out, err, code })
  end)
end)
