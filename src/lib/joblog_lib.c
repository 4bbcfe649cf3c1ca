/* SPDX-License-Identifier: MIT
 * parhost.core.joblog: the files of job logs, and what tasks take along of them. Policy is in lua/parhost/joblog.lua. */
#include <errno.h>
#include <lauxlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "lib/core.h"
#include "lib/submit.h"
#include "pool/joblog.h"
#include "vm/error.h"

#define LOG_METATABLE "parhost.core.Joblog"
#define PIECE (1 << 16)

struct handle {
  struct ph_joblog *log;
};

static struct ph_joblog *check_log(lua_State *L) {
  const struct handle *h = luaL_checkudata(L, 1, LOG_METATABLE);
  return h->log;
}

/* open(path) -> log | nil, error object. */
static int joblog_open(lua_State *L) {
  struct ph_err err;
  const char *path = luaL_checkstring(L, 1);
  struct handle *h = lua_newuserdatauv(L, sizeof *h, 0);
  h->log = NULL;
  luaL_setmetatable(L, LOG_METATABLE);
  h->log = ph_joblog_open(path, &err);
  if (h->log != NULL) return 1;
  luaL_pushfail(L);
  ph_error_push_err(L, &err);
  return 2;
}

static int log_gc(lua_State *L) {
  struct handle *h = luaL_checkudata(L, 1, LOG_METATABLE);
  if (h->log != NULL) ph_joblog_unref(h->log);
  h->log = NULL;
  return 0;
}

static int fail(lua_State *L, const char *what) {
  struct ph_err err;
  ph_err_os(&err, what);
  ph_error_raise_err(L, &err);
}

/* log:read(offset) -> a piece of the file, "" at its end. */
static int log_read(lua_State *L) {
  luaL_Buffer piece;
  off_t offset = (off_t)luaL_checkinteger(L, 2);
  int fd = ph_joblog_fd(check_log(L));
  char *bytes = luaL_buffinitsize(L, &piece, PIECE);
  ssize_t n = pread(fd, bytes, PIECE, offset);
  if (n < 0) return fail(L, "cannot read a job log");
  luaL_pushresultsize(&piece, (size_t)n);
  return 1;
}

/* log:cut(size): what is behind goes. */
static int log_cut(lua_State *L) {
  if (ftruncate(ph_joblog_fd(check_log(L)), (off_t)luaL_checkinteger(L, 2)) != 0) return fail(L, "cannot repair a job log");
  return 0;
}

/* log:put_header(): into the empty file. */
static int log_put_header(lua_State *L) {
  const size_t len = sizeof PH_JOBLOG_HEADER - 1;
  ssize_t n = PH_FAULT(joblog_write) ? -1 : write(ph_joblog_fd(check_log(L)), PH_JOBLOG_HEADER, len);
  if (n >= 0 && (size_t)n < len) errno = ENOSPC;
  if (n != (ssize_t)len) return fail(L, "cannot write to a job log");
  return 0;
}

static int log_is_first(lua_State *L) {
  lua_pushboolean(L, ph_joblog_is_first(check_log(L)));
  return 1;
}

/* The keys are strings in a table of ours. */
static size_t bytes_of_keys(lua_State *L, int keys, lua_Integer first, lua_Integer last) {
  size_t n = 0;
  for (lua_Integer k = first; k <= last; k++) {
    if (lua_rawgeti(L, keys, k) != LUA_TSTRING) luaL_error(L, "no key [%I]", k);
    n += lua_rawlen(L, -1);
    lua_pop(L, 1);
  }
  return n;
}

static void put_keys(lua_State *L, int keys, lua_Integer first, lua_Integer last, struct ph_buf *to) {
  for (lua_Integer k = first; k <= last; k++) {
    size_t len;
    lua_rawgeti(L, keys, k);
    const char *key = lua_tolstring(L, -1, &len);
    ph_joblog_add_key(to, key, len);
    lua_pop(L, 1);
  }
}

/* log:options(options or nil, sync, seq, keys, first, last) -> options for the core, for the items with keys[first..last],
 * which are number seq and the following. */
static int log_options(lua_State *L) {
  enum { BASE = 2, SYNC, SEQ, KEYS, FIRST, LAST };
  const struct ph_joblog *log = check_log(L);
  lua_Integer first = luaL_checkinteger(L, FIRST), last = luaL_checkinteger(L, LAST);
  uint64_t seq = (uint64_t)luaL_checkinteger(L, SEQ);
  const struct ph_task_options *base = lua_toboolean(L, BASE) ? luaL_checkudata(L, BASE, OPTIONS_METATABLE) : NULL;
  size_t size = ph_joblog_size(log, (size_t)(last - first + 1), bytes_of_keys(L, KEYS, first, last));
  struct ph_task_options *o = lua_newuserdatauv(L, sizeof *o + size, 0);
  *o = base != NULL ? *base : ph_task_defaults;
  struct ph_buf bytes = {.data = (uint8_t *)(o + 1), .cap = size};
  ph_joblog_begin(&bytes, log, lua_toboolean(L, SYNC), seq);
  put_keys(L, KEYS, first, last, &bytes);
  ph_joblog_end(&bytes);
  luaL_setmetatable(L, OPTIONS_METATABLE);
  return 1;
}

int luaopen_parhost_core_joblog(lua_State *L) {
  static const luaL_Reg methods[] = {{"read", log_read},
                                     {"cut", log_cut},
                                     {"put_header", log_put_header},
                                     {"is_first", log_is_first},
                                     {"options", log_options},
                                     {"__gc", log_gc},
                                     {NULL, NULL}};
  static const luaL_Reg functions[] = {{"open", joblog_open}, {NULL, NULL}};
  luaL_newmetatable(L, LOG_METATABLE);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  lua_pushliteral(L, PH_JOBLOG_HEADER);
  lua_setfield(L, -2, "HEADER");
  return 1;
}
