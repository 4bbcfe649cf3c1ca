-- SPDX-License-Identifier: MIT
-- Big values there and back: a 10 MB string, 100 k integers, 100 k records.
local function clock() return require "parhost".monotonic() end

local MAKE <const> = {
  d1 = function(n) return ("x"):rep(n * 100) end,
  d2 = function(n)
    local list = {}
    for i = 1, n do list[i] = i * 7 end
    return list
  end,
  d3 = function(n)
    local list = {}
    for i = 1, n do list[i] = { id = i, name = "name" .. i, x = i / 2 } end
    return list
  end,
}

local CHECK <const> = {
  d1 = function(s) return #s end,
  d2 = function(list) return list[#list] end,
  d3 = function(list) return list[#list].name end,
}

local ROUNDS <const> = 5

local function echo(value) return value end

local function there_and_back(kind, module)
  return function(n)
    local pool <close> = require(module).new(1)
    local value, times, back = MAKE[kind](n), {}, nil
    pool:submit(echo, value):result()
    for k = 1, ROUNDS do
      back = nil -- luacheck: ignore
      collectgarbage()
      local start = clock()
      back = pool:submit(echo, value):result()
      times[k] = clock() - start
    end
    table.sort(times)
    return times[ROUNDS // 2 + 1] * 1e3, CHECK[kind](back)
  end
end

local PYTHON <const> = [[
import sys, time, gc
from concurrent.futures import %s as Executor
def echo(value): return value
if __name__ == "__main__":
    n = int(sys.argv[1])
    value, times = %s, []
    with Executor(1) as pool:
        pool.submit(echo, value).result()
        for _ in range(5):
            back = None
            gc.collect()
            start = time.perf_counter()
            back = pool.submit(echo, value).result()
            times.append(time.perf_counter() - start)
    print(sorted(times)[2] * 1e3, %s)
]]

local PYTHON_VALUE <const> = {
  d1 = { "b'x' * (n * 100)", "len(back)" },
  d2 = { "[i * 7 for i in range(1, n + 1)]", "back[-1]" },
  d3 = { "[{'id': i, 'name': 'name' + str(i), 'x': i / 2} for i in range(1, n + 1)]", "back[-1]['name']" },
}

local SOCKETPAIR <const> = [[
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void receive(int fd, char *to, size_t len) {
  for (ssize_t n; len > 0; to += n, len -= (size_t)n)
    if ((n = read(fd, to, len)) <= 0) _exit(0);
}

static void give(int fd, const char *from, size_t len) {
  for (ssize_t n; len > 0; from += n, len -= (size_t)n)
    if ((n = write(fd, from, len)) <= 0) _exit(1);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
  size_t len = (size_t)atol(argv[argc - 1]) * 100;
  char *bytes = malloc(len);
  double times[5];
  int pair[2];
  memset(bytes, 'x', len);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return 1;
  if (fork() == 0) {
    close(pair[0]);
    for (;;) {
      receive(pair[1], bytes, len);
      give(pair[1], bytes, len);
    }
  }
  close(pair[1]);
  for (int i = -1; i < 5; i++) {
    double start = now();
    give(pair[0], bytes, len);
    receive(pair[0], bytes, len);
    if (i >= 0) times[i] = now() - start;
  }
  qsort(times, 5, sizeof *times, ascending);
  printf("%f %zu\n", times[2], len);
  return 0;
}
]]

local function row(kind, module, what, executor, floor, target, limit)
  local value = PYTHON_VALUE[kind]
  return {
    id = kind .. (module == "thread_pool" and "t" or ""), what = ("%s there and back, %s"):format(what, module),
    unit = "ms", n = 100000, smoke = 100, needs = { module }, ours = there_and_back(kind, module), floor = floor,
    target = target,
    peers = { { name = executor, language = "python", code = PYTHON:format(executor, value[1], value[2]) }, limit },
  }
end

local PYTHON_POOL <const> = "ProcessPoolExecutor"
local socket <const> = { name = "socketpair (limit)", language = "c", code = SOCKETPAIR }

return {
  row("d1", "proc_pool", "10 MB string", PYTHON_POOL, { 24 / 48, PYTHON_POOL }, { 10 / 48, PYTHON_POOL }, socket),
  row("d2", "proc_pool", "100 k integers", PYTHON_POOL, { 1, PYTHON_POOL }, { 5 / 8.8, PYTHON_POOL }),
  row("d3", "proc_pool", "100 k records {id, name, x}", PYTHON_POOL, { 1, PYTHON_POOL }, { 125 / 179, PYTHON_POOL }),
  row("d1", "thread_pool", "10 MB string", "ThreadPoolExecutor", 10, 4),
  row("d2", "thread_pool", "100 k integers", "ThreadPoolExecutor", 8.8, 5),
  row("d3", "thread_pool", "100 k records {id, name, x}", "ThreadPoolExecutor", 179, 125),
}
