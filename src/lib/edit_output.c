/* SPDX-License-Identifier: MIT
 * See edit.h. Other threads may write to these streams, too, if they use the C library's variables: then the stream's own
 * lock is taken before the screen's. The editor takes the screen's lock only while none of them stands in. */
#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "lib/edit.h"
#include "vm/screen.h"
#include "vm/worker_stdio.h"

#define LINE_MAX_BYTES ((size_t)1 << 20) /* a longer line goes out in pieces */

struct stand_in {
  int fd;
  FILE **variable;  /* of the C library */
  FILE *own, *ours; /* what was in it; NULL: nothing stands in */
  luaL_Stream *io;  /* of module io, NULL: there is none */
  FILE *io_own;
  bool passes; /* the beginning of a line is written at once, and nothing stays below it until its end comes */
  bool open;   /* it is there, and the end is not */
  struct ph_buf kept;
};

static struct stand_in outputs[2] = {{.fd = STDOUT_FILENO, .variable = &stdout}, {.fd = STDERR_FILENO, .variable = &stderr}};

static void print_above(struct stand_in *s, const char *bytes, size_t n) {
  ph_screen_lock();
  bool edited = ph_screen_hide(s->fd);
  ph_screen_put(s->fd, s->kept.data, s->kept.len);
  ph_screen_put(s->fd, bytes, n);
  if (edited && n > 0 && bytes[n - 1] != '\n') ph_screen_put(s->fd, "\n", 1);
  ph_screen_show();
  ph_screen_unlock();
  ph_buf_reset(&s->kept, BUFSIZ);
}

bool ph_edit_output_is_open(void) {
  return outputs[0].open || outputs[1].open;
}

static void pass(struct stand_in *s, const char *bytes, size_t n) {
  if (n == 0) return;
  ph_screen_lock();
  ph_screen_hide(s->fd);
  ph_screen_put(s->fd, s->kept.data, s->kept.len);
  ph_screen_put(s->fd, bytes, n);
  s->open = bytes[n - 1] != '\n';
  if (ph_edit_output_is_open())
    ph_screen_set_line(NULL, 0, 0); /* drawn anew, not put back */
  else
    ph_screen_show();
  ph_screen_unlock();
  ph_buf_reset(&s->kept, BUFSIZ);
}

static ssize_t on_write(void *cookie, const char *bytes, size_t n) {
  struct stand_in *s = cookie;
  if (s->passes) {
    pass(s, bytes, n);
    return (ssize_t)n;
  }
  const char *last = memrchr(bytes, '\n', n);
  size_t whole = last != NULL ? (size_t)(last - bytes) + 1 : 0;
  if (whole == 0 && s->kept.len > LINE_MAX_BYTES) whole = n;
  if (whole > 0) print_above(s, bytes, whole);
  if (ph_buf_put(&s->kept, bytes + whole, n - whole) != 0) print_above(s, bytes + whole, n - whole);
  return (ssize_t)n;
}

static FILE *open_stream(struct stand_in *s) {
  const cookie_io_functions_t functions = {.write = on_write};
  FILE *stream = fopencookie(s, "w", functions);
  if (stream != NULL) setvbuf(stream, NULL, s->fd == STDERR_FILENO ? _IONBF : _IOLBF, 0);
  return stream;
}

/* The stream object is kept in the registry, for as long as we know its address. */
static void find_io(lua_State *L, struct stand_in *s, const char *name) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, LUA_IOLIBNAME) == LUA_TTABLE) {
    lua_getfield(L, -1, name);
    luaL_Stream *io = luaL_testudata(L, -1, LUA_FILEHANDLE);
    if (io != NULL && io->f == *s->variable) {
      s->io = io;
      lua_rawsetp(L, LUA_REGISTRYINDEX, s);
    } else {
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 2);
}

void ph_edit_output_open(lua_State *L) {
  static bool opened;
  if (opened) return;
  opened = true;
  ph_worker_stdio_keep(stdout);
  find_io(L, &outputs[0], "stdout");
  find_io(L, &outputs[1], "stderr");
  for (int i = 0; i < 2; i++)
    if (isatty(outputs[i].fd)) outputs[i].ours = open_stream(&outputs[i]);
}

void ph_edit_output_begin(bool passes) {
  for (int i = 0; i < 2; i++) {
    struct stand_in *s = &outputs[i];
    s->passes = passes;
    if (s->ours == NULL || s->own != NULL) continue;
    s->own = *s->variable;
    fflush(s->own);
    *s->variable = s->ours;
    if (s->io == NULL || s->io->closef == NULL) continue;
    s->io_own = s->io->f;
    s->io->f = s->ours;
  }
}

void ph_edit_output_end(void) {
  for (int i = 0; i < 2; i++) {
    struct stand_in *s = &outputs[i];
    if (s->own == NULL) continue;
    fflush(s->ours);
    s->open = false;
    *s->variable = s->own;
    s->own = NULL;
    if (s->io_own != NULL && s->io->f == s->ours) s->io->f = s->io_own;
    s->io_own = NULL;
  }
}

void ph_edit_output_rest(void) {
  for (int i = 0; i < 2; i++) {
    ph_screen_put(outputs[i].fd, outputs[i].kept.data, outputs[i].kept.len);
    ph_buf_reset(&outputs[i].kept, BUFSIZ);
  }
}
