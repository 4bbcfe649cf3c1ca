/* SPDX-License-Identifier: MIT
 * parhost.core.progress: a line at the bottom of the terminal, and a clock in the state's loop that says when to draw it.
 * Internal; what it says is decided in lua/parhost/progress.lua.
 *
 *   timerfd -> the loop -> drain -> tick() in Lua -> show(text)
 *
 * The line is drawn under the screen's lock and left as the screen's image (vm/screen.h), with the cursor at its beginning.
 * While there is one, streams stand in for stdout and stderr (edit_output.c), so that what is printed scrolls above it. */
#include "lib/progress.h"

#include <errno.h>
#include <lauxlib.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include "base/clock.h"
#include "base/fault.h"
#include "lib/core.h"
#include "lib/edit.h"
#include "lib/edit_image.h"
#include "loop/oneshot.h"
#include "vm/error.h"
#include "vm/screen.h"

static const char tick_key;

/* The terminal is one, and so is this: the main state's. */
static struct progress {
  struct lib_source source;
  struct ph_oneshot_queue fired;
  struct ph_oneshot clock;
  int timer_fd; /* while `watches` */
  bool watches;
  locale_t locale;
  pid_t owner; /* a forked copy of the process has no business with the terminal */
  volatile sig_atomic_t shown;
  unsigned columns; /* that it was drawn for */
  bool paused;
} progress = {.timer_fd = -1};

/* --- text ------------------------------------------------------------------------------------------------- */

/* The next character, at `text`: bytes, and cells. What is none, or controls the terminal, is replaced by '?'. */
static size_t next_glyph(const char *text, size_t n, bool *replaced, size_t *cells) {
  mbstate_t state = {0};
  wchar_t c;
  size_t len = mbrtowc(&c, text, n, &state);
  bool valid = len != 0 && len <= n;
  int width = valid && iswprint((wint_t)c) ? wcwidth(c) : -1;
  *replaced = width < 0;
  *cells = width < 0 ? 1 : (size_t)width;
  return valid ? len : 1;
}

/* fit(text, cells) -> as much of the text as fits into so many cells of a terminal, and how many it takes. */
static int progress_fit(lua_State *L) {
  size_t n, at = 0, used = 0;
  const char *text = luaL_checklstring(L, 1, &n);
  lua_Integer room = luaL_checkinteger(L, 2);
  luaL_Buffer out;
  char *bytes = luaL_buffinitsize(L, &out, n + 1);
  if (progress.locale == (locale_t)0) progress.locale = ph_edit_choose_locale();
  locale_t outer = uselocale(progress.locale);
  while (at < n) {
    bool replaced;
    size_t cells, len = next_glyph(text + at, n - at, &replaced, &cells);
    if (used + cells > (size_t)(room > 0 ? room : 0)) break;
    if (replaced)
      *bytes++ = '?';
    else
      bytes = (char *)memcpy(bytes, text + at, len) + len;
    at += len;
    used += cells;
  }
  uselocale(outer);
  luaL_pushresultsize(&out, (size_t)(bytes - luaL_buffaddr(&out)));
  lua_pushinteger(L, (lua_Integer)used);
  return 2;
}

/* --- the line --------------------------------------------------------------------------------------------- */

static void take_off(struct progress *p) {
  if (!p->shown) return;
  ph_screen_lock();
  ph_screen_clear_line(p->columns);
  ph_screen_set_line(NULL, 0, 0);
  p->shown = 0;
  ph_screen_unlock();
  ph_edit_output_end();
}

/* Without going on in the next row, should the terminal have got narrower this very moment. */
#define LINE_BEGIN "\r\033[?7l"
#define LINE_END "\033[K\033[?7h\r"

static void draw(struct progress *p, const char *text, size_t n, unsigned columns) {
  struct ph_buf line = PH_BUF_INIT;
  bool broken = p->shown && columns != p->columns;
  ph_screen_lock();
  if (broken) ph_screen_clear_line(p->columns);
  if (ph_buf_reserve(&line, n + sizeof LINE_BEGIN + sizeof LINE_END) == 0) {
    ph_buf_put(&line, LINE_BEGIN, sizeof LINE_BEGIN - 1);
    ph_buf_put(&line, text, n);
    ph_buf_put(&line, LINE_END, sizeof LINE_END - 1);
    ph_screen_put(STDERR_FILENO, line.data, line.len);
    ph_screen_set_line(line.data, line.len, columns);
    p->columns = columns;
    p->shown = 1;
  }
  ph_screen_unlock();
  ph_buf_deinit(&line);
}

/* In the background it would draw over what others do. */
static bool may_draw(const struct progress *p) {
  pid_t front = tcgetpgrp(STDERR_FILENO);
  return !p->paused && (front < 0 || front == getpgrp()) && !ph_edit_output_is_open();
}

/* show(text, columns): fits into the row of a terminal that wide. */
static int progress_show(lua_State *L) {
  struct progress *p = &progress;
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  unsigned columns = (unsigned)luaL_checkinteger(L, 2);
  if (!may_draw(p)) return 0;
  if (!p->shown) {
    ph_edit_output_open(L);
    ph_edit_output_begin(true);
  }
  draw(p, text, n, columns);
  return 0;
}

static int progress_hide(lua_State *L) {
  (void)L;
  take_off(&progress);
  return 0;
}

/* is_possible() -> this is the program's main state, and standard error is a terminal. */
static int progress_is_possible(lua_State *L) {
  const struct ph_vm *vm = ph_vm_of(L);
  const char *terminal = getenv("TERM");
  bool dumb = terminal == NULL || *terminal == '\0' || strcmp(terminal, "dumb") == 0;
  lua_pushboolean(L, vm != NULL && vm->is_program && !dumb && isatty(STDERR_FILENO));
  return 1;
}

static int progress_columns(lua_State *L) {
  lua_pushinteger(L, ph_screen_columns(STDERR_FILENO));
  return 1;
}

void ph_progress_pause(bool pause) {
  if (pause) take_off(&progress);
  progress.paused = pause;
}

void ph_progress_leave(void) {
  if (getpid() == progress.owner) take_off(&progress);
}

void ph_progress_restore(void) {
  if (progress.shown && getpid() == progress.owner) ph_screen_clear_line(progress.columns);
}

/* --- the clock -------------------------------------------------------------------------------------------- */

static bool alive(const struct lib_source *source) {
  (void)source;
  return false; /* nothing that somebody might wait for */
}

static void close_watch(struct lib_source *source) {
  struct progress *p = &progress;
  (void)source;
  ph_oneshot_close(&p->clock);
  close(p->timer_fd);
  p->timer_fd = -1;
  p->watches = false;
}

static void forget_watch(struct lib_source *source) {
  (void)source;
  progress.watches = false;
  progress.shown = 0;
}

static lua_Integer drain(lua_State *L, struct lib_source *source) {
  struct progress *p = &progress;
  uint64_t times;
  struct ph_err err;
  (void)source;
  if (ph_oneshot_next(&p->fired) == NULL) return 0;
  bool due = read(p->timer_fd, &times, sizeof times) > 0;
  ph_oneshot_arm(&p->clock, false, &err);
  if (!due) return 0;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tick_key);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) lua_pop(L, 1);
  return 0;
}

static void watch_clock(lua_State *L, struct progress *p) {
  struct ph_err err;
  p->timer_fd = PH_FAULT(timerfd) ? -1 : timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (p->timer_fd < 0) {
    ph_err_os(&err, "cannot show progress");
    ph_error_raise_err(L, &err);
  }
  ph_oneshot_queue_init(&p->fired);
  ph_oneshot_init(&p->clock, lib_loop_of(L), &p->fired, p->timer_fd);
  p->source = (struct lib_source){.drain = drain, .alive = alive, .close = close_watch, .forget = forget_watch};
  lib_add_source(L, &p->source);
  p->owner = getpid();
  p->watches = true;
}

/* start(seconds, tick): from now on tick() is called so often whenever the state waits. 0: no more. One state at a time;
 * false: another one does so. */
static int progress_start(lua_State *L) {
  struct progress *p = &progress;
  struct ph_err err;
  int64_t every = ph_seconds_to_ns(luaL_checknumber(L, 1));
  const struct itimerspec when = {{every / 1000000000, every % 1000000000}, {every / 1000000000, every % 1000000000}};
  const struct ph_vm *vm = ph_vm_of(L);
  lua_pushboolean(L, vm != NULL && vm->is_program);
  if (!lua_toboolean(L, -1) || (every == 0 && !p->watches)) return 1;
  if (!p->watches) watch_clock(L, p);
  timerfd_settime(p->timer_fd, 0, &when, NULL);
  if (every == 0) {
    ph_oneshot_disarm(&p->clock);
    return 1;
  }
  lua_pushvalue(L, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &tick_key);
  if (ph_oneshot_arm(&p->clock, false, &err) != 0) ph_error_raise_err(L, &err);
  return 1;
}

int luaopen_parhost_core_progress(lua_State *L) {
  static const luaL_Reg functions[] = {{"fit", progress_fit},
                                       {"show", progress_show},
                                       {"hide", progress_hide},
                                       {"is_possible", progress_is_possible},
                                       {"columns", progress_columns},
                                       {"start", progress_start},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
