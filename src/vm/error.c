/* SPDX-License-Identifier: MIT */
#include "vm/error.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int error_tostring(lua_State *L) {
  lua_settop(L, 1);
  lua_pushliteral(L, "parhost.");
  lua_getfield(L, 1, "kind");
  luaL_tolstring(L, -1, NULL);
  lua_replace(L, -2);
  lua_pushliteral(L, ": ");
  lua_getfield(L, 1, "message");
  luaL_tolstring(L, -1, NULL);
  lua_replace(L, -2);
  lua_concat(L, 4);
  return 1;
}

void ph_error_metatable(lua_State *L) {
  if (luaL_newmetatable(L, PH_ERROR_METATABLE)) {
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
  }
}

static void push_error(lua_State *L, const char *kind, const char *message) {
  lua_createtable(L, 0, 4);
  lua_pushstring(L, kind);
  lua_setfield(L, -2, "kind");
  lua_pushstring(L, message);
  lua_setfield(L, -2, "message");
  ph_error_metatable(L);
  lua_setmetatable(L, -2);
}

__attribute__((format(printf, 3, 0))) static void push_error_v(lua_State *L, const char *kind, const char *format,
                                                               va_list args) {
  char message[512];
  vsnprintf(message, sizeof message, format, args);
  push_error(L, kind, message);
}

void ph_error_push(lua_State *L, const char *kind, const char *format, ...) {
  va_list args;
  va_start(args, format);
  push_error_v(L, kind, format, args);
  va_end(args);
}

void ph_error_push_err(lua_State *L, const struct ph_err *err) {
  push_error(L, err->kind, err->message);
  if (err->code != 0) {
    lua_pushstring(L, strerrorname_np(err->code));
    lua_setfield(L, -2, "code");
  }
  if (err->path[0] != '\0') {
    lua_pushstring(L, err->path);
    lua_setfield(L, -2, "path");
  }
  if (err->type[0] != '\0') {
    lua_pushstring(L, err->type);
    lua_setfield(L, -2, "type");
  }
}

void ph_error_raise(lua_State *L, const char *kind, const char *format, ...) {
  va_list args;
  va_start(args, format);
  push_error_v(L, kind, format, args);
  va_end(args);
  lua_error(L);
  __builtin_unreachable();
}

void ph_error_raise_err(lua_State *L, const struct ph_err *err) {
  ph_error_push_err(L, err);
  lua_error(L);
  __builtin_unreachable();
}
