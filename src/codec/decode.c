/* SPDX-License-Identifier: MIT
 * Bytes -> values. Everything read is checked, but for the inside of bytecode, which the caller vouches for. Like the
 * encoder it keeps what is under way on explicit levels: the container at its level's index, and above it the key. */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "codec/decode.h"
#include "codec/reader.h"

/* States of a level; IN_...: that part lies on the stack top, once it is whole. */
enum {
  AT_ELEMENT,
  IN_ELEMENT,
  AT_PAIR,
  IN_KEY,
  IN_VALUE,
  AT_UPVALUE,
  IN_UPVALUE,
  AT_INSTANCE,
  IN_INSTANCE,
  AT_FIELDS,
  IN_FIELDS,
  IN_METATABLE
};

#define PLAIN_MAX 16               /* values of a message that is tried the short way */
#define CACHE_FROM 512u            /* bytes of a message in which it pays to remember strings */
#define GC_PAUSE_BYTES (64u << 10) /* from this size on the collector rests: nothing of a message is garbage yet */

int ph__bad(struct ph_reader *r, const char *what) {
  return ph_err_set(r->err, "not_serializable", 0, "malformed message: %s at byte %zu of %zu", what,
                    (size_t)(r->p - r->start), (size_t)(r->end - r->start));
}

/* --- shared objects --------------------------------------------------------------------------------------- */

void ph__share(lua_State *L, struct ph_reader *r, size_t offset, enum ph_shared what) {
  if (lua_isnil(L, r->objects)) {
    lua_newtable(L);
    lua_replace(L, r->objects);
  }
  lua_rawseti(L, r->objects, (lua_Integer)offset * 3 + (int)what);
}

bool ph__push_shared(lua_State *L, struct ph_reader *r, uint64_t offset, enum ph_shared what) {
  if (lua_isnil(L, r->objects) || offset > PH_MESSAGE_MAX) return false;
  if (lua_rawgeti(L, r->objects, (lua_Integer)offset * 3 + (int)what) != LUA_TNIL) return true;
  lua_pop(L, 1);
  return false;
}

struct ph_level *ph__open_level(lua_State *L, struct ph_reader *r, uint8_t kind, uint8_t state) {
  struct ph_level *l = ph__level_push(L, r->c, kind, lua_gettop(L));
  if (l == NULL)
    ph__bad(r, "nesting too deep");
  else
    l->state = state;
  return l;
}

/* --- numbers and strings ---------------------------------------------------------------------------------- */

static int get_string(lua_State *L, struct ph_reader *r) {
  uint64_t len;
  if (!ph__get_varint(r, &len) || len > ph__left(r)) return ph__bad(r, "string");
  lua_pushlstring(L, (const char *)r->p, (size_t)len);
  r->p += len;
  return PH_WHOLE;
}

/* Keys of records come again and again: looking them up by their bytes is what takes time. Copies short strings only, so a
 * few bytes cannot ask for many. */
static int get_string_ref(lua_State *L, struct ph_reader *r) {
  uint64_t at;
  const uint8_t *here = r->p;
  if (!ph__get_varint(r, &at) || at >= (size_t)(here - r->start)) return ph__bad(r, "string reference");
  unsigned place = (unsigned)(at ^ at >> 5) % PH_CACHED;
  if (r->cache != 0 && r->cached[place] == at + 1) {
    lua_pushvalue(L, r->cache + (int)place);
    return PH_WHOLE;
  }
  const uint8_t *string = r->start + at;
  size_t room = (size_t)(here - string);
  if (room < 2 || string[0] != PH_TAG_STRING || string[1] > PH_SHORT_STRING || room - 2 < string[1])
    return ph__bad(r, "string reference");
  lua_pushlstring(L, (const char *)string + 2, string[1]);
  if (r->cache == 0) return PH_WHOLE;
  lua_copy(L, -1, r->cache + (int)place);
  r->cached[place] = (uint32_t)at + 1;
  return PH_WHOLE;
}

static int get_ref(lua_State *L, struct ph_reader *r) {
  uint64_t at;
  return ph__get_varint(r, &at) && ph__push_shared(L, r, at, PH_OBJECT) ? PH_WHOLE : ph__bad(r, "reference");
}

static int get_shared_string(lua_State *L, struct ph_reader *r, size_t offset) {
  if (get_string(L, r) != PH_WHOLE) return PH_BAD;
  lua_pushvalue(L, -1);
  ph__share(L, r, offset, PH_OBJECT);
  return PH_WHOLE;
}

int ph__get_name(lua_State *L, struct ph_reader *r) {
  size_t offset = (size_t)(r->p - r->start);
  int status = PH_BAD;
  switch (ph__left(r) > 0 ? *r->p++ : PH_TAG_NIL) {
    case PH_TAG_STRING: status = get_string(L, r); break;
    case PH_TAG_STRING_SHARED: status = get_shared_string(L, r, offset); break;
    case PH_TAG_STRING_REF: status = get_string_ref(L, r); break;
    case PH_TAG_REF: status = get_ref(L, r); break;
    default: break;
  }
  return status == PH_WHOLE && lua_type(L, -1) == LUA_TSTRING ? PH_WHOLE : ph__bad(r, "name");
}

/* --- containers ------------------------------------------------------------------------------------------- */

/* Every element takes a byte of the message and every pair two, which are its own: so all tables together are never
 * made larger than the message. */
static bool claim(struct ph_reader *r, uint64_t n, uint64_t pairs) {
  if (n > ph__left(r) || n + 2 * pairs > r->room) return false;
  r->room -= (size_t)(n + 2 * pairs);
  return true;
}

static int begin_table(lua_State *L, struct ph_reader *r, size_t offset, bool shared) {
  uint64_t n, pairs;
  uint8_t b = 0;
  if (!ph__get_varint(r, &n) || ph__get_bytes(r, &b, 1) != PH_WHOLE || b >= PH_PAIRS_EXACT + 31) return ph__bad(r, "table");
  pairs = b < PH_PAIRS_EXACT ? b : (uint64_t)1 << (b - PH_PAIRS_EXACT);
  if (!claim(r, n, pairs)) return ph__bad(r, "table");
  lua_createtable(L, (int)n, (int)pairs);
  if (shared) lua_pushvalue(L, -1), ph__share(L, r, offset, PH_OBJECT);
  if (r->share_next != PH_NO_OFFSET) lua_pushvalue(L, -1), ph__share(L, r, r->share_next, PH_OBJECT);
  r->share_next = PH_NO_OFFSET;
  struct ph_level *l = ph__open_level(L, r, PH_TAG_TABLE, AT_ELEMENT);
  if (l == NULL) return PH_BAD;
  l->n = (lua_Integer)n;
  return PH_BEGUN;
}

/* --- values by name --------------------------------------------------------------------------------------- */

/* Without trust in the bytes no module is run for them. */
static int get_module(lua_State *L, struct ph_reader *r) {
  if (ph__get_name(L, r) != PH_WHOLE) return PH_BAD;
  if (ph__require(L, r->c, r->allow_code)) return PH_WHOLE;
  return ph_err_set(r->err, "not_serializable", 0, "module '%.80s' is not loaded here (require it first)",
                    lua_tostring(L, -1));
}

/* Module and field name are on the stack: pushes the function, or something else that is none. */
static void push_named(lua_State *L, struct ph_reader *r, int module) {
  if (ph__push_original_global(L, r->c, module, module + 1)) return;
  lua_pushvalue(L, module);
  if (!ph__require(L, r->c, r->allow_code) || !lua_istable(L, -1)) {
    lua_pushnil(L);
    return;
  }
  lua_pushvalue(L, module + 1);
  lua_rawget(L, -2);
}

static int get_named(lua_State *L, struct ph_reader *r) {
  int module = lua_gettop(L) + 1;
  for (int i = 0; i < 2; i++)
    if (ph__get_name(L, r) != PH_WHOLE) return PH_BAD;
  push_named(L, r, module);
  if (!lua_isfunction(L, -1))
    return ph_err_set(r->err, "not_serializable", 0, "module '%.60s' has no function '%.60s' here (or is not loaded)",
                      lua_tostring(L, module), lua_tostring(L, module + 1));
  lua_replace(L, module);
  lua_settop(L, module);
  return PH_WHOLE;
}

static int get_extern(lua_State *L, struct ph_reader *r) {
  uint64_t n;
  if (!ph__get_varint(r, &n) || r->externs == LUA_NOREF) return ph__bad(r, "external value");
  lua_rawgeti(L, LUA_REGISTRYINDEX, r->externs);
  lua_rawgeti(L, -1, (lua_Integer)n);
  lua_remove(L, -2);
  return PH_WHOLE;
}

/* --- any value -------------------------------------------------------------------------------------------- */

static inline int get_integer(lua_State *L, struct ph_reader *r) {
  uint64_t v;
  if (!ph__get_varint(r, &v)) return ph__bad(r, "integer");
  lua_pushinteger(L, (lua_Integer)((v >> 1) ^ (0 - (v & 1))));
  return PH_WHOLE;
}

static inline int get_float(lua_State *L, struct ph_reader *r) {
  lua_Number d = 0;
  if (ph__get_bytes(r, &d, sizeof d) != PH_WHOLE) return PH_BAD;
  lua_pushnumber(L, d);
  return PH_WHOLE;
}

int ph__get_value(lua_State *L, struct ph_reader *r) {
  size_t offset = (size_t)(r->p - r->start);
  void *light = NULL;
  if (ph__left(r) == 0) return ph__bad(r, "truncated message");
  uint8_t tag = *r->p++;
  if (tag >= PH_TAG_SMALL) {
    lua_pushinteger(L, tag & 0x7f);
    return PH_WHOLE;
  }
  switch (tag) {
    case PH_TAG_NIL: lua_pushnil(L); return PH_WHOLE;
    case PH_TAG_FALSE: lua_pushboolean(L, 0); return PH_WHOLE;
    case PH_TAG_TRUE: lua_pushboolean(L, 1); return PH_WHOLE;
    case PH_TAG_INT: return get_integer(L, r);
    case PH_TAG_FLOAT: return get_float(L, r);
    case PH_TAG_STRING: return get_string(L, r);
    case PH_TAG_STRING_SHARED: return get_shared_string(L, r, offset);
    case PH_TAG_STRING_REF: return get_string_ref(L, r);
    case PH_TAG_TABLE:
    case PH_TAG_TABLE_SHARED: return begin_table(L, r, offset, tag == PH_TAG_TABLE_SHARED);
    case PH_TAG_FUNCTION:
    case PH_TAG_FUNCTION_SHARED: return ph__begin_function(L, r, offset, tag == PH_TAG_FUNCTION_SHARED, AT_UPVALUE);
    case PH_TAG_INSTANCE:
    case PH_TAG_INSTANCE_SHARED: return ph__begin_instance(L, r, offset, tag == PH_TAG_INSTANCE_SHARED);
    case PH_TAG_CLASS:
    case PH_TAG_CLASS_SHARED: return ph__begin_class(L, r, offset, tag == PH_TAG_CLASS_SHARED);
    case PH_TAG_CLASS_NAMED: return ph__get_class(L, r);
    case PH_TAG_REF: return get_ref(L, r);
    case PH_TAG_NAMED: return get_named(L, r);
    case PH_TAG_MODULE: return get_module(L, r);
    case PH_TAG_EXTERN: return get_extern(L, r);
    case PH_TAG_GLOBALS: lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS); return PH_WHOLE;
    case PH_TAG_LIGHT:
      if (!r->allow_code) return ph__bad(r, "light userdata");
      if (ph__get_bytes(r, &light, sizeof light) != PH_WHOLE) return PH_BAD;
      lua_pushlightuserdata(L, light);
      return PH_WHOLE;
    default: r->p--; return ph__bad(r, "unknown tag");
  }
}

/* --- levels ----------------------------------------------------------------------------------------------- */

/* Elements, as long as they are numbers. */
static int read_numbers(lua_State *L, struct ph_reader *r, struct ph_level *l) {
  for (; l->i < l->n && ph__left(r) > 0; lua_rawseti(L, l->index, ++l->i)) {
    uint8_t tag = *r->p++;
    int status = PH_WHOLE;
    if (tag >= PH_TAG_SMALL) {
      lua_pushinteger(L, tag - PH_TAG_SMALL);
    } else if (tag == PH_TAG_INT) {
      status = get_integer(L, r);
    } else if (tag == PH_TAG_FLOAT) {
      status = get_float(L, r);
    } else {
      r->p--;
      break;
    }
    if (status != PH_WHOLE) return PH_BAD;
  }
  return PH_WHOLE;
}

/* Reading on: PH_WHOLE, PH_BAD, or PH_BEGUN: a container in this one comes first; then a part of this one is whole. The
 * level may have moved when PH_BEGUN. */
static int read_table(lua_State *L, struct ph_reader *r, struct ph_level *l) {
  int status;
  for (;;) {
    switch (l->state) {
      case AT_ELEMENT:
        if (read_numbers(L, r, l) != PH_WHOLE) return PH_BAD;
        if (l->i == l->n) {
          l->state = AT_PAIR;
          break;
        }
        l->state = IN_ELEMENT;
        if ((status = ph__get_value(L, r)) != PH_WHOLE) return status;
        /* fallthrough */
      case IN_ELEMENT:
        lua_rawseti(L, l->index, ++l->i);
        l->state = AT_ELEMENT;
        break;
      case AT_PAIR:
        if (ph__left(r) == 0) return ph__bad(r, "truncated table");
        if (*r->p == PH_TAG_END) {
          r->p++;
          return PH_WHOLE;
        }
        l->state = IN_KEY;
        if ((status = ph__get_value(L, r)) != PH_WHOLE) return status;
        /* fallthrough */
      case IN_KEY:
        if (lua_isnil(L, -1) || (lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -1) != lua_tonumber(L, -1)))
          return ph__bad(r, "key");
        l->state = IN_VALUE;
        if ((status = ph__get_value(L, r)) != PH_WHOLE) return status;
        /* fallthrough */
      default:
        lua_rawset(L, l->index);
        l->state = AT_PAIR;
        break;
    }
  }
}

static int read_function(lua_State *L, struct ph_reader *r, struct ph_level *l) {
  for (;;) {
    if (l->state == IN_UPVALUE) lua_setupvalue(L, l->index, (int)l->i);
    l->state = AT_UPVALUE;
    if (l->i == l->n) return PH_WHOLE;
    int status = ph__begin_upvalue(L, r, l);
    if (status == PH_BAD) return PH_BAD;
    if (status == PH_WHOLE) continue;
    l->state = IN_UPVALUE;
    if ((status = ph__get_value(L, r)) != PH_WHOLE) return status;
  }
}

static int read_on(lua_State *L, struct ph_reader *r, struct ph_level *l) {
  switch (l->kind) {
    case PH_TAG_TABLE: return read_table(L, r, l);
    case PH_TAG_FUNCTION: return read_function(L, r, l);
    case PH_TAG_CLASS: return ph__read_class(L, r, l);
    default: return ph__read_instance(L, r, l);
  }
}

/* Pushes one value with everything in it. */
static int get_tree(lua_State *L, struct ph_reader *r) {
  struct ph_levels *levels = &r->c->levels;
  levels->count = 0;
  int status = ph__get_value(L, r);
  while (status != PH_BAD && levels->count > 0) {
    status = read_on(L, r, &levels->array[levels->count - 1]);
    if (status == PH_WHOLE) levels->count--;
  }
  return status;
}

static int get_captures(lua_State *L, struct ph_reader *r) {
  while (ph__left(r) > 0) {
    uint8_t tag = *r->p++;
    if (tag == PH_TAG_END) return ph__left(r) == 0 ? PH_WHOLE : ph__bad(r, "bytes behind the end");
    if (tag != PH_TAG_CAPTURE || !r->allow_code) return ph__bad(r, "captured global");
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    if (ph__get_name(L, r) != PH_WHOLE || get_tree(L, r) != PH_WHOLE) return PH_BAD;
    lua_rawset(L, -3);
    lua_pop(L, 1);
  }
  return ph__bad(r, "truncated message");
}

static int get_message(lua_State *L, struct ph_reader *r) {
  uint64_t n;
  if (!ph__get_varint(r, &n) || n > ph__left(r)) return ph__bad(r, "number of values");
  if (n > 900000 || !lua_checkstack(L, (int)n + 32)) return ph__bad(r, "too many values");
  for (uint64_t i = 0; i < n; i++)
    if (get_tree(L, r) != PH_WHOLE) return PH_BAD;
  return get_captures(L, r) == PH_WHOLE ? (int)n : PH_BAD;
}

static int decode_now(lua_State *L, struct ph_reader *r) {
  int top = lua_gettop(L), kept = 2 + (ph__left(r) >= CACHE_FROM ? PH_CACHED : 0);
  luaL_checkstack(L, PH_CACHED + 32, "too many values");
  r->c = ph__codec_push(L);
  r->c->self = top + 1;
  r->objects = top + 2;
  r->cache = kept > 2 ? top + 3 : 0;
  lua_settop(L, top + kept);
  r->share_next = PH_NO_OFFSET;
  int n = get_message(L, r);
  if (n < 0) {
    lua_settop(L, top);
    return -1;
  }
  lua_rotate(L, top + 1, -kept);
  lua_pop(L, kept);
  return n;
}

static bool is_plain(uint8_t tag) {
  return tag <= PH_TAG_STRING || tag >= PH_TAG_SMALL;
}

/* A few numbers and strings, which most arguments and results are, need no codec. -1: something else, nothing is pushed
 * and nothing read. */
static int decode_plain(lua_State *L, struct ph_reader *r) {
  unsigned n = ph__left(r) > 0 ? *r->p++ : PLAIN_MAX + 1, i = 0;
  int top = lua_gettop(L);
  luaL_checkstack(L, PLAIN_MAX, "too many values");
  if (n <= PLAIN_MAX)
    while (i < n && ph__left(r) > 0 && is_plain(*r->p) && ph__get_value(L, r) == PH_WHOLE) i++;
  if (i == n && ph__left(r) == 1 && *r->p == PH_TAG_END) return (int)n;
  lua_settop(L, top);
  r->p = r->start;
  return -1;
}

static int decode_protected(lua_State *L) {
  struct ph_reader *r = lua_touserdata(L, 1);
  lua_settop(L, 0);
  int n = decode_now(L, r);
  return n < 0 ? 0 : n;
}

int ph__decode(lua_State *L, const struct ph_blob_store *blobs, int externs, bool allow_code, const void *data, size_t len,
               struct ph_err *err) {
  struct ph_err unused;
  struct ph_reader r = {.blobs = blobs,
                        .externs = externs,
                        .allow_code = allow_code,
                        .room = len,
                        .start = data,
                        .p = data,
                        .end = (const uint8_t *)data + len,
                        .err = err != NULL ? err : &unused};
  if (len > PH_MESSAGE_MAX) return ph__bad(&r, "more than 2 GiB");
  int n = decode_plain(L, &r);
  if (n >= 0) return n;
  if (len < GC_PAUSE_BYTES || !lua_gc(L, LUA_GCISRUNNING)) return decode_now(L, &r);
  int top = lua_gettop(L);
  r.err->kind = NULL;
  lua_pushcfunction(L, decode_protected);
  lua_pushlightuserdata(L, &r);
  lua_gc(L, LUA_GCSTOP);
  int status = lua_pcall(L, 1, LUA_MULTRET, 0);
  lua_gc(L, LUA_GCRESTART);
  if (status != LUA_OK) lua_error(L);
  return r.err->kind != NULL ? -1 : lua_gettop(L) - top;
}

int ph_decode(lua_State *L, const struct ph_blob_store *blobs, int externs, const void *data, size_t len,
              struct ph_err *err) {
  luaL_checkstack(L, 1, NULL);
  if (ph__push_scalar_message(L, data, len)) return 1;
  return ph__decode(L, blobs, externs, true, data, len, err);
}
