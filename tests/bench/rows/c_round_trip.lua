-- SPDX-License-Identifier: MIT
-- One task in flight: what a single round trip takes, in the middle of many.
local function clock() return require "parhost".monotonic() end

local function same(i) return i end

local function round_trips(module)
  return function(n)
    local pool <close> = require(module).new(1)
    for i = 1, 100 do pool:submit(same, i):result() end
    local times, sum = {}, 0
    for i = 1, n do
      local start = clock()
      sum = sum + pool:submit(same, i):result()
      times[i] = clock() - start
    end
    table.sort(times)
    return times[(n + 1) // 2] * 1e6, sum == n * (n + 1) // 2
  end
end

local PYTHON <const> = [[
import sys, time
from concurrent.futures import %s as Executor
def same(i): return i
if __name__ == "__main__":
    n = int(sys.argv[1])
    times, total = [], 0
    with Executor(1) as pool:
        for i in range(100): pool.submit(same, i).result()
        for i in range(1, n + 1):
            start = time.perf_counter()
            total += pool.submit(same, i).result()
            times.append(time.perf_counter() - start)
    print(sorted(times)[(n - 1) // 2] * 1e6, str(total == n * (n + 1) // 2).lower())
]]

-- The raw way there and back: eight bytes, a blocking read on each side.
local C_HEAD <const> = [[
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}
]]

local PIPE <const> = C_HEAD .. [[
int main(int argc, char **argv) {
  long n = atol(argv[argc - 1]), value, sum = 0;
  int there[2], back[2];
  double *times = malloc((size_t)n * sizeof *times);
  if (pipe(there) != 0 || pipe(back) != 0) return 1;
  if (fork() == 0) {
    close(there[1]);
    while (read(there[0], &value, sizeof value) == sizeof value)
      if (write(back[1], &value, sizeof value) < 0) _exit(1);
    _exit(0);
  }
  for (long i = 1; i <= n; i++) {
    double start = now();
    if (write(there[1], &i, sizeof i) < 0 || read(back[0], &value, sizeof value) < 0) return 1;
    times[i - 1] = now() - start;
    sum += value;
  }
  qsort(times, (size_t)n, sizeof *times, ascending);
  printf("%f %s\n", times[(n - 1) / 2], sum == n * (n + 1) / 2 ? "true" : "false");
  return 0;
}
]]

local CONDVAR <const> = C_HEAD .. [[
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed[2] = {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER};
static long box[2]; /* 0: to the thread, 1: back; 0 is empty */

static long swap(int give, long value, int take) {
  pthread_mutex_lock(&lock);
  if (value != 0) {
    box[give] = value;
    pthread_cond_signal(&changed[give]);
  }
  while (box[take] == 0) pthread_cond_wait(&changed[take], &lock);
  value = box[take];
  box[take] = 0;
  pthread_mutex_unlock(&lock);
  return value;
}

static void *echo(void *unused) {
  for (long value = 0;;) value = swap(1, value, 0);
  return unused;
}

int main(int argc, char **argv) {
  long n = atol(argv[argc - 1]), sum = 0;
  pthread_t thread;
  double *times = malloc((size_t)n * sizeof *times);
  if (pthread_create(&thread, NULL, echo, NULL) != 0) return 1;
  for (long i = 1; i <= n; i++) {
    double start = now();
    sum += swap(0, i, 1);
    times[i - 1] = now() - start;
  }
  qsort(times, (size_t)n, sizeof *times, ascending);
  printf("%f %s\n", times[(n - 1) / 2], sum == n * (n + 1) / 2 ? "true" : "false");
  return 0;
}
]]

local function row(id, module, raw_name, raw, executor)
  return {
    id = id, what = "round trip, one task in flight, " .. module, unit = "us", n = 5000, smoke = 50, needs = { module },
    ours = round_trips(module), floor = { 1.25, raw_name }, target = 10,
    peers = {
      { name = raw_name, language = "c", code = raw },
      { name = executor, language = "python", scale = 0.2, code = PYTHON:format(executor) },
    },
  }
end

return {
  row("c", "proc_pool", "raw pipe", PIPE, "ProcessPoolExecutor"),
  row("ct", "thread_pool", "condition variable", CONDVAR, "ThreadPoolExecutor"),
}
