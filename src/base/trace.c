/* SPDX-License-Identifier: MIT */
#include "base/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/utf8.h"

uint8_t ph_observed;

/* What all processes of the program share. */
struct shared {
  atomic_uint_least64_t last_id;
  atomic_int error; /* of a write */
  atomic_bool told; /* somebody has warned of it */
  atomic_bool closed;
};

static struct shared *shared;
static int trace_fd = -1;
static int64_t origin;

static void fail(int error) {
  int none = 0;
  atomic_compare_exchange_strong(&shared->error, &none, error);
}

/* --- opening, closing --------------------------------------------------------------------------------------- */

int64_t ph_trace_origin(void) {
  return origin;
}

void ph_trace_set_origin(void) {
  if (origin == 0) origin = ph_now();
}

static int open_file(const char *path) {
  if (path == NULL) return PH_FAULT(memfd) ? -1 : memfd_create("parhost-trace", MFD_CLOEXEC);
  int flags = O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOCTTY;
  int fd = open(path, O_RDWR | flags, 0666);
  return fd >= 0 ? fd : open(path, O_WRONLY | flags, 0666); /* what can only be written, as a pipe of others */
}

int ph_trace_open(const char *path, struct ph_err *err) {
  if (trace_fd >= 0) return ph_err_set(err, "invalid_state", 0, "a trace is being written already");
  void *memory = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return ph_err_os(err, "cannot begin a trace");
  int fd = open_file(path);
  if (fd < 0) {
    int saved = errno;
    munmap(memory, sizeof *shared);
    return ph_err_set(err, "os", saved, "cannot write the trace '%s': %s", path != NULL ? path : "in memory",
                      strerror(saved));
  }
  if (path == NULL) fcntl(fd, F_SETFL, O_APPEND);
  shared = memory;
  trace_fd = fd;
  ph_trace_set_origin();
  if (write(fd, "[\n", 2) != 2) fail(errno);
  ph_observed |= PH_OBSERVE_TRACE;
  return fd;
}

int ph_trace_fd(void) {
  return trace_fd;
}

void ph_trace_move_fd(int fd) {
  if (fd < 0) {
    fail(EMFILE);
    ph_observed &= (uint8_t)~PH_OBSERVE_TRACE;
  }
  trace_fd = fd;
}

uint64_t ph_trace_id(void) {
  return atomic_fetch_add_explicit(&shared->last_id, 1, memory_order_relaxed) + 1;
}

int ph_trace_close(void) {
  atomic_store(&shared->closed, true);
  return atomic_load(&shared->error);
}

int ph_trace_failure(void) {
  if (shared == NULL || atomic_load_explicit(&shared->error, memory_order_relaxed) == 0) return 0;
  return atomic_exchange(&shared->told, true) ? 0 : atomic_load(&shared->error);
}

pid_t ph_trace_tid(void) {
  return (pid_t)syscall(SYS_gettid);
}

/* --- pieces of JSON ----------------------------------------------------------------------------------------- */

static void put(struct ph_event *e, const char *bytes, size_t len) {
  if (ph_buf_put(&e->text, bytes, len) != 0) e->lost = true;
}

static void put_string(struct ph_event *e, const char *text) {
  put(e, text, strlen(text));
}

static bool is_plain(uint8_t c) {
  return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_special(struct ph_event *e, uint8_t c) {
  switch (c) {
    case '"': put_string(e, "\\\""); break;
    case '\\': put_string(e, "\\\\"); break;
    case '\n': put_string(e, "\\n"); break;
    case '\t': put_string(e, "\\t"); break;
    default: {
      const char escape[] = {'\\', 'u', '0', '0', (char)('0' + c / 16), "0123456789abcdef"[c % 16]};
      put(e, escape, sizeof escape);
    }
  }
}

static void put_quoted(struct ph_event *e, const char *text, size_t len) {
  const uint8_t *s = (const uint8_t *)text;
  put_string(e, "\"");
  for (size_t i = 0, n; i < len && i < PH_TRACE_TEXT_MAX; i += n) {
    for (n = 0; i + n < len && i + n < PH_TRACE_TEXT_MAX && is_plain(s[i + n]);) n++;
    if (n > 0) {
      put(e, text + i, n);
      continue;
    }
    n = ph_utf8_at(s + i, len - i);
    if (n > 1 && i + n > PH_TRACE_TEXT_MAX) break; /* not in the middle of a character */
    if (n == 0) put_string(e, "\xef\xbf\xbd");
    if (n == 1) put_special(e, s[i]);
    if (n > 1) put(e, text + i, n);
    if (n == 0) n = 1;
  }
  put_string(e, "\"");
}

static void put_key(struct ph_event *e, const char *key) {
  put_string(e, e->empty ? "\"" : ",\"");
  e->empty = false;
  put_string(e, key);
  put_string(e, "\":");
}

/* With a point in front of the last `decimals` digits. printf takes as long as all the rest of an event. */
static void put_number(struct ph_event *e, int64_t number, int decimals) {
  char text[32], *at = text + sizeof text;
  uint64_t n = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
  for (int digits = 0; n > 0 || digits <= decimals; digits++) {
    if (digits == decimals && decimals > 0) *--at = '.';
    *--at = (char)('0' + n % 10);
    n /= 10;
  }
  if (number < 0) *--at = '-';
  put(e, at, (size_t)(text + sizeof text - at));
}

static void put_us(struct ph_event *e, int64_t ns) {
  put_number(e, ns, 3);
}

/* --- events ------------------------------------------------------------------------------------------------- */

void ph_event_init(struct ph_event *e) {
  *e = (struct ph_event){.text = PH_BUF_INIT};
  if (ph_buf_reserve(&e->text, 1024) != 0) e->lost = true;
}

void ph_event_begin(struct ph_event *e, char phase, const char *category, int64_t when) {
  e->empty = true;
  e->in_args = false;
  put_string(e, "{");
  const char quoted[] = {'"', phase, '"'};
  put_key(e, "ph");
  put(e, quoted, sizeof quoted);
  ph_event_string(e, "cat", category);
  put_key(e, "ts");
  put_us(e, when - origin);
}

void ph_event_place(struct ph_event *e, pid_t pid, pid_t tid) {
  ph_event_integer(e, "pid", pid);
  ph_event_integer(e, "tid", tid);
}

void ph_event_here(struct ph_event *e) {
  ph_event_place(e, getpid(), ph_trace_tid());
}

void ph_event_text(struct ph_event *e, const char *key, const char *text, size_t len) {
  put_key(e, key);
  put_quoted(e, text, len);
}

void ph_event_string(struct ph_event *e, const char *key, const char *text) {
  if (text != NULL) ph_event_text(e, key, text, strlen(text));
}

void ph_event_integer(struct ph_event *e, const char *key, int64_t n) {
  put_key(e, key);
  put_number(e, n, 0);
}

void ph_event_us(struct ph_event *e, const char *key, int64_t ns) {
  put_key(e, key);
  put_us(e, ns);
}

void ph_event_strings(struct ph_event *e, const char *key, const char *const *texts, size_t n) {
  put_key(e, key);
  put_string(e, "[");
  for (size_t i = 0; i < n; i++) {
    if (i > 0) put_string(e, ",");
    put_quoted(e, texts[i], strlen(texts[i]));
  }
  put_string(e, "]");
}

void ph_event_signal(struct ph_event *e, int number) {
  char text[24];
  const char *name = sigabbrev_np(number);
  if (name != NULL)
    snprintf(text, sizeof text, "SIG%s", name);
  else
    snprintf(text, sizeof text, "signal %d", number);
  ph_event_string(e, "signal", text);
}

void ph_event_args(struct ph_event *e) {
  put_key(e, "args");
  put_string(e, "{");
  e->in_args = e->empty = true;
}

void ph_event_end(struct ph_event *e) {
  put_string(e, e->in_args ? "}},\n" : "},\n");
}

/* All of it by one call: what did not fit has ended the trace. */
static void write_out(const struct ph_buf *b) {
  ssize_t n;
  if (atomic_load_explicit(&shared->error, memory_order_relaxed) != 0) return;
  if (atomic_load_explicit(&shared->closed, memory_order_relaxed)) return;
  do n = PH_FAULT(trace) ? -1 : write(trace_fd, b->data, b->len);
  while (n < 0 && errno == EINTR);
  if (n != (ssize_t)b->len) fail(n < 0 ? errno : ENOSPC);
}

void ph_event_write(struct ph_event *e) {
  int saved = errno;
  if (!e->lost) write_out(&e->text);
  ph_buf_deinit(&e->text);
  errno = saved;
}

void ph_event_write_last(struct ph_event *e) {
  if (!e->lost) {
    e->text.len -= 2; /* ",\n" */
    put_string(e, "\n]\n");
  }
  ph_event_write(e);
}

void ph_event_begin_async(struct ph_event *e, char phase, const char *category, const char *name, uint64_t id) {
  ph_event_init(e);
  ph_event_begin(e, phase, category, ph_now());
  ph_event_string(e, "name", name);
  ph_event_integer(e, "id", (int64_t)id);
  ph_event_here(e);
  ph_event_args(e);
}

/* --- counters ----------------------------------------------------------------------------------------------- */

#define GAUGES_EVERY_NS 1000000

static pthread_mutex_t gauge_lock = PTHREAD_MUTEX_INITIALIZER; /* what follows */
static struct {
  pid_t owner;
  int64_t written;
  int values[PH_GAUGES];
  bool changed;
} gauges;

static void write_gauges(int64_t now) {
  struct ph_event e;
  gauges.written = now;
  gauges.changed = false;
  ph_event_init(&e);
  ph_event_begin(&e, 'C', NULL, now);
  ph_event_string(&e, "name", "async");
  ph_event_here(&e);
  ph_event_args(&e);
  ph_event_integer(&e, "tasks", gauges.values[PH_GAUGE_TASKS]);
  ph_event_integer(&e, "requests", gauges.values[PH_GAUGE_REQUESTS]);
  ph_event_end(&e);
  ph_event_write(&e);
}

void ph_trace_gauge(enum ph_gauge which, int change) {
  pthread_mutex_lock(&gauge_lock);
  if (gauges.owner != getpid()) { /* a copy of the process: what goes on is the other one's */
    memset(&gauges, 0, sizeof gauges);
    gauges.owner = getpid();
  }
  int64_t now = ph_now();
  if (gauges.values[which] + change >= 0) gauges.values[which] += change;
  gauges.changed = true;
  if (now - gauges.written >= GAUGES_EVERY_NS) write_gauges(now);
  pthread_mutex_unlock(&gauge_lock);
}

void ph_trace_settle(void) {
  pthread_mutex_lock(&gauge_lock);
  if (gauges.changed && gauges.owner == getpid()) write_gauges(ph_now());
  pthread_mutex_unlock(&gauge_lock);
}
