/* SPDX-License-Identifier: MIT
 * parhost.core.json: JSON text <-> Lua values, through jansson. Integers stay integers. What jansson allocates hangs on
 * a userdata while Lua code may raise. */
#include <jansson.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/core.h"
#include "vm/error.h"

#define BOX_METATABLE "parhost.core.json.Box"
#define DEPTH_MAX 1000

struct box {
  json_t *root;
  char *text;
};

static int free_box(lua_State *L) {
  struct box *b = luaL_checkudata(L, 1, BOX_METATABLE);
  json_decref(b->root);
  free(b->text);
  b->root = NULL;
  b->text = NULL;
  return 0;
}

static struct box *new_box(lua_State *L) {
  struct box *b = lua_newuserdatauv(L, sizeof *b, 0);
  *b = (struct box){NULL, NULL};
  luaL_setmetatable(L, BOX_METATABLE);
  return b;
}

/* --- decoding --------------------------------------------------------------------------------------------- */

static void push_json(lua_State *L, const json_t *value);

static void push_array(lua_State *L, const json_t *array) {
  size_t n = json_array_size(array);
  lua_createtable(L, n < INT_MAX ? (int)n : INT_MAX, 0);
  for (size_t i = 0; i < n; i++) {
    push_json(L, json_array_get(array, i));
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static void push_object(lua_State *L, json_t *object) {
  size_t n = json_object_size(object);
  lua_createtable(L, 0, n < INT_MAX ? (int)n : INT_MAX);
  for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
    lua_pushstring(L, json_object_iter_key(at));
    push_json(L, json_object_iter_value(at));
    lua_rawset(L, -3);
  }
}

/* Nested at the most as deep as jansson's parser goes. */
static void push_json(lua_State *L, const json_t *value) {
  luaL_checkstack(L, 8, "JSON text");
  switch (json_typeof(value)) {
    case JSON_OBJECT: push_object(L, (json_t *)(uintptr_t)value); break;
    case JSON_ARRAY: push_array(L, value); break;
    case JSON_STRING: lua_pushlstring(L, json_string_value(value), json_string_length(value)); break;
    case JSON_INTEGER: lua_pushinteger(L, (lua_Integer)json_integer_value(value)); break;
    case JSON_REAL: lua_pushnumber(L, json_real_value(value)); break;
    case JSON_NULL: lua_pushvalue(L, lua_upvalueindex(1)); break;
    default: lua_pushboolean(L, json_is_true(value));
  }
}

/* decode(text) -> true, value | false, what is wrong, line, column */
static int decode(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  json_error_t error;
  struct box *b = new_box(L);
  b->root = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
  lua_pushboolean(L, b->root != NULL);
  if (b->root != NULL) {
    push_json(L, b->root);
    return 2;
  }
  lua_pushstring(L, error.text);
  lua_pushinteger(L, error.line);
  lua_pushinteger(L, error.column);
  return 4;
}

/* --- encoding ---------------------------------------------------------------------------------------------
 * A container goes to its place in the whole before it is filled: so all that was made can be reached from the root, and
 * nothing leaks when a part is refused. */

struct path { /* from the value that is being encoded up to the whole */
  const struct path *outer;
  const char *key; /* NULL: an item of an array */
  lua_Integer index;
  int depth;
};

static void add_path(luaL_Buffer *text, const struct path *path) {
  char index[32];
  if (path == NULL || path->outer == NULL) return;
  add_path(text, path->outer);
  if (path->key != NULL) {
    if (path->outer->outer != NULL) luaL_addchar(text, '.');
    luaL_addstring(text, path->key);
  } else {
    snprintf(index, sizeof index, "[%lld]", (long long)path->index);
    luaL_addstring(text, index);
  }
}

static _Noreturn void refuse(lua_State *L, const struct path *path, const char *what) {
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  if (path->outer != NULL && path->depth < 20) {
    luaL_addchar(&text, '\'');
    add_path(&text, path);
    luaL_addstring(&text, "': ");
  }
  luaL_addstring(&text, what);
  luaL_pushresult(&text);
  lua_error(L);
  __builtin_unreachable();
}

static json_t *encode_value(lua_State *L, const struct path *path, bool *is_container);
static void fill(lua_State *L, json_t *container, const struct path *path);

static json_t *checked(lua_State *L, json_t *value, const struct path *path) {
  if (value == NULL) refuse(L, path, "not enough memory");
  return value;
}

static json_t *encode_string(lua_State *L, const struct path *path) {
  size_t len;
  const char *text = lua_tolstring(L, -1, &len);
  json_t *value = json_stringn(text, len);
  if (value == NULL) refuse(L, path, "a string that is not valid UTF-8");
  return value;
}

static json_t *encode_number(lua_State *L, const struct path *path) {
  if (lua_isinteger(L, -1)) return checked(L, json_integer(lua_tointeger(L, -1)), path);
  json_t *value = json_real(lua_tonumber(L, -1));
  if (value == NULL) refuse(L, path, "NaN and infinity are not JSON");
  return value;
}

/* An array has the class of http.array, or the keys 1..n and nothing else. */
static bool is_array(lua_State *L) {
  lua_Integer n = 0;
  if (lua_getmetatable(L, -1)) {
    bool marked = lua_rawequal(L, -1, lua_upvalueindex(2));
    lua_pop(L, 1);
    if (marked) return true;
  }
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    n++;
    if (!lua_isinteger(L, -2)) {
      lua_pop(L, 2);
      return false;
    }
  }
  return n > 0 && (lua_Integer)lua_rawlen(L, -1) == n;
}

static json_t *encode_value(lua_State *L, const struct path *path, bool *is_container) {
  char what[64];
  *is_container = false;
  if (lua_rawequal(L, -1, lua_upvalueindex(1))) return json_null();
  switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN: return json_boolean(lua_toboolean(L, -1));
    case LUA_TNUMBER: return encode_number(L, path);
    case LUA_TSTRING: return encode_string(L, path);
    case LUA_TTABLE:
      if (path->depth >= DEPTH_MAX) refuse(L, path, "nested too deeply, or in itself");
      *is_container = true;
      return checked(L, is_array(L) ? json_array() : json_object(), path);
    default: snprintf(what, sizeof what, "a %s is not JSON", luaL_typename(L, -1)); refuse(L, path, what);
  }
}

static void fill_array(lua_State *L, json_t *array, const struct path *path) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
  for (lua_Integer i = 1; i <= n; i++) {
    struct path item = {path, NULL, i, path->depth + 1};
    bool is_container;
    lua_rawgeti(L, -1, i);
    json_t *value = encode_value(L, &item, &is_container);
    if (json_array_append_new(array, value) != 0) refuse(L, &item, "not enough memory");
    if (is_container) fill(L, value, &item);
    lua_pop(L, 1);
  }
}

/* A key that is a number becomes its text; converting it must not confuse lua_next. */
static const char *key_text(lua_State *L, const struct path *path) {
  if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
    refuse(L, path, "keys of JSON objects are strings and numbers");
  size_t len;
  const char *key = lua_tolstring(L, -1, &len);
  if (strlen(key) != len) refuse(L, path, "a key with a NUL byte");
  return key;
}

static void fill_object(lua_State *L, json_t *object, const struct path *path) {
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 2)) {
    bool is_container;
    lua_pushvalue(L, -2);
    struct path field = {path, key_text(L, path), 0, path->depth + 1};
    lua_insert(L, -2);
    json_t *value = encode_value(L, &field, &is_container);
    if (json_object_set_new(object, field.key, value) != 0) refuse(L, &field, "a key that is not valid UTF-8");
    if (is_container) fill(L, value, &field);
  }
}

static void fill(lua_State *L, json_t *container, const struct path *path) {
  luaL_checkstack(L, 10, "JSON value");
  if (json_is_array(container))
    fill_array(L, container, path);
  else
    fill_object(L, container, path);
}

/* encode(value) -> text; raises a string that says which part of the value is not JSON. */
static int encode(lua_State *L) {
  struct path whole = {NULL, NULL, 0, 0};
  bool is_container;
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  struct box *b = new_box(L);
  lua_insert(L, 1);
  b->root = encode_value(L, &whole, &is_container);
  if (is_container) fill(L, b->root, &whole);
  b->text = json_dumps(b->root, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
  if (b->text == NULL) refuse(L, &whole, "not enough memory");
  lua_pushstring(L, b->text);
  return 1;
}

/* The module: a function (null, array) -> { decode, encode }. `null` stands for null, the metatable `array` marks tables
 * that are arrays even when they are empty. */
static int bind_marks(lua_State *L) {
  static const luaL_Reg functions[] = {{"decode", decode}, {"encode", encode}, {NULL, NULL}};
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  lua_newtable(L);
  lua_insert(L, 1);
  luaL_setfuncs(L, functions, 2);
  return 1;
}

int luaopen_parhost_core_json(lua_State *L) {
  luaL_newmetatable(L, BOX_METATABLE);
  lua_pushcfunction(L, free_box);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  lua_pushcfunction(L, bind_marks);
  return 1;
}
