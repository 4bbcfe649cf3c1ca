/* SPDX-License-Identifier: MIT
 * stdout of a worker is a stream of ours (fopencookie): it keeps the beginning of a line back until its end comes, and
 * writes whole lines under the lock that all workers of the host share (screen.h). What there is of a line when somebody
 * flushes, and at the end of a task, is written as it is. Nobody reads any more (EPIPE): the text is dropped, as print does.
 *
 * A process has one such stream, in place of stdout. Each thread has one of its own, in place of its state's io.stdout,
 * and its lines go through the stdout of the program, behind what that holds back. */
#include "vm/worker_stdio.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "vm/screen.h"

#define BUFFER ((size_t)1 << 16)
#define THREAD_BUFFER ((size_t)BUFSIZ)   /* what a stream takes by itself, at the first byte */
#define LINE_MAX_BYTES ((size_t)1 << 20) /* a longer line goes out in pieces */

struct output {
  FILE *stream; /* of a thread; a process has it as stdout */
  size_t buffer;
  char *line; /* the beginning of a line whose end has not come */
  size_t len, cap;
  char tag[96];   /* stands in front of each line */
  bool in_a_line; /* that has been written up to here */
};

static _Thread_local struct output output = {.buffer = BUFFER};

/* The program's own stdout: a stream of the line editor may stand in for it, and threads must not look at the C library's
 * variable meanwhile. NULL: that is right, and nobody changes it. */
static FILE *_Atomic kept_stdout;

void ph_worker_stdio_keep(FILE *stream) {
  atomic_store(&kept_stdout, stream);
}

static FILE *program_stdout(void) {
  FILE *kept = atomic_load(&kept_stdout);
  return kept != NULL ? kept : stdout;
}

static bool write_through_stdout(const char *bytes, size_t n) {
  FILE *stream = program_stdout();
  flockfile(stream);
  bool ok = fwrite_unlocked(bytes, 1, n, stream) == n && fflush_unlocked(stream) == 0;
  funlockfile(stream);
  return ok;
}

static bool write_all(const char *bytes, size_t n) {
  if (output.stream != NULL) return n == 0 || write_through_stdout(bytes, n);
  return ph_screen_put(STDOUT_FILENO, bytes, n);
}

static int keep(const char *bytes, size_t n) {
  if (output.cap - output.len < n) {
    size_t cap = output.len + n + 256;
    char *line = ph_realloc(output.line, cap);
    if (line == NULL) return -1;
    output.line = line;
    output.cap = cap;
  }
  memcpy(output.line + output.len, bytes, n);
  output.len += n;
  return 0;
}

static bool ends_line(const char *bytes, size_t n) {
  return n > 0 ? bytes[n - 1] == '\n' : output.len == 0 || output.line[output.len - 1] == '\n';
}

void ph_worker_stdio_tag(const char *text) {
  snprintf(output.tag, sizeof output.tag, "%s", text);
}

/* -1: no memory for it. */
static int add_tagged(struct ph_buf *to, const char *bytes, size_t n) {
  while (n > 0) {
    const char *newline = memchr(bytes, '\n', n);
    size_t len = newline != NULL ? (size_t)(newline - bytes) + 1 : n;
    if (!output.in_a_line && ph_buf_put(to, output.tag, strlen(output.tag)) != 0) return -1;
    if (ph_buf_put(to, bytes, len) != 0) return -1;
    output.in_a_line = newline == NULL;
    bytes += len;
    n -= len;
  }
  return 0;
}

/* What was kept, and these bytes. */
static bool write_both(const char *bytes, size_t n) {
  struct ph_buf tagged = PH_BUF_INIT;
  if (output.tag[0] != '\0' && add_tagged(&tagged, output.line, output.len) == 0 && add_tagged(&tagged, bytes, n) == 0) {
    bool ok = write_all((const char *)tagged.data, tagged.len);
    ph_buf_deinit(&tagged);
    return ok;
  }
  ph_buf_deinit(&tagged);
  return write_all(output.line, output.len) && write_all(bytes, n);
}

static int release(const char *bytes, size_t n) {
  ph_screen_lock();
  bool edited = ph_screen_hide(STDOUT_FILENO);
  bool ok = write_both(bytes, n);
  int saved = errno;
  if (edited) {
    if (!ends_line(bytes, n)) write_all("\n", 1);
    output.in_a_line = false;
    ph_screen_show();
  }
  ph_screen_unlock();
  output.len = 0;
  errno = saved;
  return ok ? 0 : -1;
}

static ssize_t on_write(void *cookie, const char *bytes, size_t n) {
  const char *last = memrchr(bytes, '\n', n);
  size_t whole = last != NULL ? (size_t)(last - bytes) + 1 : 0;
  (void)cookie;
  if (whole > 0 && release(bytes, whole) != 0) return 0;
  size_t rest = n - whole;
  if (rest == 0) return (ssize_t)n;
  bool asked = rest < output.buffer / 2; /* a short rest comes only from a flush */
  if (asked || output.len + rest > LINE_MAX_BYTES || keep(bytes + whole, rest) != 0)
    if (release(bytes + whole, rest) != 0) return 0;
  return (ssize_t)n;
}

/* Lines on the terminal, where one may be shown below them. */
static ssize_t on_error_write(void *cookie, const char *bytes, size_t n) {
  (void)cookie;
  ph_screen_lock();
  bool hidden = ph_screen_hide(STDERR_FILENO);
  bool ok = ph_screen_put(STDERR_FILENO, bytes, n);
  if (hidden && n > 0 && bytes[n - 1] != '\n') ph_screen_put(STDERR_FILENO, "\n", 1);
  ph_screen_show();
  ph_screen_unlock();
  return ok ? (ssize_t)n : 0;
}

static int on_seek(void *cookie, off64_t *offset, int whence) {
  (void)cookie, (void)offset, (void)whence;
  errno = ESPIPE;
  return -1;
}

static FILE *open_stream_of(cookie_write_function_t *write) {
  return fopencookie(NULL, "w", (cookie_io_functions_t){.write = write, .seek = on_seek});
}

static void open_errors(void) {
  FILE *stream = isatty(STDERR_FILENO) ? open_stream_of(on_error_write) : NULL;
  if (stream == NULL) return;
  setvbuf(stream, NULL, _IOLBF, 0);
  stderr = stream;
}

static void flush(FILE *stream) {
  if (__fpending(stream) > 0) fflush(stream);
}

/* Of a thread's errors there is nothing to flush: that stream keeps nothing back, and may be changing as well. */
void ph_worker_stdio_flush(void) {
  if (output.stream != NULL) {
    flush(output.stream);
    flush(program_stdout());
  } else {
    flush(stdout);
    flush(stderr);
  }
  if (output.len > 0) release(NULL, 0);
}

void ph_worker_stdio_open(void) {
  static char buffer[BUFFER]; /* glibc takes the size seriously only together with a buffer */
  FILE *stream = open_stream_of(on_write);
  if (stream == NULL) return;
  setvbuf(stream, buffer, _IOLBF, BUFFER);
  stdout = stream;
  ph_worker_stdio_keep(NULL);
  open_errors();
}

/* --- threads ---------------------------------------------------------------------------------------------- */

/* As stock print, to the stream of this thread. */
static int print(lua_State *L) {
  FILE *stream = output.stream;
  int n = lua_gettop(L);
  for (int i = 1; i <= n; i++) {
    size_t len;
    const char *text = luaL_tolstring(L, i, &len);
    if (i > 1) putc_unlocked('\t', stream);
    fwrite_unlocked(text, 1, len, stream);
    lua_pop(L, 1);
  }
  putc_unlocked('\n', stream);
  return 0;
}

/* io.open, io.popen (upvalue 1). A stream that is read from is locked while it waits, and io.popen flushes all streams of
 * the process, in all its threads: one that waits would hold up the others. A stream belongs to one state, so it needs
 * no lock; one that is written to keeps it, as flushing is writing. */
static int open_stream(lua_State *L) {
  luaL_checkstring(L, 1);
  const char *mode = luaL_optstring(L, 2, "r");
  bool only_read = *mode == 'r' && strchr(mode, '+') == NULL;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  const luaL_Stream *stream = luaL_testudata(L, 1, LUA_FILEHANDLE);
  if (only_read && stream != NULL && stream->f != NULL) __fsetlocking(stream->f, FSETLOCKING_BYCALLER);
  return lua_gettop(L);
}

/* The table `io` is on the stack top. */
static void replace_opening(lua_State *L, const char *name) {
  lua_getfield(L, -1, name);
  lua_pushcclosure(L, open_stream, 1);
  lua_setfield(L, -2, name);
}

void ph_worker_stdio_enter(lua_State *L) {
  FILE *stream = open_stream_of(on_write);
  if (stream == NULL) return;
  setvbuf(stream, NULL, _IOLBF, 0);
  output.stream = stream;
  output.buffer = THREAD_BUFFER;
  lua_getglobal(L, LUA_IOLIBNAME);
  lua_getfield(L, -1, "stdout");
  luaL_Stream *io_stdout = luaL_testudata(L, -1, LUA_FILEHANDLE);
  if (io_stdout != NULL) io_stdout->f = stream; /* also what io.write writes to */
  lua_pop(L, 1);
  replace_opening(L, "open");
  replace_opening(L, "popen");
  lua_pop(L, 1);
  lua_pushcfunction(L, print);
  lua_setglobal(L, "print");
}

void ph_worker_stdio_leave(void) {
  if (output.stream == NULL) return;
  fclose(output.stream);
  if (output.len > 0) release(NULL, 0);
  free(output.line);
  output = (struct output){.buffer = BUFFER};
}
