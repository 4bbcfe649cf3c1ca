/* SPDX-License-Identifier: MIT
 * Values -> bytes. Containers under way are levels on an explicit stack; each keeps its container and its current key
 * on the Lua stack, so depth costs two Lua slots and no C stack. */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "codec/codec_int.h"

/* States of a level. */
enum { IN_ARRAY, AT_PAIR, AFTER_KEY, AT_UPVALUE, AFTER_UPVALUE, AFTER_INSTANCE };

enum { OK = 0, REFUSED = -1 };

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

void ph__note_seen(lua_State *L, struct ph_codec *c, const void *key, size_t offset) {
  if (ph_ptrmap_put(&c->seen, key, offset) != 0) ph__no_memory(L);
}

/* Short strings are unique in Lua, long ones are the same object when shared: the address tells. */
void ph__put_string(lua_State *L, struct ph_codec *c, int idx) {
  size_t len;
  const char *s = lua_tolstring(L, idx, &len);
  if (len >= 3) {
    uint64_t at = ph_ptrmap_get(&c->seen, s);
    if (at != PH_PTRMAP_NONE) {
      ph__put_tag(L, c, PH_TAG_STRING_REF);
      ph__put_varint(L, c, at);
      return;
    }
    ph__note_seen(L, c, s, c->out.len);
  }
  ph__put_tag(L, c, PH_TAG_STRING);
  ph__put_varint(L, c, len);
  ph__put(L, c, s, len);
}

/* --- references ------------------------------------------------------------------------------------------- */

/* True when the object was written before: then it is a reference, and its first place is marked as shared. */
static bool put_reference(lua_State *L, struct ph_codec *c, const void *object, uint8_t plain_tag) {
  uint64_t at = ph_ptrmap_get(&c->seen, object);
  if (at == PH_PTRMAP_NONE) {
    ph__note_seen(L, c, object, c->out.len);
    return false;
  }
  if (c->out.data[at] == plain_tag) c->out.data[at]++; /* ..._SHARED follows its plain tag */
  ph__put_tag(L, c, PH_TAG_REF);
  ph__put_varint(L, c, at);
  return true;
}

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
      if (ph_ptrmap_get(&c->modules, p) == PH_PTRMAP_NONE && ph_ptrmap_put(&c->modules, p, 0) != 0) ph__no_memory(L);
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

#define HASH_COUNT_MAX 32

/* Exact for records, a lower bound otherwise. */
static size_t hash_size(lua_State *L, lua_Integer n) {
  size_t count = 0;
  if (n > 0) return 0;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (++count < HASH_COUNT_MAX) continue;
    lua_pop(L, 2);
    break;
  }
  return count;
}

/* Behind the tag, for the table on the stack top. */
static void begin_table(lua_State *L, struct ph_codec *c) {
  lua_Integer n = array_length(L);
  ph__put_varint(L, c, (uint64_t)n);
  ph__put_varint(L, c, hash_size(L, n));
  struct ph_level *l = ph__level_push(L, c, PH_TAG_TABLE, lua_gettop(L));
  l->state = n > 0 ? IN_ARRAY : AT_PAIR;
  l->n = n;
  if (n == 0) lua_pushnil(L);
}

static int put_instance(lua_State *L, struct ph_codec *c) {
  int object = lua_gettop(L) - 1, class = object + 1;
  bool stays = c->options->flags & PH_ENCODE_SAME_PROCESS;
  if (lua_getfield(L, class, "__parhost_nested") == LUA_TSTRING && !stays) {
    const char *message = lua_tostring(L, -1);
    lua_settop(L, object);
    return refuse(L, c, "nested", message);
  }
  lua_pop(L, 1);
  if (!ph__push_class_name(L, c, class)) {
    lua_settop(L, object);
    return refuse(L, c, "not_serializable", "its metatable is not a registered class (see parhost.register)");
  }
  if (put_reference(L, c, lua_topointer(L, object), PH_TAG_INSTANCE)) {
    lua_settop(L, object);
    return OK;
  }
  ph__put_tag(L, c, PH_TAG_INSTANCE);
  ph__put_string(L, c, -1);
  lua_pop(L, 1);
  ph__put_varint(L, c, ph__class_blob(L, c, class));
  bool dumps = lua_getfield(L, class, "__dump") == LUA_TFUNCTION;
  ph__put_tag(L, c, dumps);
  struct ph_level *l = ph__level_push(L, c, PH_TAG_INSTANCE, object);
  l->state = AFTER_INSTANCE;
  if (dumps) {
    lua_pushvalue(L, object);
    ph__call_out(L, c, 1, 1);
    lua_getiuservalue(L, c->self, PH_UV_ANCHORS); /* the map of seen objects goes by address */
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
    c->has_anchors = true;
    lua_remove(L, class);
  } else { /* its fields, as a table of their own */
    lua_settop(L, object);
    lua_pushvalue(L, object);
    ph__put_tag(L, c, PH_TAG_TABLE);
    begin_table(L, c);
    return 1;
  }
  return 2; /* a value is on the stack: goes on with it */
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
  ph__put_tag(L, c, PH_TAG_TABLE);
  begin_table(L, c);
  return 1;
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
  l->state = AT_UPVALUE;
  l->n = n;
  return 1;
}

/* --- any value -------------------------------------------------------------------------------------------- */

/* Writes the value on the stack top. OK: written, still there; 1: a container, its level is pushed; 2: another value
 * was pushed on top, to be written next; REFUSED. */
static int put_value(lua_State *L, struct ph_codec *c) {
  switch (lua_type(L, -1)) {
    case LUA_TNIL: ph__put_tag(L, c, PH_TAG_NIL); return OK;
    case LUA_TBOOLEAN: ph__put_tag(L, c, lua_toboolean(L, -1) ? PH_TAG_TRUE : PH_TAG_FALSE); return OK;
    case LUA_TNUMBER:
      if (lua_isinteger(L, -1))
        put_integer(L, c, lua_tointeger(L, -1));
      else
        put_float(L, c, lua_tonumber(L, -1));
      return OK;
    case LUA_TSTRING: ph__put_string(L, c, -1); return OK;
    case LUA_TTABLE: return put_table(L, c);
    case LUA_TFUNCTION: return put_function(L, c);
    case LUA_TLIGHTUSERDATA: {
      void *p = lua_touserdata(L, -1);
      if (!(c->options->flags & PH_ENCODE_SAME_PROCESS))
        return refuse(L, c, "not_serializable", "a light userdata means nothing to another process");
      ph__put_tag(L, c, PH_TAG_LIGHT);
      ph__put(L, c, &p, sizeof p);
      return OK;
    }
    case LUA_TTHREAD: return refuse(L, c, "not_serializable", "a coroutine cannot travel");
    default:
      if (put_extern(L, c) || put_module(L, c)) return OK;
      if (lua_getmetatable(L, -1)) {
        if (lua_getfield(L, -1, "__parhost_nested") == LUA_TSTRING) {
          const char *message = lua_tostring(L, -1);
          lua_pop(L, 2);
          return refuse(L, c, "nested", message);
        }
        lua_pop(L, 2);
      }
      return refuse(L, c, "not_serializable", "a userdata cannot travel");
  }
}

/* --- levels ----------------------------------------------------------------------------------------------- */

static void warn_big_upvalue(lua_State *L, struct ph_codec *c, struct ph_level *l) {
  size_t size = c->out.len - l->start;
  if (size < PH_BIG_UPVALUE || l->i > 64) return;
  struct ph_function *f = ph__function_push(L, c, l->index);
  uint64_t bit = 1ull << (l->i - 1);
  if (!(f->warned & bit)) {
    lua_Debug ar;
    char text[512];
    f->warned |= bit;
    const char *name = lua_getupvalue(L, l->index, (int)l->i);
    lua_pop(L, 1);
    lua_pushvalue(L, l->index);
    lua_getinfo(L, ">S", &ar);
    snprintf(text, sizeof text, "parhost: upvalue '%s' of function %s:%d takes %.1f MiB in every message", name,
             ar.short_src, ar.linedefined, (double)size / (1 << 20));
    lua_warning(L, text, 0);
  }
  lua_pop(L, 1);
}

/* The next upvalue: 0 none left, else pushes its value; 3: nothing to write for it. */
static int next_upvalue(lua_State *L, struct ph_codec *c, struct ph_level *l) {
  if (l->i == l->n) return 0;
  l->i++;
  const void *cell = lua_upvalueid(L, l->index, (int)l->i);
  uint64_t at = ph_ptrmap_get(&c->seen, cell);
  if (at != PH_PTRMAP_NONE) {
    c->out.data[at] = PH_CELL_SHARED;
    ph__put_tag(L, c, PH_CELL_REF);
    ph__put_varint(L, c, at);
    return 3;
  }
  ph__note_seen(L, c, cell, c->out.len);
  ph__put_tag(L, c, PH_CELL);
  l->start = c->out.len;
  lua_getupvalue(L, l->index, (int)l->i);
  return 1;
}

/* Advances the level: 0 it is done (container on the stack top), 1 a value to write was pushed, 3 go round again. */
static int advance(lua_State *L, struct ph_codec *c, struct ph_level *l) {
  switch (l->state) {
    case IN_ARRAY:
      lua_settop(L, l->index);
      if (l->i < l->n) {
        lua_rawgeti(L, l->index, ++l->i);
        return 1;
      }
      l->state = AT_PAIR;
      lua_pushnil(L);
      return 3;
    case AT_PAIR:
      lua_settop(L, l->index + 1);
      do {
        if (!lua_next(L, l->index)) {
          ph__put_tag(L, c, PH_TAG_END);
          return 0;
        }
        if (l->n == 0 || !lua_isinteger(L, -2)) break;
        lua_Integer k = lua_tointeger(L, -2);
        if (k < 1 || k > l->n) break;
        lua_pop(L, 1);
      } while (true);
      l->state = AFTER_KEY;
      lua_pushvalue(L, -2);
      return 1;
    case AFTER_KEY: /* key and value lie above the table, the written key on top */
      lua_settop(L, l->index + 2);
      l->state = AT_PAIR;
      return 1;
    case AFTER_UPVALUE:
      warn_big_upvalue(L, c, l);
      l->state = AT_UPVALUE;
      return 3;
    case AT_UPVALUE: {
      lua_settop(L, l->index);
      int status = next_upvalue(L, c, l);
      if (status == 1) l->state = AFTER_UPVALUE;
      return status;
    }
    default: return 0;
  }
}

/* Writes the value on the stack top and everything below it; leaves the value there. */
int ph__put_tree(lua_State *L, struct ph_codec *c) {
  size_t bottom = c->levels.count;
  int top = lua_gettop(L);
  int status = put_value(L, c);
  while (status != REFUSED) {
    if (status == 2) { /* the value pushed by __dump */
      status = put_value(L, c);
      continue;
    }
    if (c->levels.count == bottom) break;
    struct ph_level *l = &c->levels.array[c->levels.count - 1];
    int next = advance(L, c, l);
    if (next == 0) {
      lua_settop(L, l->index);
      c->levels.count--;
    }
    status = next == 1 ? put_value(L, c) : OK;
  }
  if (status == REFUSED) c->levels.count = bottom;
  lua_settop(L, top);
  return status == REFUSED ? REFUSED : OK;
}
