/* SPDX-License-Identifier: MIT
 * Pipes to children, for lua/async/stream.lua: single steps that never wait. */
#include <errno.h>
#include <lauxlib.h>
#include <string.h>

#include "lib/spawn_lib.h"
#include "vm/error.h"

int spawn_push_errno(lua_State *L, int code) {
  luaL_pushfail(L);
  lua_pushstring(L, strerrorname_np(code));
  lua_pushstring(L, strerror(code));
  return 3;
}

void spawn_push_pipe(lua_State *L, int fd) {
  struct spawn_state *s = spawn_state_of(L);
  struct ph_pipe *p = lua_newuserdatauv(L, sizeof *p, 1);
  ph_pipe_init(p, fd, s->children.loop, &s->pipes);
  luaL_setmetatable(L, PIPE_METATABLE);
  spawn_remember(L, p);
}

static struct ph_pipe *check_pipe(lua_State *L) {
  return luaL_checkudata(L, 1, PIPE_METATABLE);
}

/* pipe:set_subject(table): whom deliver is called with. */
static int set_subject(lua_State *L) {
  check_pipe(L);
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, 1);
  return 0;
}

/* pipe:fill() -> true: there is more to take | false: nothing yet | nil: the end | nil, code, text. */
static int fill(lua_State *L) {
  int status = ph_pipe_fill(check_pipe(L));
  if (status < 0 && errno != 0) return spawn_push_errno(L, errno);
  if (status < 0)
    lua_pushnil(L);
  else
    lua_pushboolean(L, status);
  return 1;
}

/* pipe:take([n]) -> up to n bytes of what has been read, by default all. */
static int take(lua_State *L) {
  struct ph_pipe *p = check_pipe(L);
  size_t n = ph_pipe_buffered(p);
  lua_Integer limit = luaL_optinteger(L, 2, (lua_Integer)n);
  if (limit < (lua_Integer)n) n = (size_t)limit;
  lua_pushlstring(L, n > 0 ? ph_pipe_bytes(p) : "", n);
  ph_pipe_take(p, n);
  return 1;
}

/* pipe:line(keep) -> the next line, with its newline if `keep` | nil: its end has not been read. */
static int line(lua_State *L) {
  struct ph_pipe *p = check_pipe(L);
  size_t n = ph_pipe_line(p);
  if (n == 0) return 0;
  lua_pushlstring(L, ph_pipe_bytes(p), lua_toboolean(L, 2) ? n : n - 1);
  ph_pipe_take(p, n);
  return 1;
}

/* pipe:keep(): from here on, what is taken can be put back. */
static int keep(lua_State *L) {
  ph_pipe_keep(check_pipe(L));
  return 0;
}

/* pipe:keep_no_more(back): it is taken for good, or put back. */
static int keep_no_more(lua_State *L) {
  ph_pipe_keep_no_more(check_pipe(L), lua_toboolean(L, 2));
  return 0;
}

static int buffered(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)ph_pipe_buffered(check_pipe(L)));
  return 1;
}

/* pipe:write(text, from) -> how many bytes went, from that position on | nil, code, text. */
static int put(lua_State *L) {
  struct ph_pipe *p = check_pipe(L);
  size_t len;
  const char *text = luaL_checklstring(L, 2, &len);
  size_t from = (size_t)luaL_checkinteger(L, 3) - 1;
  if (p->fd < 0) return spawn_push_errno(L, EBADF);
  ssize_t n = from < len ? ph_pipe_write(p, text + from, len - from) : 0;
  if (n < 0) return spawn_push_errno(L, errno);
  lua_pushinteger(L, n);
  return 1;
}

/* pipe:arm(for_writing): deliver is called once, when the next step may go on. */
static int arm(lua_State *L) {
  struct ph_err err;
  if (ph_pipe_arm(check_pipe(L), lua_toboolean(L, 2), &err) != 0) ph_error_raise_err(L, &err);
  return 0;
}

static int disarm(lua_State *L) {
  ph_pipe_disarm(check_pipe(L));
  return 0;
}

static int is_open(lua_State *L) {
  lua_pushboolean(L, check_pipe(L)->fd >= 0);
  return 1;
}

static int close_pipe(lua_State *L) {
  ph_pipe_close(check_pipe(L));
  return 0;
}

static int collect(lua_State *L) {
  ph_pipe_deinit(check_pipe(L));
  return 0;
}

void spawn_open_pipes(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"set_subject", set_subject},   {"fill", fill},        {"take", take},    {"line", line},
      {"buffered", buffered},         {"write", put},        {"arm", arm},      {"disarm", disarm},
      {"is_open", is_open},           {"close", close_pipe}, {"__gc", collect}, {"keep", keep},
      {"keep_no_more", keep_no_more}, {NULL, NULL}};
  luaL_newmetatable(L, PIPE_METATABLE);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
