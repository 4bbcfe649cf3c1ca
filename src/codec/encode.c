/* SPDX-License-Identifier: MIT
 * Values -> bytes. Containers under way are levels on an explicit stack; each keeps its container and its current key
 * on the Lua stack, so depth costs two Lua slots and no C stack. */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "codec/writer.h"

/* States of a level. */
enum { IN_TABLE, BY_INDEX, AFTER_KEY, AT_UPVALUE, AFTER_UPVALUE };

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
int ph__refuse(lua_State *L, struct ph_codec *c, const char *kind, const char *what) {
  if (c->err == NULL) return PH_REFUSED;
  bool named = luaL_getmetafield(L, -1, "__name") == LUA_TSTRING;
  const char *type = named ? lua_tostring(L, -1) : luaL_typename(L, -1);
  ph_err_set(c->err, kind, 0, "%s", what);
  snprintf(c->err->type, sizeof c->err->type, "%s", type);
  if (named) lua_pop(L, 1);
  ph__fill_path(L, c);
  return PH_REFUSED;
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
bool ph__put_reference(lua_State *L, struct ph_codec *c, const void *object, uint8_t plain_tag) {
  uint32_t at = (uint32_t)c->out.len;
  if (!ph__seen(L, c, object, &at)) return false;
  put_ref(L, c, plain_tag, at);
  return true;
}

/* --- scalars ---------------------------------------------------------------------------------------------- */

static void put_number(lua_State *L, struct ph_codec *c, int idx) {
  if (ph_buf_reserve(&c->out, PH_NUMBER_MAX) != 0) ph__no_memory(L);
  c->out.len = (size_t)(ph__write_number(L, idx, c->out.data + c->out.len) - c->out.data);
}

#define REF_FROM 3     /* shorter ones take no more bytes than a reference */
#define TRIED_MIN 1024 /* short strings, before it is judged whether they repeat */
#define LOOK_AGAIN 16

/* Looking short strings up takes longer than writing them: where few have come before, only some are still tried. */
static bool was_written(lua_State *L, struct ph_codec *c, const char *s, size_t len, bool is_key, uint32_t *at) {
  if (is_key || len > PH_SHORT_STRING) return ph__seen(L, c, s, at);
  if (c->tried >= TRIED_MIN && c->found < c->tried / 8 && ++c->passed % LOOK_AGAIN != 0) return false;
  bool known = ph__seen(L, c, s, at);
  c->tried++;
  c->found += known;
  return known;
}

/* Short strings are unique in Lua, long ones are the same object when shared: the address tells. From a length of
 * `ref_from` on a string that was written before becomes a reference. */
static void put_string(lua_State *L, struct ph_codec *c, int idx, size_t ref_from) {
  size_t len;
  const char *s = lua_tolstring(L, idx, &len);
  uint32_t at = (uint32_t)c->out.len;
  if (len >= ref_from && was_written(L, c, s, len, ref_from < REF_FROM, &at)) {
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

void ph__put_string(lua_State *L, struct ph_codec *c, int idx) {
  put_string(L, c, idx, REF_FROM);
}

bool ph__put_scalar(lua_State *L, struct ph_codec *c, int idx) {
  switch (lua_type(L, idx)) {
    case LUA_TNIL: ph__put_tag(L, c, PH_TAG_NIL); return true;
    case LUA_TBOOLEAN: ph__put_tag(L, c, lua_toboolean(L, idx) ? PH_TAG_TRUE : PH_TAG_FALSE); return true;
    case LUA_TSTRING: ph__put_string(L, c, idx); return true;
    case LUA_TNUMBER: put_number(L, c, idx); return true;
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

static bool put_module(lua_State *L, struct ph_codec *c) {
  if (!ph__push_module_name(L, c, -1)) return false;
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

int ph__too_deep(lua_State *L, struct ph_codec *c) {
  return ph__refuse(L, c, "not_serializable", "the value is nested too deeply");
}

/* Writes the tag and begins the table on the stack top. */
int ph__begin_table(lua_State *L, struct ph_codec *c) {
  struct ph_level *l = ph__level_push(L, c, PH_TAG_TABLE, lua_gettop(L));
  if (l == NULL) return ph__too_deep(L, c);
  l->n = array_length(L);
  c->has_state = true;
  ph__put_tag(L, c, PH_TAG_TABLE);
  ph__put_varint(L, c, (uint64_t)l->n);
  l->start = c->out.len;
  ph__put_tag(L, c, 0); /* the number of pairs, known at the end */
  lua_pushnil(L);
  return PH_BEGUN;
}

/* One byte: exact for records, above that a power of two below it. */
static uint8_t pairs_byte(uint32_t pairs) {
  return pairs < PH_PAIRS_EXACT ? (uint8_t)pairs : (uint8_t)(PH_PAIRS_EXACT + 31 - __builtin_clz(pairs));
}

static int put_table(lua_State *L, struct ph_codec *c) {
  const void *object = lua_topointer(L, -1);
  if (ph__is_globals(c, object)) {
    ph__put_tag(L, c, PH_TAG_GLOBALS);
    return PH_WRITTEN;
  }
  if (put_extern(L, c)) return PH_WRITTEN;
  uint32_t named = ph__named(L, c, object);
  if (named == PH_NAMED_MODULE && put_module(L, c)) return PH_WRITTEN;
  if (named == PH_NAMED_CLASS || (named == PH_NAMED_MODULE && ph__is_listed_class(c, object))) return ph__put_class(L, c);
  if (lua_getmetatable(L, -1)) return ph__put_instance(L, c);
  if (ph__put_reference(L, c, object, PH_TAG_TABLE)) return PH_WRITTEN;
  return ph__begin_table(L, c);
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

void ph__note_blob(lua_State *L, struct ph_codec *c, uint32_t number) {
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
    ph__note_blob(L, c, (uint32_t)f->number);
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
    if (put_named(L, c)) return PH_WRITTEN;
    return ph__refuse(L, c, "not_serializable", "a C function that no loaded module holds by name cannot travel");
  }
  if (put_extern(L, c)) return PH_WRITTEN;
  const void *identity = lua_topointer(L, -1);
  struct ph_function *f = ph__function_push(L, c, -1);
  lua_insert(L, -2);
  if (f->is_ours && put_named(L, c)) return PH_WRITTEN;
  if (ph__put_reference(L, c, identity, PH_TAG_FUNCTION)) return PH_WRITTEN;
  ph__put_tag(L, c, PH_TAG_FUNCTION);
  c->has_code = true;
  if ((c->options->flags & PH_ENCODE_CAPTURE) && f->n_globals > 0) {
    lua_getiuservalue(L, c->self, PH_UV_CAPTURES);
    lua_getiuservalue(L, -3, 1);
    lua_rawseti(L, -2, ++c->n_captures);
    lua_pop(L, 1);
  }
  put_prototype(L, c, f);
  ph__put_varint(L, c, f->n_upvalues);
  if (f->n_upvalues == 0) {
    if (c->options->blobs != NULL && f->number >= 0)
      c->plain = (struct ph_plain_function){identity, f->store, (uint32_t)f->number};
    return PH_WRITTEN;
  }
  struct ph_level *l = ph__level_push(L, c, PH_TAG_FUNCTION, lua_gettop(L));
  if (l == NULL) return ph__too_deep(L, c);
  l->state = AT_UPVALUE;
  l->n = f->n_upvalues;
  c->has_state = true;
  return PH_BEGUN;
}

/* --- any value -------------------------------------------------------------------------------------------- */

static int refuse_userdata(lua_State *L, struct ph_codec *c, int object) {
  char what[100] = "a userdata cannot travel";
  if (luaL_getmetafield(L, object, "__name") == LUA_TSTRING)
    snprintf(what, sizeof what, "a userdata (%.60s) cannot travel", lua_tostring(L, -1));
  return ph__refuse_object(L, c, object, what);
}

static int put_userdata(lua_State *L, struct ph_codec *c) {
  int object = lua_gettop(L);
  if (put_extern(L, c)) return PH_WRITTEN;
  if (ph__named(L, c, lua_topointer(L, object)) == PH_NAMED_MODULE && put_module(L, c)) return PH_WRITTEN;
  if (lua_getmetatable(L, object) && ph__push_nested(L, object + 1)) return ph__refuse_nested(L, c, object);
  return refuse_userdata(L, c, object);
}

static int put_light(lua_State *L, struct ph_codec *c) {
  void *p = lua_touserdata(L, -1);
  if (!(c->options->flags & PH_ENCODE_SAME_PROCESS))
    return ph__refuse(L, c, "not_serializable", "a light userdata means nothing to another process");
  ph__put_tag(L, c, PH_TAG_LIGHT);
  ph__put(L, c, &p, sizeof p);
  return PH_WRITTEN;
}

/* Writes the value on the stack top, which stays there. */
static int put_value(lua_State *L, struct ph_codec *c) {
  if (ph__put_scalar(L, c, -1)) return PH_WRITTEN;
  switch (lua_type(L, -1)) {
    case LUA_TTABLE: return put_table(L, c);
    case LUA_TFUNCTION: return put_function(L, c);
    case LUA_TLIGHTUSERDATA: return put_light(L, c);
    case LUA_TTHREAD: return ph__refuse(L, c, "not_serializable", "a coroutine cannot travel");
    default: return put_userdata(L, c);
  }
}

/* --- levels ----------------------------------------------------------------------------------------------- */

/* PH_WRITTEN: none left; PH_PUSHED. */
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
      return PH_PUSHED;
    }
    c->out.data[at] = PH_CELL_SHARED;
    ph__put_tag(L, c, PH_CELL_REF);
    ph__put_varint(L, c, at);
  }
  return PH_WRITTEN;
}

/* The array part does not come in order, or has holes: its elements one by one. The pairs come from the start again. */
static int next_by_index(lua_State *L, struct ph_codec *c, struct ph_level *l) {
  lua_settop(L, l->index);
  while (l->i < l->n) {
    lua_rawgeti(L, l->index, ++l->i);
    if (!ph__put_scalar(L, c, -1)) return PH_PUSHED;
    lua_pop(L, 1);
  }
  l->state = IN_TABLE;
  lua_pushnil(L);
  return PH_WRITTEN;
}

/* Is the key at this index that of the next element? */
static bool is_next(lua_State *L, const struct ph_level *l, int key) {
  return lua_isinteger(L, key) && lua_tointeger(L, key) == l->i + 1;
}

#define RUN 32     /* numbers between two looks at stack and buffer */
#define RUN_FROM 4 /* elements left, for which it pays */

/* Writes up to RUN - 1 elements more, as long as they are numbers and come in order; the key of the last one is on the stack
 * top. True: something else came, and lies there with its key. The stack is let grow, which takes less than clearing it. */
static bool put_run(lua_State *L, struct ph_codec *c, struct ph_level *l) {
  int at = l->index + 1, left = l->n - l->i < RUN - 1 ? (int)(l->n - l->i) : RUN - 1;
  bool other = false;
  if (!lua_checkstack(L, 2 * RUN)) return false;
  if (ph_buf_reserve(&c->out, RUN * PH_NUMBER_MAX) != 0) ph__no_memory(L);
  uint8_t *to = c->out.data + c->out.len;
  for (; left > 0 && lua_next(L, l->index); left--, at += 2) {
    bool integer = lua_isinteger(L, at + 1);
    other = !is_next(L, l, at) || !(integer || lua_type(L, at + 1) == LUA_TNUMBER);
    if (other) break;
    to = integer ? ph__write_integer(lua_tointeger(L, at + 1), to) : ph__write_float(lua_tonumber(L, at + 1), to);
    lua_pushinteger(L, ++l->i);
  }
  c->out.len = (size_t)(to - c->out.data);
  if (!other) {
    lua_settop(L, l->index);
    lua_pushinteger(L, l->i);
    return false;
  }
  lua_copy(L, at, l->index + 1);
  lua_copy(L, at + 1, l->index + 2);
  lua_settop(L, l->index + 2);
  return true;
}

static bool begins_run(lua_State *L, const struct ph_level *l) {
  return l->n - l->i >= RUN_FROM && l->i % RUN == 1 && lua_type(L, -1) == LUA_TNUMBER;
}

static bool is_element(lua_State *L, const struct ph_level *l, int key) {
  if (l->n == 0 || !lua_isinteger(L, key)) return false;
  lua_Integer k = lua_tointeger(L, key);
  return k >= 1 && k <= l->n;
}

/* PH_WRITTEN: the table is whole; PH_PUSHED: a container in it is next. A table made as an array gives its elements first
 * and in order: then one walk does for elements and pairs. */
static int next_in_table(lua_State *L, struct ph_codec *c, struct ph_level *l) {
  if (l->state == BY_INDEX && next_by_index(L, c, l) == PH_PUSHED) return PH_PUSHED;
  lua_settop(L, l->index + (l->state == AFTER_KEY ? 2 : 1));
  if (l->state == AFTER_KEY) {
    l->state = IN_TABLE;
    if (!ph__put_scalar(L, c, -1)) return PH_PUSHED;
    lua_pop(L, 1);
  }
  for (bool at_hand = false; at_hand || lua_next(L, l->index);) {
    if (l->i < l->n) {
      if (!is_next(L, l, -2)) {
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
      } else if (!ph__put_scalar(L, c, -2)) {
        l->state = AFTER_KEY;
        lua_pushvalue(L, -2);
        return PH_PUSHED;
      }
    }
    if (!ph__put_scalar(L, c, -1)) return PH_PUSHED;
    bool run = begins_run(L, l);
    lua_pop(L, 1);
    at_hand = run && put_run(L, c, l);
  }
  c->out.data[l->start] = pairs_byte(l->pairs);
  ph__put_tag(L, c, PH_TAG_END);
  return PH_WRITTEN;
}

static int advance(lua_State *L, struct ph_codec *c, struct ph_level *l) {
  if (l->kind == PH_TAG_TABLE) return next_in_table(L, c, l);
  if (l->kind == PH_TAG_FUNCTION) return next_upvalue(L, c, l);
  if (l->kind == PH_TAG_CLASS) return ph__next_in_class(L, l);
  if (l->n) c->open_dumps--;
  return PH_WRITTEN;
}

int ph__put_tree(lua_State *L, struct ph_codec *c) {
  size_t bottom = c->levels.count;
  int top = lua_gettop(L), status = put_value(L, c);
  while (status != PH_REFUSED && (status == PH_PUSHED || c->levels.count > bottom)) {
    if (status == PH_PUSHED) {
      status = put_value(L, c);
      continue;
    }
    struct ph_level *l = &c->levels.array[c->levels.count - 1];
    status = advance(L, c, l);
    if (status == PH_WRITTEN) c->levels.count--;
    if (c->out.len > c->limit) status = PH_REFUSED;
  }
  c->levels.count = bottom;
  lua_settop(L, top);
  return status == PH_REFUSED ? PH_REFUSED : PH_WRITTEN;
}
