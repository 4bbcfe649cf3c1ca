-- SPDX-License-Identifier: MIT
-- HTTP from a server that the row itself starts: many small answers at once, a few slow ones.
local servers = require "support.servers"

local function clock() return require "parhost".monotonic() end

local IN_FLIGHT <const> = 100

local function many_gets(n)
  local async, http, url = require "async", require "http", os.getenv "BENCH_URL"
  local taken, bytes = 0, 0
  local start = clock()
  async.run(function()
    local session <close> = http.session { max_connections = IN_FLIGHT, max_per_host = IN_FLIGHT }
    local group <close> = async.task_group()
    for _ = 1, IN_FLIGHT do
      group:create_task(function()
        while taken < n do
          taken = taken + 1
          local body = session:get(url).body
          bytes = bytes + #body -- not in one statement with the call: other tasks add meanwhile
        end
      end)
    end
  end)
  return n / (clock() - start), bytes
end

-- Ten threads, as in scripts/io.lua.
local function slow_gets(n)
  local url = os.getenv "BENCH_URL"
  local pool <close> = require "thread_pool".new { max_workers = 10, min_workers = 10 }
  local urls, sum = {}, 0
  for i = 1, n do urls[i] = url end
  local function fetch(one) return #require "http".get(one, { timeout = 5 }).body end
  pool:submit(fetch, url):result()
  local start = clock()
  for _, length in pool:map(fetch, urls) do sum = sum + length end
  return (clock() - start) * 1e3, sum
end

local CURL <const> = [[
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long left, in_flight;
static size_t bytes;

static size_t count(char *data, size_t size, size_t n, void *unused) {
  (void)data, (void)unused;
  bytes += size * n;
  return size * n;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  long n = atol(argv[argc - 1]);
  left = n;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  CURLM *multi = curl_multi_init();
  double start = now();
  for (int i = 0; i < 100 && left > 0; i++, left--, in_flight++) {
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, getenv("BENCH_URL"));
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, count);
    curl_multi_add_handle(multi, easy);
  }
  while (in_flight > 0) {
    int running, queued;
    curl_multi_perform(multi, &running);
    for (CURLMsg *m; (m = curl_multi_info_read(multi, &queued)) != NULL;) {
      CURL *easy = m->easy_handle;
      curl_multi_remove_handle(multi, easy);
      in_flight--;
      if (left == 0) continue;
      left--;
      in_flight++;
      curl_multi_add_handle(multi, easy);
    }
    if (in_flight > 0) curl_multi_poll(multi, NULL, 0, 1000, NULL);
  }
  printf("%f %zu\n", (double)n / (now() - start), bytes);
  return 0;
}
]]

local THREADS <const> = [=[
import os, sys, time, urllib.request
from concurrent.futures import ThreadPoolExecutor
n = int(sys.argv[1])
def fetch(url): return len(urllib.request.urlopen(url, timeout=5).read())
with ThreadPoolExecutor(10) as pool:
    pool.submit(fetch, os.environ["BENCH_URL"]).result()
    start = time.perf_counter()
    total = sum(pool.map(fetch, [os.environ["BENCH_URL"]] * n))
    print((time.perf_counter() - start) * 1e3, total)
]=]

return {
  {
    id = "g1", what = "GETs of 1 KB from nginx, 100 in flight", unit = "1/s", more = true, n = 10000, smoke = 100,
    needs = { "async", "http" }, setup = servers.nginx, ours = many_gets, floor = 20e3, target = { 0.8, "libcurl multi, C" },
    peers = { { name = "libcurl multi, C", language = "c", flags = "-lcurl", code = CURL } },
  },
  {
    id = "g2", what = "8 URLs of 100 ms each, thread_pool of 10", unit = "ms", n = 8, smoke = 2,
    needs = { "thread_pool", "http" }, setup = servers.slow, ours = slow_gets, floor = 108, target = 103,
    peers = { { name = "ThreadPoolExecutor, urllib", language = "python", code = THREADS } },
  },
}
