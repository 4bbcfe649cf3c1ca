/* SPDX-License-Identifier: MIT
 * Registered classes: a class is the metatable of its instances. Its definition travels once per worker, as a blob;
 * without a blob store (results, dump_value) both ends must know the name. */
#include <lauxlib.h>
#include <string.h>

#include "codec/codec_int.h"

#define ERROR_CLASS "parhost.Error" /* error objects: always registered, by the name of their metatable */

static bool is_error_class(lua_State *L, int idx) {
  luaL_getmetatable(L, ERROR_CLASS);
  bool is = lua_rawequal(L, -1, idx);
  lua_pop(L, 1);
  return is;
}

/* Things that live on in this process: their metatable names a module whose __load takes what their __dump gives. */
static bool push_module_of(lua_State *L, const struct ph_codec *c, int idx) {
  if (c->options == NULL || !(c->options->flags & PH_ENCODE_SAME_PROCESS)) return false;
  lua_pushliteral(L, "__parhost_module");
  if (lua_rawget(L, idx) != LUA_TSTRING) {
    lua_pop(L, 1);
    return false;
  }
  lua_pushfstring(L, "@%s", lua_tostring(L, -1));
  lua_remove(L, -2);
  return true;
}

bool ph__push_class_name(lua_State *L, struct ph_codec *c, int idx) {
  idx = lua_absindex(L, idx);
  if (push_module_of(L, c, idx)) return true;
  if (is_error_class(L, idx)) {
    lua_pushliteral(L, ERROR_CLASS);
    return true;
  }
  lua_getiuservalue(L, c->self, PH_UV_CLASSES);
  lua_pushvalue(L, idx);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (lua_isstring(L, -1)) return true;
  lua_pop(L, 1);
  return false;
}

static void enter(lua_State *L, int classes, int name, int class) {
  lua_pushvalue(L, name);
  lua_pushvalue(L, class);
  lua_rawset(L, classes);
  lua_pushvalue(L, class);
  lua_pushvalue(L, name);
  lua_rawset(L, classes);
}

void ph_codec_register(lua_State *L) {
  luaL_argexpected(L, lua_type(L, 1) == LUA_TSTRING, 1, "string");
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_argcheck(L, strchr(lua_tostring(L, 1), '\n') == NULL, 1, "a name of one line expected");
  lua_settop(L, 2);
  struct ph_codec *c = ph__codec_push(L);
  c->self = 3;
  lua_getiuservalue(L, 3, PH_UV_CLASSES);
  lua_pushvalue(L, 1);
  lua_rawget(L, 4);
  if (!lua_isnil(L, -1) && !lua_rawequal(L, -1, 2))
    luaL_argerror(L, 1, lua_pushfstring(L, "another class is registered as '%s'", lua_tostring(L, 1)));
  lua_pushvalue(L, 2);
  lua_rawget(L, 4);
  if (!lua_isnil(L, -1) && !lua_rawequal(L, -1, 1))
    luaL_argerror(L, 2, lua_pushfstring(L, "the class is registered as '%s' already", lua_tostring(L, -1)));
  enter(L, 4, 1, 2);
}

/* --- definitions ------------------------------------------------------------------------------------------ */

/* A copy of the class without what belongs to this side: the definition as plain data. A class may refer to itself
 * (Point.__index = Point): such fields are named in a list. */
static void push_definition(lua_State *L, int class) {
  lua_createtable(L, 2, 0);
  lua_newtable(L);
  lua_newtable(L);
  int fields = lua_gettop(L) - 1, selves = fields + 1;
  for (lua_pushnil(L); lua_next(L, class); lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    if (lua_rawequal(L, -2, class)) {
      lua_rawseti(L, selves, (lua_Integer)lua_rawlen(L, selves) + 1);
    } else {
      lua_pushvalue(L, -2);
      lua_rawset(L, fields);
    }
  }
  lua_rawseti(L, fields - 1, 2);
  lua_rawseti(L, fields - 1, 1);
}

static int encode_definition(lua_State *L) {
  struct ph_encoded e;
  struct ph_err err;
  const struct ph_encode_options options = {.root = "class", .externs = LUA_NOREF};
  push_definition(L, 1);
  if (ph_encode(L, &options, -1, 1, &e, &err) != 0) luaL_error(L, "class '%s': %s", lua_tostring(L, 2), err.message);
  lua_pushlstring(L, (const char *)e.data, e.len);
  return 1;
}

/* The number is cached per store, under the name of the class and the store's id. */
uint64_t ph__class_blob(lua_State *L, struct ph_codec *c, int idx) {
  const struct ph_blob_store *store = c->options->blobs;
  if (store == NULL || is_error_class(L, idx)) return 0;
  if (push_module_of(L, c, idx)) {
    lua_pop(L, 1);
    return 0;
  }
  lua_getiuservalue(L, c->self, PH_UV_CLASSES);
  lua_pushvalue(L, idx);
  lua_rawget(L, -2);
  lua_pushfstring(L, "%s\n%I", lua_tostring(L, -1), (LUAI_UACINT)store->id); /* no class can have this name: see register */
  lua_pushvalue(L, -1);
  int64_t number = -1;
  if (lua_rawget(L, -4) == LUA_TNIL) {
    uint8_t hash[16];
    size_t len;
    lua_pushcfunction(L, encode_definition);
    lua_pushvalue(L, idx);
    lua_pushvalue(L, -5);
    ph__call_out(L, c, 2, 1);
    const char *bytes = lua_tolstring(L, -1, &len);
    ph__hash128(bytes, len, hash);
    number = store->intern(store->ud, hash, bytes, len);
    lua_pop(L, 1);
    lua_pushvalue(L, -2);
    lua_pushinteger(L, number);
    lua_rawset(L, -6);
  } else {
    number = lua_tointeger(L, -1);
  }
  lua_pop(L, 4);
  if (number >= 0) {
    uint32_t n = (uint32_t)number;
    if (ph_buf_put(&c->refs, &n, sizeof n) != 0) ph__no_memory(L);
  }
  return (uint64_t)(number + 1);
}

/* definition (fields, selves) on the stack top -> class */
static void build_class(lua_State *L) {
  int definition = lua_gettop(L);
  lua_rawgeti(L, definition, 1);
  lua_rawgeti(L, definition, 2);
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, -1, i);
    lua_pushvalue(L, -3);
    lua_rawset(L, -4);
  }
  lua_pop(L, 1);
  lua_replace(L, definition);
}

static int decode_definition(lua_State *L) {
  struct ph_err err;
  size_t len;
  const char *bytes = lua_tolstring(L, 1, &len);
  if (ph_decode(L, NULL, LUA_NOREF, bytes, len, &err) != 1 || !lua_istable(L, -1)) luaL_error(L, "bad class definition");
  build_class(L);
  return 1;
}

bool ph__push_class(lua_State *L, struct ph_codec *c, int idx, const struct ph_blob_store *blobs, uint64_t blob_plus_1) {
  const void *bytes;
  size_t len;
  idx = lua_absindex(L, idx);
  if (strcmp(lua_tostring(L, idx), ERROR_CLASS) == 0) {
    luaL_newmetatable(L, ERROR_CLASS);
    return true;
  }
  lua_getiuservalue(L, c->self, PH_UV_CLASSES);
  lua_pushvalue(L, idx);
  if (lua_rawget(L, -2) == LUA_TTABLE) {
    lua_remove(L, -2);
    return true;
  }
  lua_pop(L, 1);
  if (lua_tostring(L, idx)[0] == '@') {
    lua_pushstring(L, lua_tostring(L, idx) + 1);
    ph__require(L, c);
    lua_remove(L, -2);
    return true;
  }
  if (blob_plus_1 == 0 || blobs == NULL || blobs->resolve(blobs->ud, blob_plus_1 - 1, &bytes, &len) != 0) {
    lua_pop(L, 1);
    return false;
  }
  lua_pushcfunction(L, decode_definition);
  lua_pushlstring(L, bytes, len);
  ph__call_out(L, c, 1, 1);
  enter(L, lua_gettop(L) - 1, idx, lua_gettop(L));
  lua_remove(L, -2);
  return true;
}
