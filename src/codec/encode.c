/* SPDX-License-Identifier: MIT
 * Values -> bytes. Containers under way are levels on an explicit stack; each keeps its container and its current key
 * on the Lua stack, so depth costs two Lua slots and no C stack. */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "codec/codec_int.h"

/* States of a level. */
enum { IN_TABLE, BY_INDEX, AFTER_KEY, AT_UPVALUE, AFTER_UPVALUE, AFTER_INSTANCE };
/* What comes of writing: written; refused; a container, its level was pushed; a value was pushed, to be written next. */
enum { OK = 0, REFUSED = -1, BEGUN = 1, PUSHED = 2 };

void ph__put(lua_State *L, struct ph_codec *c, const void *bytes, size_t n) {
  if (c->out.len + n > PH_MESSAGE_MAX) luaL_error(L, "the message takes more than 2 GiB");
  if (ph_buf_put(&c->out, bytes, n) != 0) ph__no_memory(L);
}

void ph__put_tag(lua_State *L, struct ph_codec *c, uint8_t tag) {
  if (ph_buf_put_u8(&c->out, tag) != 0) ph__no_memory(L);
}

void ph__put_varint(lua_State *L, struct ph_codec *c, uint64_t v) {
  if (ph_buf_reserve(&c->out, 10) != 0) ph__no_memory(L);
  while (v >= 0x80) {
    c->out.data[c->out.len++] = (uint8_t)(v | 0x80);
    v >>= 7;
  }
  c->out.data[c->out.len++] = (uint8_t)v;
}

/* The value on the stack top cannot travel: its path and type go into err (NULL: nobody asks). */
static int refuse(lua_State *L, struct ph_codec *c, const char *kind, const char *what) {
  if (c->err == NULL) return REFUSED;
  bool named = luaL_getmetafield(L, -1, "__name") == LUA_TSTRING;
  const char *type = named ? lua_tostring(L, -1) : luaL_typename(L, -1);
  ph_err_set(c->err, kind, 0, "%s", what);
  snprintf(c->err->type, sizeof c->err->type, "%s", type);
  if (named) lua_pop(L, 1);
  ph__fill_path(L, c);
  return REFUSED;
}

/* --- what was written before ------------------------------------------------------------------------------- */

bool ph__seen(lua_State *L, struct ph_codec *c, const void *key, uint32_t *at) {
  int known = ph_ptrmap_add(&c->seen, key, at);
  if (known < 0) ph__no_memory(L);
  return known == 1;
}

/* The first place of the object or long string is marked: its ..._SHARED tag follows the plain one. */
static void put_ref(lua_State *L, struct ph_codec *c, uint8_t plain_tag, uint32_t at) {
  if (c->out.data[at] == plain_tag) c->out.data[at]++;
  ph__put_tag(L, c, PH_TAG_REF);
  ph__put_varint(L, c, at);
}

/* True when the object was written before: then this is a reference. */
static bool put_reference(lua_State *L, struct ph_codec *c, const void *object, uint8_t plain_tag) {
  uint32_t at = (uint32_t)c->out.len;
  if (!ph__seen(L, c, object, &at)) return false;
  put_ref(L, c, plain_tag, at);
  return true;
}

/* --- scalars ---------------------------------------------------------------------------------------------- */

static void put_integer(lua_State *L, struct ph_codec *c, lua_Integer v) {
  if (v >= 0 && v < 0x80) {
    ph__put_tag(L, c, (uint8_t)(PH_TAG_SMALL | v));
    return;
  }
  ph__put_tag(L, c, PH_TAG_INT);
  ph__put_varint(L, c, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static void put_float(lua_State *L, struct ph_codec *c, lua_Number v) {
  ph__put_tag(L, c, PH_TAG_FLOAT);
  ph__put(L, c, &v, sizeof v);
}

/* Short strings are unique in Lua, long ones are the same object when shared: the address tells. From a length of
 * `ref_from` on a string that was written before becomes a reference. */
static void put_string(lua_State *L, struct ph_codec *c, int idx, size_t ref_from) {
  size_t len;
  const char *s = lua_tolstring(L, idx, &len);
  uint32_t at = (uint32_t)c->out.len;
  if (len >= ref_from && ph__seen(L, c, s, &at)) {
    if (len > PH_SHORT_STRING) {
      put_ref(L, c, PH_TAG_STRING, at);
    } else {
      ph__put_tag(L, c, PH_TAG_STRING_REF);
      ph__put_varint(L, c, at);
    }
    return;
  }
  ph__put_tag(L, c, PH_TAG_STRING);
  ph__put_varint(L, c, len);
  ph__put(L, c, s, len);
}

#define REF_FROM 3 /* shorter ones take no more bytes than a reference */

void ph__put_string(lua_State *L, struct ph_codec *c, int idx) {
  put_string(L, c, idx, REF_FROM);
}

/* Writes a nil, boolean, number or string; false: it is something else. */
static bool put_scalar(lua_State *L, struct ph_codec *c, int idx) {
  switch (lua_type(L, idx)) {
    case LUA_TNIL: ph__put_tag(L, c, PH_TAG_NIL); return true;
    case LUA_TBOOLEAN: ph__put_tag(L, c, lua_toboolean(L, idx) ? PH_TAG_TRUE : PH_TAG_FALSE); return true;
    case LUA_TSTRING: ph__put_string(L, c, idx); return true;
    case LUA_TNUMBER:
      if (lua_isinteger(L, idx))
        put_integer(L, c, lua_tointeger(L, idx));
      else
        put_float(L, c, lua_tonumber(L, idx));
      return true;
    default: return false;
  }
}

/* --- values by name ---------------------------------------------------------------------------------------- */

static bool put_extern(lua_State *L, struct ph_codec *c) {
  if (c->options->externs == LUA_NOREF) return false;
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->options->externs);
  lua_pushvalue(L, -2);
  bool known = lua_rawget(L, -2) == LUA_TNUMBER;
  if (known) {
    ph__put_tag(L, c, PH_TAG_EXTERN);
    ph__put_varint(L, c, (uint64_t)lua_tointeger(L, -1));
  }
  lua_pop(L, 2);
  return known;
}

static bool is_module(lua_State *L, struct ph_codec *c, const void *object) {
  if (!c->modules_known) {
    c->modules_known = true;
    ph_ptrmap_clear(&c->modules);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
      const void *p = lua_topointer(L, -1);
      if (p == NULL || lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) == LUA_TSTRING) continue;
      if (ph_ptrmap_add(&c->modules, p, &(uint32_t){0}) < 0) ph__no_memory(L);
    }
    lua_pop(L, 1);
  }
  return ph_ptrmap_get(&c->modules, object) != PH_PTRMAP_NONE;
}

static bool put_module(lua_State *L, struct ph_codec *c) {
  if (!is_module(L, c, lua_topointer(L, -1)) || !ph__push_module_name(L, -1)) return false;
  ph__put_tag(L, c, PH_TAG_MODULE);
  ph__put_string(L, c, -1);
  lua_pop(L, 1);
  return true;
}

/* --- tables ----------------------------------------------------------------------------------------------- */

/* Not the length of a sparse table whose few elements happen to lie at powers of two. */
static lua_Integer array_length(lua_State *L) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1), holes = 0;
  if (n < 1024) return n;
  for (lua_Integer i = 1; i <= 16; i++) {
    if (lua_rawgeti(L, -1, n / 17 * i) == LUA_TNIL) holes++;
    lua_pop(L, 1);
  }
  return holes > 8 ? 0 : n;
}

static int too_deep(lua_State *L, struct ph_codec *c) {
  return refuse(L, c, "not_serializable", "the value is nested too deeply");
}

/* Writes the tag and begins the table on the stack top. */
static int begin_table(lua_State *L, struct ph_codec *c) {
  struct ph_level *l = ph__level_push(L, c, PH_TAG_TABLE, lua_gettop(L));
  if (l == NULL) return too_deep(L, c);
  l->n = array_length(L);
  ph__put_tag(L, c, PH_TAG_TABLE);
  ph__put_varint(L, c, (uint64_t)l->n);
  l->start = c->out.len;
  ph__put_tag(L, c, 0); /* the number of pairs, known at the end */
  lua_pushnil(L);
  return BEGUN;
}

/* One byte: exact for records, above that a power of two below it. */
static uint8_t pairs_byte(uint32_t pairs) {
  return pairs < PH_PAIRS_EXACT ? (uint8_t)pairs : (uint8_t)(PH_PAIRS_EXACT + 31 - __builtin_clz(pairs));
}

/* An object that is written through __dump is whole for the reader only when __load has run: nothing inside may refer
 * to it. */
static bool is_being_dumped(lua_State *L, struct ph_codec *c, int object) {
  const struct ph_level *l = c->levels.array;
  for (size_t i = 0; c->open_dumps > 0 && i < c->levels.count; i++)
    if (l[i].kind == PH_TAG_INSTANCE && l[i].n && lua_rawequal(L, l[i].index, object)) return true;
  return false;
}

static int put_dumped(lua_State *L, struct ph_codec *c) { /* object, __dump */
  lua_pushvalue(L, -2);
  ph__call_out(L, c, 1, 1);
  lua_getiuservalue(L, c->self, PH_UV_ANCHORS); /* the map of seen objects goes by address */
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 1);
  c->has_anchors = true;
  c->open_dumps++;
  return PUSHED;
}

/* The stack top goes back to the object. */
static int refuse_object(lua_State *L, struct ph_codec *c, int object, const char *what) {
  lua_settop(L, object);
  return refuse(L, c, "not_serializable", what);
}

/* The message of a handle that must not travel, pushed; or false. */
static bool push_nested(lua_State *L, int class) {
  lua_pushliteral(L, "__parhost_nested");
  if (lua_rawget(L, class) == LUA_TSTRING) return true;
  lua_pop(L, 1);
  return false;
}

static int refuse_nested(lua_State *L, struct ph_codec *c, int object) {
  const char *message = lua_tostring(L, -1); /* held by the metatable */
  lua_settop(L, object);
  return refuse(L, c, "nested", message);
}

/* Object and its metatable are on the stack. */
static int put_instance(lua_State *L, struct ph_codec *c) {
  int object = lua_gettop(L) - 1, class = object + 1;
  uint64_t blob;
  if (push_nested(L, class)) return refuse_nested(L, c, object);
  if (!ph__push_class_name(L, c, class))
    return refuse_object(L, c, object, "its metatable is not a registered class (see parhost.register)");
  if (is_being_dumped(L, c, object)) return refuse_object(L, c, object, "what __dump gives refers to the object itself");
  if (put_reference(L, c, lua_topointer(L, object), PH_TAG_INSTANCE)) {
    lua_settop(L, object);
    return OK;
  }
  if (!ph__class_blob(L, c, class, &blob)) return REFUSED;
  ph__put_tag(L, c, PH_TAG_INSTANCE);
  ph__put_string(L, c, -1);
  lua_pop(L, 1);
  ph__put_varint(L, c, blob);
  bool dumps = ph__push_class_field(L, c, class, "__dump") == LUA_TFUNCTION;
  lua_remove(L, class);
  ph__put_tag(L, c, dumps);
  struct ph_level *l = ph__level_push(L, c, PH_TAG_INSTANCE, object);
  if (l == NULL) return too_deep(L, c);
  l->state = AFTER_INSTANCE;
  l->n = dumps;
  if (dumps) return put_dumped(L, c);
  lua_pop(L, 1);
  lua_pushvalue(L, object); /* its fields, as a table of their own */
  return begin_table(L, c);
}

static int put_table(lua_State *L, struct ph_codec *c) {
  const void *object = lua_topointer(L, -1);
  if (object == c->globals) {
    ph__put_tag(L, c, PH_TAG_GLOBALS);
    return OK;
  }
  if (put_extern(L, c) || put_module(L, c)) return OK;
  if (lua_getmetatable(L, -1)) return put_instance(L, c);
  if (put_reference(L, c, object, PH_TAG_TABLE)) return OK;
  return begin_table(L, c);
}

/* --- functions -------------------------------------------------------------------------------------------- */

static bool put_named(lua_State *L, struct ph_codec *c) {
  if (!ph__push_name(L, c, -1)) return false;
  ph__put_tag(L, c, PH_TAG_NAMED);
  ph__put_string(L, c, -2);
  ph__put_string(L, c, -1);
  lua_pop(L, 2);
  return true;
}

static void note_blob(lua_State *L, struct ph_codec *c, uint32_t number) {
  const uint32_t *refs = (const uint32_t *)(const void *)c->refs.data;
  for (size_t i = 0; i < c->refs.len / sizeof number; i++)
    if (refs[i] == number) return;
  if (ph_buf_put(&c->refs, &number, sizeof number) != 0) ph__no_memory(L);
}

static void put_prototype(lua_State *L, struct ph_codec *c, struct ph_function *f) {
  const struct ph_blob_store *store = c->options->blobs;
  if (store != NULL && f->store != store->id) {
    f->store = store->id;
    f->number = store->intern(store->ud, f->hash, f->bytes, f->len);
  }
  if (store != NULL && f->number >= 0) {
    note_blob(L, c, (uint32_t)f->number);
    ph__put_tag(L, c, PH_PROTO_BLOB);
    ph__put_varint(L, c, (uint64_t)f->number);
  } else {
    ph__put_tag(L, c, PH_PROTO_BYTES);
    ph__put_varint(L, c, f->len);
    ph__put(L, c, f->bytes, f->len);
  }
}

static int put_function(lua_State *L, struct ph_codec *c) {
  if (lua_iscfunction(L, -1)) {
    if (put_named(L, c)) return OK;
    return refuse(L, c, "not_serializable", "a C function that no loaded module holds by name cannot travel");
  }
  if (put_extern(L, c)) return OK;
  lua_Debug ar;
  lua_pushvalue(L, -1);
  lua_getinfo(L, ">S", &ar);
  if (strncmp(ar.source, "@lua/", 5) == 0 && put_named(L, c)) return OK;
  if (put_reference(L, c, lua_topointer(L, -1), PH_TAG_FUNCTION)) return OK;
  ph__put_tag(L, c, PH_TAG_FUNCTION);
  c->has_code = true;
  struct ph_function *f = ph__function_push(L, c, -1);
  if ((c->options->flags & PH_ENCODE_CAPTURE) && f->n_globals > 0) {
    lua_getiuservalue(L, c->self, PH_UV_CAPTURES);
    lua_getiuservalue(L, -2, 1);
    lua_rawseti(L, -2, ++c->n_captures);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  put_prototype(L, c, f);
  lua_Integer n = 0;
  while (lua_getupvalue(L, -1, (int)n + 1) != NULL) lua_pop(L, 1), n++;
  ph__put_varint(L, c, (uint64_t)n);
  struct ph_level *l = ph__level_push(L, c, PH_TAG_FUNCTION, lua_gettop(L));
  if (l == NULL) return too_deep(L, c);
  l->state = AT_UPVALUE;
  l->n = n;
  return BEGUN;
}

/* --- any value -------------------------------------------------------------------------------------------- */

static int put_userdata(lua_State *L, struct ph_codec *c) {
  int object = lua_gettop(L);
  if (put_extern(L, c) || put_module(L, c)) return OK;
  if (lua_getmetatable(L, object) && push_nested(L, object + 1)) return refuse_nested(L, c, object);
  return refuse_object(L, c, object, "a userdata cannot travel");
}

static int put_light(lua_State *L, struct ph_codec *c) {
  void *p = lua_touserdata(L, -1);
  if (!(c->options->flags & PH_ENCODE_SAME_PROCESS))
    return refuse(L, c, "not_serializable", "a light userdata means nothing to another process");
  ph__put_tag(L, c, PH_TAG_LIGHT);
  ph__put(L, c, &p, sizeof p);
  return OK;
}

/* Writes the value on the stack top, which stays there. */
static int put_value(lua_State *L, struct ph_codec *c) {
  if (put_scalar(L, c, -1)) return OK;
  switch (lua_type(L, -1)) {
    case LUA_TTABLE: return put_table(L, c);
    case LUA_TFUNCTION: return put_function(L, c);
    case LUA_TLIGHTUSERDATA: return put_light(L, c);
    case LUA_TTHREAD: return refuse(L, c, "not_serializable", "a coroutine cannot travel");
    default: return put_userdata(L, c);
  }
}

/* --- levels ----------------------------------------------------------------------------------------------- */

/* OK: none left; PUSHED. */
static int next_upvalue(lua_State *L, struct ph_codec *c, struct ph_level *l) {
  lua_settop(L, l->index);
  if (l->state == AFTER_UPVALUE) ph__warn_big_upvalue(L, c, l);
  l->state = AFTER_UPVALUE;
  while (l->i < l->n) {
    uint32_t at = (uint32_t)c->out.len;
    l->i++;
    if (!ph__seen(L, c, lua_upvalueid(L, l->index, (int)l->i), &at)) {
      ph__put_tag(L, c, PH_CELL);
      l->start = c->out.len;
      lua_getupvalue(L, l->index, (int)l->i);
      return PUSHED;
    }
    c->out.data[at] = PH_CELL_SHARED;
    ph__put_tag(L, c, PH_CELL_REF);
    ph__put_varint(L, c, at);
  }
  return OK;
}

/* The array part does not come in order, or has holes: its elements one by one. The pairs come from the start again. */
static int next_by_index(lua_State *L, struct ph_codec *c, struct ph_level *l) {
  lua_settop(L, l->index);
  while (l->i < l->n) {
    lua_rawgeti(L, l->index, ++l->i);
    if (!put_scalar(L, c, -1)) return PUSHED;
    lua_pop(L, 1);
  }
  l->state = IN_TABLE;
  lua_pushnil(L);
  return OK;
}

static bool is_element(lua_State *L, const struct ph_level *l, int key) {
  if (l->n == 0 || !lua_isinteger(L, key)) return false;
  lua_Integer k = lua_tointeger(L, key);
  return k >= 1 && k <= l->n;
}

/* OK: the table is whole; PUSHED: a container in it is next. A table made as an array gives its elements first and in
 * order: then one walk does for elements and pairs. */
static int next_in_table(lua_State *L, struct ph_codec *c, struct ph_level *l) {
  if (l->state == BY_INDEX && next_by_index(L, c, l) == PUSHED) return PUSHED;
  lua_settop(L, l->index + (l->state == AFTER_KEY ? 2 : 1));
  if (l->state == AFTER_KEY) {
    l->state = IN_TABLE;
    if (!put_scalar(L, c, -1)) return PUSHED;
    lua_pop(L, 1);
  }
  while (lua_next(L, l->index)) {
    if (l->i < l->n) {
      if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) != l->i + 1) {
        l->state = BY_INDEX;
        return next_in_table(L, c, l);
      }
      l->i++;
    } else if (is_element(L, l, -2)) {
      lua_pop(L, 1);
      continue;
    } else {
      l->pairs++;
      if (lua_type(L, -2) == LUA_TSTRING) {
        put_string(L, c, -2, 1); /* references are quick to read */
      } else if (!put_scalar(L, c, -2)) {
        l->state = AFTER_KEY;
        lua_pushvalue(L, -2);
        return PUSHED;
      }
    }
    if (!put_scalar(L, c, -1)) return PUSHED;
    lua_pop(L, 1);
  }
  c->out.data[l->start] = pairs_byte(l->pairs);
  ph__put_tag(L, c, PH_TAG_END);
  return OK;
}

static int advance(lua_State *L, struct ph_codec *c, struct ph_level *l) {
  if (l->kind == PH_TAG_TABLE) return next_in_table(L, c, l);
  if (l->kind == PH_TAG_FUNCTION) return next_upvalue(L, c, l);
  if (l->n) c->open_dumps--;
  return OK;
}

int ph__put_tree(lua_State *L, struct ph_codec *c) {
  size_t bottom = c->levels.count;
  int top = lua_gettop(L), status = put_value(L, c);
  while (status != REFUSED && (status == PUSHED || c->levels.count > bottom)) {
    if (status == PUSHED) {
      status = put_value(L, c);
      continue;
    }
    struct ph_level *l = &c->levels.array[c->levels.count - 1];
    status = advance(L, c, l);
    if (status == OK) c->levels.count--;
    if (c->out.len > c->limit) status = REFUSED;
  }
  c->levels.count = bottom;
  lua_settop(L, top);
  return status == REFUSED ? REFUSED : OK;
}
