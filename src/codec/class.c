/* SPDX-License-Identifier: MIT
 * Registered classes: a class is the metatable of its instances. Its definition travels once per worker, as a blob;
 * without a blob store (results, dump_value) both ends must know the name. */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "codec/codec_int.h"

#define PLACE_LEVELS 20 /* of the stack, that tell where a class is registered */

static bool is_error_class(lua_State *L, int idx) {
  luaL_getmetatable(L, PH_ERROR_CLASS);
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
    lua_pushliteral(L, PH_ERROR_CLASS);
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

static int get_field(lua_State *L) {
  lua_gettable(L, 1);
  return 1;
}

int ph__push_class_field(lua_State *L, struct ph_codec *c, int idx, const char *name) {
  idx = lua_absindex(L, idx);
  lua_pushstring(L, name);
  int type = lua_rawget(L, idx);
  if (type != LUA_TNIL || !lua_getmetatable(L, idx)) return type;
  lua_pop(L, 2);
  lua_pushcfunction(L, get_field); /* may run an __index of the user's */
  lua_pushvalue(L, idx);
  lua_pushstring(L, name);
  ph__call_out(L, c, 2, 1);
  return lua_type(L, -1);
}

void ph__enter_class(lua_State *L, struct ph_codec *c, int name, int class) {
  lua_getiuservalue(L, c->self, PH_UV_CLASSES);
  lua_pushvalue(L, name);
  lua_pushvalue(L, class);
  lua_rawset(L, -3);
  lua_pushvalue(L, class);
  lua_pushvalue(L, name);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* Where register is called, as "class.lua:5\npoint.lua:3": up to the line of a main chunk, which the end names, or to the
 * outermost function, with nothing behind the last newline. */
static void push_place(lua_State *L) {
  lua_Debug ar;
  luaL_Buffer b;
  bool is_main = false;
  luaL_buffinit(L, &b);
  for (int level = 1; !is_main && level < PLACE_LEVELS && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline < 0) continue; /* a C function */
    is_main = *ar.what == 'm';
    lua_pushfstring(L, "%s:%d%s", *ar.source == '@' ? ar.source + 1 : ar.short_src, ar.currentline, is_main ? "" : "\n");
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
}

/* The name, the class, the codec, classes, and another class of this name are on the stack. It gives way if it has come from
 * elsewhere with a task, or was registered at the same place: a module is loaded again. */
static void take_over(lua_State *L) {
  lua_getiuservalue(L, 3, PH_UV_PLACES);
  lua_pushvalue(L, 1);
  if (lua_rawget(L, -2) == LUA_TNIL) return;
  push_place(L);
  if (lua_rawequal(L, -1, -2)) return;
  const char *place = lua_tostring(L, -2), *end = strrchr(place, '\n');
  if (end != NULL && end[1] != '\0') place = end + 1;
  lua_pushlstring(L, place, strcspn(place, "\n"));
  luaL_argerror(L, 1,
                lua_pushfstring(L, "another class is registered as '%s', in %s", lua_tostring(L, 1), lua_tostring(L, -1)));
}

void ph__push_class_module(lua_State *L, struct ph_codec *c, int class) {
  int top = lua_gettop(L);
  lua_getiuservalue(L, c->self, PH_UV_PLACES);
  const char *place = "";
  if (ph__push_class_name(L, c, class) && lua_rawget(L, -2) == LUA_TSTRING) place = lua_tostring(L, -1);
  const char *newline = strrchr(place, '\n'), *file = newline != NULL ? newline + 1 : place, *colon = strrchr(file, ':');
  lua_pushlstring(L, file, colon != NULL ? (size_t)(colon - file) : 0);
  ph__push_module_of_file(L, -1);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
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
  if (!lua_isnil(L, -1) && !lua_rawequal(L, -1, 2)) take_over(L);
  lua_pushvalue(L, 2);
  lua_rawget(L, 4);
  if (!lua_isnil(L, -1) && !lua_rawequal(L, -1, 1))
    luaL_argerror(L, 2, lua_pushfstring(L, "the class is registered as '%s' already", lua_tostring(L, -1)));
  ph__enter_class(L, c, 1, 2);
  lua_getiuservalue(L, 3, PH_UV_PLACES);
  lua_pushvalue(L, 1);
  push_place(L);
  lua_rawset(L, -3);
}

#define REFUSED (-2) /* among numbers; -1: the store is full */

/* --- definitions ------------------------------------------------------------------------------------------ */

/* class, struct ph_err -> bytes, or nil with the error filled */
static int encode_definition(lua_State *L) {
  struct ph_encoded e;
  const struct ph_encode_options options = {
      .root = "class", .first_is_root = true, .flags = PH_ENCODE_DEFINE, .externs = LUA_NOREF};
  if (ph_encode(L, &options, 1, 1, &e, lua_touserdata(L, 2)) == 0)
    lua_pushlstring(L, (const char *)e.data, e.len);
  else
    lua_pushnil(L);
  return 1;
}

/* `inner`: what is wrong with the definition of the class at idx. */
static void refuse_definition(lua_State *L, struct ph_codec *c, int idx, const struct ph_err *inner) {
  if (c->err == NULL) return;
  size_t n = strlen(inner->path);
  bool has_path = strncmp(inner->message, inner->path, n) == 0;
  *c->err = *inner;
  ph__push_class_name(L, c, idx);
  snprintf(c->err->path, sizeof c->err->path, "@class '%.60s': %.180s", lua_tostring(L, -1), inner->path);
  snprintf(c->err->message, sizeof c->err->message, "%s", inner->message + (has_path ? n + 2 : 0));
  lua_pop(L, 1);
}

static int64_t intern_definition(lua_State *L, struct ph_codec *c, int class) {
  const struct ph_blob_store *store = c->options->blobs;
  struct ph_err err;
  uint8_t hash[16];
  size_t len;
  int64_t number = REFUSED;
  lua_pushcfunction(L, encode_definition);
  lua_pushvalue(L, class);
  lua_pushlightuserdata(L, &err);
  ph__call_out(L, c, 2, 1);
  const char *bytes = lua_tolstring(L, -1, &len);
  if (bytes != NULL) {
    ph__hash128(bytes, len, hash);
    number = store->intern(store->ud, hash, bytes, len);
  } else {
    refuse_definition(L, c, class, &err);
  }
  lua_pop(L, 1);
  return number;
}

/* The number is cached per store, under the name of the class and the store's id. */
bool ph__class_blob(lua_State *L, struct ph_codec *c, int idx, uint64_t *blob_plus_1) {
  const struct ph_blob_store *store = c->options->blobs;
  *blob_plus_1 = 0;
  if (store == NULL || is_error_class(L, idx)) return true;
  if (push_module_of(L, c, idx)) {
    lua_pop(L, 1);
    return true;
  }
  lua_getiuservalue(L, c->self, PH_UV_CLASSES);
  int classes = lua_gettop(L);
  lua_pushvalue(L, idx);
  lua_rawget(L, classes);
  lua_pushfstring(L, "%s\n%I", lua_tostring(L, -1), (LUAI_UACINT)store->id); /* no class can have this name: see register */
  lua_pushvalue(L, -1);
  bool known = lua_rawget(L, classes) != LUA_TNIL;
  int64_t number = known ? lua_tointeger(L, -1) : intern_definition(L, c, idx);
  if (!known && number != REFUSED) {
    lua_pushvalue(L, -2);
    lua_pushinteger(L, number);
    lua_rawset(L, classes);
  }
  lua_settop(L, classes - 1);
  if (number >= 0) {
    ph__note_blob(L, c, (uint32_t)number);
    *blob_plus_1 = (uint64_t)number + 1;
  }
  return number != REFUSED;
}

static int decode_definition(lua_State *L) {
  struct ph_err err;
  size_t len;
  const char *bytes = lua_tolstring(L, 1, &len);
  if (ph_decode(L, NULL, LUA_NOREF, bytes, len, &err) != 1 || !lua_istable(L, -1)) luaL_error(L, "bad class definition");
  return 1;
}

bool ph__push_class(lua_State *L, struct ph_codec *c, int idx, const struct ph_blob_store *blobs, uint64_t blob_plus_1) {
  const void *bytes;
  size_t len;
  idx = lua_absindex(L, idx);
  if (strcmp(lua_tostring(L, idx), PH_ERROR_CLASS) == 0) {
    luaL_newmetatable(L, PH_ERROR_CLASS);
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
    ph__require(L, c, true);
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
  ph__enter_class(L, c, idx, lua_gettop(L)); /* again; or a module that has not registered it */
  lua_remove(L, -2);
  return true;
}
