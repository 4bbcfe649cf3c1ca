/* SPDX-License-Identifier: MIT
 * Environment, working directory and niceness of this process, for the setup of workers. */
#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/submit.h"
#include "pool/zygote.h"
#include "vm/error.h"

extern char **environ;

static void raise_os(lua_State *L, const char *what, const char *name) {
  struct ph_err err;
  ph_err_set(&err, "os", errno, "%s '%s': %s", what, name, strerror(errno));
  ph_error_raise_err(L, &err);
}

static void enter_environment(lua_State *L, int idx) {
  clearenv();
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
    if (lua_type(L, -2) == LUA_TSTRING && lua_isstring(L, -1)) setenv(lua_tostring(L, -2), lua_tostring(L, -1), 1);
  }
}

int process_enter(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (lua_getfield(L, 1, "env") == LUA_TTABLE) enter_environment(L, 2);
  if (lua_getfield(L, 1, "cwd") == LUA_TSTRING && chdir(lua_tostring(L, 3)) != 0)
    raise_os(L, "cannot change to the working directory", lua_tostring(L, 3));
  if (lua_getfield(L, 1, "nice") == LUA_TNUMBER) {
    errno = 0;
    if (nice((int)lua_tointeger(L, 4)) == -1 && errno != 0) raise_os(L, "cannot set niceness", lua_tostring(L, 4));
  }
  return 0;
}

/* environment([only_when_changed]): the working directory, the environment. The latter is nil where it is wanted only when
 * workers would not begin with the same. */
int process_environment(lua_State *L) {
  char cwd[PATH_MAX];
  bool only_changed = lua_toboolean(L, 1);
  if (getcwd(cwd, sizeof cwd) != NULL)
    lua_pushstring(L, cwd);
  else
    lua_pushnil(L);
  if (only_changed && ph_zygote_has_environment()) return 1;
  lua_newtable(L);
  for (char **e = environ; e != NULL && *e != NULL; e++) {
    const char *equals = strchr(*e, '=');
    if (equals == NULL) continue;
    lua_pushlstring(L, *e, (size_t)(equals - *e));
    lua_pushstring(L, equals + 1);
    lua_rawset(L, -3);
  }
  return 2;
}
