/* SPDX-License-Identifier: MIT
 * parhost.core.edit: one line from the terminal, edited with libedit. Internal; policy is in lua/cli/editor.lua.
 *
 *   read_line -> el_gets -> next_character -> (nothing typed yet) a wait in Lua that runs the state's loop
 *
 * libedit believes that it blocks on reading a key. The screen's lock is held whenever libedit may draw, and given up for
 * the wait, together with an image of the line (vm/screen.h): whatever tasks and workers print then appears above it.
 * Errors in Lua do not cross libedit: they are raised when it has returned. The collector rests while the lock is held,
 * because finalizers may print. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/core.h"
#include "lib/edit.h"
#include "lib/edit_api.h"
#include "lib/edit_image.h"
#include "lib/progress.h"
#include "loop/oneshot.h"
#include "vm/error.h"
#include "vm/screen.h"

#define LITERAL '\001' /* around what is printed in a prompt, but takes no room */
#define PASTE_END L"\033[201~"

/* Slots of read_line's frame. */
enum { ARG_PROMPT = 1, ARG_MARKED, ARG_WAIT, ARG_COMPLETE };

/* The terminal is one, and so is this. */
static struct edit {
  const struct ph_edit_api *api; /* NULL: not open */
  EditLine *el;
  History *history;
  FILE *tty;
  locale_t locale; /* of characters; that of the program is left alone */
  struct ph_edit_image image;
  /* waiting for a key, in the loop */
  struct lib_source source;
  struct ph_oneshot_queue fired;
  struct ph_oneshot input;
  bool watches;
  int input_fd; /* an epoll of its own: libuv would make the terminal itself non-blocking, for all who share it */
  /* while a line is read */
  lua_State *L;
  bool failed;  /* an error value lies on top of L's stack */
  bool waiting; /* the lock is not held */
  locale_t outer;
} edit;

/* --- drawing ---------------------------------------------------------------------------------------------- */

static void draw(struct edit *e) {
  const LineInfoW *line = e->api->el_wline(e->el);
  ph_edit_draw(&e->image, lua_tostring(e->L, ARG_PROMPT), line->buffer, (size_t)(line->lastchar - line->buffer),
               (size_t)(line->cursor - line->buffer), ph_edit_width());
}

static void publish(struct edit *e) {
  draw(e);
  ph_screen_set_image(e->image.bytes.data, e->image.bytes.len, e->image.row, e->image.last_row);
}

static void unpublish(void) {
  ph_screen_set_image(NULL, 0, 0, 0);
}

/* Below the line as it was drawn last, wherever the cursor is in it. */
static void go_below(struct edit *e, const char *text) {
  const struct ph_edit_image *image = &e->image;
  if (image->last_row > image->row) fprintf(e->tty, "\033[%uB", image->last_row - image->row);
  fputc('\r', e->tty);
  if (image->last_column > 0) fprintf(e->tty, "\033[%uC", image->last_column);
  fprintf(e->tty, "%s\r\n", text);
  fflush(e->tty);
}

/* --- waiting ---------------------------------------------------------------------------------------------- */

static bool has_input(void) {
  struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
  return poll(&p, 1, 0) > 0;
}

static lua_Integer drain(lua_State *L, struct lib_source *source) {
  (void)L, (void)source;
  lua_Integer n = 0;
  while (ph_oneshot_next(&edit.fired) != NULL) n++;
  return n;
}

static bool alive(const struct lib_source *source) {
  (void)source;
  return false; /* nothing that somebody else might wait for */
}

static void close_watch(struct lib_source *source) {
  (void)source;
  ph_oneshot_close(&edit.input);
  edit.watches = false;
}

static void forget_watch(struct lib_source *source) {
  (void)source;
  edit.watches = false;
  edit.api = NULL;
}

static void watch_input(lua_State *L, struct edit *e) {
  struct epoll_event event = {.events = EPOLLIN};
  e->input_fd = epoll_create1(EPOLL_CLOEXEC);
  if (e->input_fd < 0 || epoll_ctl(e->input_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0)
    luaL_error(L, "cannot watch the terminal: %s", strerror(errno));
  ph_oneshot_queue_init(&e->fired);
  ph_oneshot_init(&e->input, lib_loop_of(L), &e->fired, e->input_fd);
  e->source = (struct lib_source){.drain = drain, .alive = alive, .close = close_watch, .forget = forget_watch};
  lib_add_source(L, &e->source);
  e->watches = true;
}

/* ready() -> something has been typed, or happened: the end of a wait. */
static int edit_ready(lua_State *L) {
  struct ph_err err;
  bool ready = has_input() || ph_edit_happened();
  if (!ready && edit.watches && !edit.input.armed && ph_oneshot_arm(&edit.input, false, &err) != 0)
    ph_error_raise_err(L, &err);
  lua_pushboolean(L, ready);
  return 1;
}

static void give_up_screen(struct edit *e) {
  publish(e);
  ph_edit_terminal_note();
  ph_edit_output_begin(false);
  uselocale(e->outer);
  ph_screen_unlock();
  e->waiting = true;
}

static void take_screen(struct edit *e) {
  ph_edit_output_end();
  e->outer = uselocale(e->locale);
  ph_screen_lock();
  e->waiting = false;
}

/* False: an error, which is on top of the stack. */
static bool wait_in_loop(struct edit *e) {
  lua_State *L = e->L;
  give_up_screen(e);
  lua_gc(L, LUA_GCRESTART);
  lua_pushvalue(L, ARG_WAIT);
  int status = lua_pcall(L, 0, 0, 0);
  lua_gc(L, LUA_GCSTOP);
  if (e->watches) ph_oneshot_disarm(&e->input);
  take_screen(e);
  if (status != LUA_OK) e->failed = true;
  return status == LUA_OK;
}

static void look_after_terminal(struct edit *e) {
  enum ph_edit_event event = ph_edit_event();
  if (event == PH_EDIT_NOTHING) return;
  if (event == PH_EDIT_RESIZED) {
    publish(e); /* as the terminal has broken it into rows by now */
    ph_screen_hide(STDOUT_FILENO);
    e->api->el_resize(e->el);
  }
  e->api->el_set(e->el, EL_REFRESH);
}

/* --- keys ------------------------------------------------------------------------------------------------- */

/* One byte at a time: what has been typed ahead stays with the terminal, for whoever reads there next. */
static int next_byte(struct edit *e, char *byte) {
  for (;;) {
    if (ph_edit_interrupted()) return -1;
    if (!has_input()) {
      if (!wait_in_loop(e)) return -1;
      unpublish();
      look_after_terminal(e);
      unpublish();
      continue;
    }
    ssize_t n = read(STDIN_FILENO, byte, 1);
    if (n > 0) return 1;
    if (n == 0 || errno == EIO) return 0;
    if (errno != EINTR && errno != EAGAIN) return -1;
  }
}

/* libedit's way to read: 1, 0 at the end, or -1. */
static int next_character(EditLine *el, wchar_t *out) {
  mbstate_t state = {0};
  char byte;
  (void)el;
  for (;;) {
    int status = next_byte(&edit, &byte);
    if (status <= 0) return status;
    size_t n = mbrtowc(out, &byte, 1, &state);
    if (n == (size_t)-2) continue;
    if (n == (size_t)-1) *out = 0xfffd;
    if (n == 0) *out = 0;
    return 1;
  }
}

/* What stands in brackets is inserted as it is. */
static unsigned char paste(EditLine *el, int key) {
  const size_t end_len = wcslen(PASTE_END);
  struct ph_buf text = PH_BUF_INIT;
  wchar_t c, last = 0;
  (void)key;
  while (edit.api->el_wgetc(el, &c) == 1 && ph_buf_reserve(&text, 2 * sizeof c) == 0) {
    size_t n = text.len / sizeof c;
    if (c == L'\n' && last == L'\r') {
      last = 0;
      continue;
    }
    last = c;
    if (c == L'\r') c = L'\n';
    ph_buf_put(&text, &c, sizeof c);
    n++;
    const wchar_t *from = (const wchar_t *)(void *)text.data;
    if (c != PASTE_END[end_len - 1] || n < end_len || wmemcmp(from + n - end_len, PASTE_END, end_len) != 0) continue;
    text.len -= end_len * sizeof c;
    break;
  }
  if (text.len > 0) {
    memset(text.data + text.len, 0, sizeof c);
    edit.api->el_winsertstr(el, (const wchar_t *)(void *)text.data);
  }
  ph_buf_deinit(&text);
  return CC_REFRESH;
}

static void show_above(struct edit *e, const char *text) {
  publish(e);
  ph_screen_hide(STDOUT_FILENO);
  ph_screen_put(STDOUT_FILENO, text, strlen(text));
  ph_screen_show();
  unpublish();
}

/* complete(before the cursor, after it, width) -> text to insert, text to show; either may be nil. */
static unsigned char complete(EditLine *el, int key) {
  struct edit *e = &edit;
  lua_State *L = e->L;
  int top = lua_gettop(L);
  const LineInfo *line = e->api->el_line(el);
  (void)key;
  lua_pushvalue(L, ARG_COMPLETE);
  lua_pushlstring(L, line->buffer, (size_t)(line->cursor - line->buffer));
  lua_pushinteger(L, ph_edit_width());
  unsigned char result = CC_ERROR;
  if (lua_pcall(L, 2, 2, 0) == LUA_OK) {
    if (lua_isstring(L, -1)) {
      show_above(e, lua_tostring(L, -1));
      result = CC_NORM;
    }
    if (lua_isstring(L, -2) && e->api->el_insertstr(el, lua_tostring(L, -2)) == 0) result = CC_REFRESH;
  }
  lua_settop(L, top);
  return result;
}

static char *marked_prompt(EditLine *el) {
  (void)el;
  return (char *)(uintptr_t)lua_tostring(edit.L, ARG_MARKED);
}

/* --- a line ----------------------------------------------------------------------------------------------- */

static void begin(struct edit *e, lua_State *L) {
  fflush(stdout);
  e->L = L;
  e->failed = false;
  ph_progress_pause(true);
  ph_edit_terminal_begin(ph_vm_of(L));
  take_screen(e);
}

static void end(struct edit *e) {
  unpublish();
  ph_edit_terminal_end();
  ph_screen_unlock();
  uselocale(e->outer);
  ph_edit_output_rest();
  ph_progress_pause(false);
  e->L = NULL;
}

/* Pushes the line, or nil and why there is none. */
static int push_result(lua_State *L, struct edit *e, const char *line, int n) {
  if (line != NULL) {
    if (n > 0 && line[n - 1] == '\n') n--;
    lua_pushlstring(L, line, (size_t)n);
    return 1;
  }
  bool interrupted = ph_edit_interrupted();
  if (interrupted || e->failed) {
    draw(e);
    go_below(e, interrupted ? "^C" : "");
  }
  lua_pushnil(L);
  lua_pushstring(L, interrupted ? "interrupted" : "end");
  return 2;
}

/* read_line(prompt, marked prompt, wait, complete) -> line | nil, "end" | nil, "interrupted". wait() comes back when
 * ready() does; it may raise, what is raised here then. */
static int edit_read_line(lua_State *L) {
  struct edit *e = &edit;
  int n = 0;
  luaL_checkstring(L, ARG_PROMPT);
  luaL_checkstring(L, ARG_MARKED);
  luaL_checktype(L, ARG_WAIT, LUA_TFUNCTION);
  luaL_checktype(L, ARG_COMPLETE, LUA_TFUNCTION);
  lua_settop(L, ARG_COMPLETE);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (e->api == NULL || e->L != NULL) return luaL_error(L, "no line can be edited now");
  bool collects = lua_gc(L, LUA_GCISRUNNING);
  lua_gc(L, LUA_GCSTOP);
  begin(e, L);
  const char *line = e->api->el_gets(e->el, &n);
  int results = e->failed ? 1 : 0;
  int pushed = push_result(L, e, line, n);
  end(e);
  if (collects) lua_gc(L, LUA_GCRESTART);
  if (results == 0) return pushed;
  lua_pop(L, pushed);
  return lua_error(L);
}

static int edit_remember(lua_State *L) {
  HistEvent event;
  if (edit.api == NULL) return 0;
  locale_t outer = uselocale(edit.locale);
  edit.api->history(edit.history, &event, H_ENTER, luaL_checkstring(L, 1));
  uselocale(outer);
  return 0;
}

/* --- opening ---------------------------------------------------------------------------------------------- */

static void bind_keys(struct edit *e) {
  static const char *const keys[][2] = {
      {"\t", "parhost-complete"},    {"\033[200~", "parhost-paste"},     {"^R", "em-inc-search-prev"},
      {"^W", "ed-delete-prev-word"}, {"\033[3~", "ed-delete-next-char"}, {"\033[H", "ed-move-to-beg"},
      {"\033[F", "ed-move-to-end"},  {"\033[1~", "ed-move-to-beg"},      {"\033[4~", "ed-move-to-end"},
      {"\033[1;5C", "em-next-word"}, {"\033[1;5D", "ed-prev-word"},
  };
  const struct ph_edit_api *api = e->api;
  api->el_set(e->el, EL_ADDFN, "parhost-complete", "Complete a name", complete);
  api->el_set(e->el, EL_ADDFN, "parhost-paste", "Insert pasted text", paste);
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) api->el_set(e->el, EL_BIND, keys[i][0], keys[i][1], (char *)NULL);
}

static bool set_up(struct edit *e, int entries) {
  const struct ph_edit_api *api = e->api;
  HistEvent event;
  e->el = api->el_init("parhost", stdin, e->tty, e->tty);
  e->history = api->history_init();
  if (e->el == NULL || e->history == NULL) return false;
  api->history(e->history, &event, H_SETSIZE, entries);
  api->history(e->history, &event, H_SETUNIQUE, 1);
  api->el_set(e->el, EL_EDITOR, "emacs");
  api->el_set(e->el, EL_SIGNAL, 0);
  api->el_set(e->el, EL_HIST, api->history, e->history);
  api->el_set(e->el, EL_PROMPT_ESC, marked_prompt, LITERAL);
  api->el_set(e->el, EL_GETCFN, next_character);
  bind_keys(e);
  api->el_source(e->el, NULL); /* ~/.editrc has the last word */
  return true;
}

/* open(entries of the history) -> true | false: there is no libedit, or it cannot work here. */
static int edit_open(lua_State *L) {
  struct edit *e = &edit;
  const struct ph_vm *vm = ph_vm_of(L);
  int entries = (int)luaL_checkinteger(L, 1);
  const struct ph_edit_api *api = vm != NULL && vm->is_program && e->el == NULL ? ph_edit_api() : NULL;
  lua_pushboolean(L, false);
  if (api == NULL) return 1;
  int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  e->tty = fd >= 0 ? fdopen(fd, "w") : NULL;
  if (e->tty == NULL) return 1;
  ph_screen_share();
  watch_input(L, e);
  ph_edit_output_open(L);
  e->api = api;
  e->locale = ph_edit_choose_locale();
  locale_t outer = uselocale(e->locale);
  bool ok = set_up(e, entries);
  uselocale(outer);
  if (!ok) e->api = NULL;
  lua_pushboolean(L, ok);
  return 1;
}

void ph_edit_leave(void) {
  struct edit *e = &edit;
  if (e->L == NULL) return;
  if (e->waiting) take_screen(e);
  go_below(e, "");
  end(e);
}

int luaopen_parhost_core_edit(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"open", edit_open}, {"read_line", edit_read_line}, {"ready", edit_ready}, {"remember", edit_remember}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
