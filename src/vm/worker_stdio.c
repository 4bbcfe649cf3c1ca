/* SPDX-License-Identifier: MIT
 * stdout of a worker is a stream of ours (fopencookie): it keeps the beginning of a line back until its end comes, and
 * writes whole lines under a lock that all workers of the host share. The lock is a robust mutex in a page that the
 * zygote inherits: when a worker dies with it, the next one goes on. What there is of a line when somebody flushes, and at
 * the end of a task, is written as it is. Nobody reads any more (EPIPE): the text is dropped, as print does. */
#include "vm/worker_stdio.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUFFER ((size_t)1 << 16)
#define LINE_MAX_BYTES ((size_t)1 << 20) /* a longer line goes out in pieces */

static pthread_mutex_t *output_lock;

void ph_worker_stdio_share(void) {
  pthread_mutexattr_t attr;
  if (output_lock != NULL) return;
  void *page = mmap(NULL, sizeof *output_lock, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return;
  pthread_mutexattr_init(&attr);
  pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(page, &attr);
  pthread_mutexattr_destroy(&attr);
  output_lock = page;
}

static void lock(void) {
  if (output_lock != NULL && pthread_mutex_lock(output_lock) == EOWNERDEAD) pthread_mutex_consistent(output_lock);
}

static void unlock(void) {
  if (output_lock != NULL) pthread_mutex_unlock(output_lock);
}

static int write_all(const char *bytes, size_t n) {
  while (n > 0) {
    ssize_t done = write(STDOUT_FILENO, bytes, n);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return -1;
    bytes += done;
    n -= (size_t)done;
  }
  return 0;
}

struct output {
  char *line; /* the beginning of a line whose end has not come */
  size_t len, cap;
};

static struct output output;

static int keep(const char *bytes, size_t n) {
  if (output.cap - output.len < n) {
    size_t cap = output.len + n + 256;
    char *line = realloc(output.line, cap);
    if (line == NULL) return -1;
    output.line = line;
    output.cap = cap;
  }
  memcpy(output.line + output.len, bytes, n);
  output.len += n;
  return 0;
}

/* What was kept, and these bytes. */
static int release(const char *bytes, size_t n) {
  lock();
  int status = write_all(output.line, output.len);
  if (status == 0) status = write_all(bytes, n);
  int saved = errno;
  unlock();
  output.len = 0;
  errno = saved;
  return status;
}

static ssize_t on_write(void *cookie, const char *bytes, size_t n) {
  const char *last = memrchr(bytes, '\n', n);
  size_t whole = last != NULL ? (size_t)(last - bytes) + 1 : 0;
  (void)cookie;
  if (whole > 0 && release(bytes, whole) != 0) return 0;
  size_t rest = n - whole;
  if (rest == 0) return (ssize_t)n;
  bool asked = rest < BUFFER / 2; /* a short rest comes only from a flush */
  if (asked || output.len + rest > LINE_MAX_BYTES || keep(bytes + whole, rest) != 0)
    if (release(bytes + whole, rest) != 0) return 0;
  return (ssize_t)n;
}

void ph_worker_stdio_flush(void) {
  if (__fpending(stdout) > 0) fflush(stdout);
  if (output.len > 0) release(NULL, 0);
}

void ph_worker_stdio_open(void) {
  const cookie_io_functions_t functions = {.write = on_write};
  FILE *stream = fopencookie(NULL, "w", functions);
  char *buffer = malloc(BUFFER); /* glibc takes the size seriously only together with a buffer */
  if (stream == NULL || buffer == NULL) return;
  setvbuf(stream, buffer, _IOLBF, BUFFER);
  stdout = stream;
}
