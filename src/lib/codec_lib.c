/* SPDX-License-Identifier: MIT
 * parhost.core.codec: the codec for Lua. */
#include <lauxlib.h>
#include <string.h>

#include "codec/codec.h"
#include "lib/core.h"
#include "vm/error.h"

static int codec_register(lua_State *L) {
  ph_codec_register(L);
  return 0;
}

static int dump_value(lua_State *L) {
  struct ph_err err;
  luaL_checkany(L, 1);
  if (ph_codec_dump(L, 1, &err) != 0) ph_error_raise_err(L, &err);
  return 1;
}

static int load_value(lua_State *L) {
  struct ph_err err;
  size_t len;
  luaL_argexpected(L, lua_type(L, 1) == LUA_TSTRING, 1, "string");
  const char *bytes = lua_tolstring(L, 1, &len);
  if (ph_codec_load(L, bytes, len, &err) != 0) ph_error_raise_err(L, &err);
  return 1;
}

static int label(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  ph_codec_push_label(L, 1);
  return 1;
}

/* stand_in(environment): it stands for the globals table from now on. */
static int stand_in(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  ph_codec_stand_in(L, 1);
  return 0;
}

/* left_out(name) -> why the global did not travel, or nil */
static int left_out(lua_State *L) {
  luaL_checkstring(L, 1);
  ph_codec_push_left_out(L, 1);
  return 1;
}

int luaopen_parhost_core_codec(lua_State *L) {
  static const luaL_Reg functions[] = {{"register", codec_register},
                                       {"dump_value", dump_value},
                                       {"load_value", load_value},
                                       {"label", label},
                                       {"stand_in", stand_in},
                                       {"left_out", left_out},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
