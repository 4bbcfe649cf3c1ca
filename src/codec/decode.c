/* SPDX-License-Identifier: MIT
 * Bytes -> values. Everything read is checked, but for the inside of bytecode, which the caller vouches for. Like the
 * encoder it keeps what is under way on explicit levels: the container at its level's index, and above it the key. */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "codec/codec_int.h"
#include "codec/decode.h"

/* States of a level. */
enum { IN_ARRAY, AT_PAIR, AFTER_KEY, AFTER_VALUE, AT_UPVALUE, AFTER_UPVALUE, AT_INSTANCE, AFTER_INSTANCE };
/* What comes of reading. */
enum { WHOLE = 0, BEGUN = 1, BAD = -1 };

#define GC_PAUSE_BYTES (64u << 10) /* from this size on the collector rests: nothing of a message is garbage yet */
#define NO_OFFSET SIZE_MAX

struct reader {
  struct ph_codec *c;
  const struct ph_blob_store *blobs;
  int externs;
  bool allow_code;
  const uint8_t *start, *p, *end;
  int objects;       /* stack index of the table of shared objects, nil until needed */
  size_t share_next; /* an instance whose table, coming next, is shared; or NO_OFFSET */
  struct ph_err *err;
};

static int bad(struct reader *r, const char *what) {
  return ph_err_set(r->err, "not_serializable", 0, "malformed message: %s at byte %zu of %zu", what,
                    (size_t)(r->p - r->start), (size_t)(r->end - r->start));
}

/* --- numbers and strings ---------------------------------------------------------------------------------- */

static bool get_varint(struct reader *r, uint64_t *v) {
  int shift = 0;
  *v = 0;
  while (r->p < r->end && shift < 64) {
    uint8_t b = *r->p++;
    *v |= (uint64_t)(b & 0x7f) << shift;
    if (!(b & 0x80)) return true;
    shift += 7;
  }
  return false;
}

static size_t left(const struct reader *r) {
  return (size_t)(r->end - r->p);
}

static int get_string(lua_State *L, struct reader *r) {
  uint64_t len;
  if (!get_varint(r, &len) || len > left(r)) return bad(r, "string");
  lua_pushlstring(L, (const char *)r->p, (size_t)len);
  r->p += len;
  return WHOLE;
}

static int get_string_ref(lua_State *L, struct reader *r) {
  uint64_t at;
  const uint8_t *here = r->p;
  if (!get_varint(r, &at) || at >= (size_t)(here - r->start) || r->start[at] != PH_TAG_STRING)
    return bad(r, "string reference");
  struct reader earlier = *r;
  earlier.p = r->start + at + 1;
  return get_string(L, &earlier);
}

static int get_bytes(struct reader *r, void *out, size_t n) {
  if (left(r) < n) return bad(r, "truncated value");
  memcpy(out, r->p, n);
  r->p += n;
  return WHOLE;
}

/* A STRING or STRING_REF with its tag: names of classes, modules and fields. */
static int get_name(lua_State *L, struct reader *r) {
  uint8_t tag = left(r) > 0 ? *r->p++ : PH_TAG_NIL;
  if (tag == PH_TAG_STRING) return get_string(L, r);
  return tag == PH_TAG_STRING_REF ? get_string_ref(L, r) : bad(r, "name");
}

/* --- shared objects --------------------------------------------------------------------------------------- */

/* Three numbers per offset: the object, and for a cell the function and which of its upvalues. */
enum { OBJECT, CELL_FUNCTION, CELL_INDEX };

static void share(lua_State *L, struct reader *r, size_t offset, int what) {
  if (lua_isnil(L, r->objects)) {
    lua_newtable(L);
    lua_replace(L, r->objects);
  }
  lua_rawseti(L, r->objects, (lua_Integer)offset * 3 + what);
}

static bool push_shared(lua_State *L, struct reader *r, uint64_t offset, int what) {
  if (lua_isnil(L, r->objects) || offset > PH_MESSAGE_MAX) return false;
  if (lua_rawgeti(L, r->objects, (lua_Integer)offset * 3 + what) != LUA_TNIL) return true;
  lua_pop(L, 1);
  return false;
}

/* --- containers ------------------------------------------------------------------------------------------- */

static int begin_table(lua_State *L, struct reader *r, size_t offset, bool shared) {
  uint64_t n, hash;
  if (!get_varint(r, &n) || !get_varint(r, &hash) || n > left(r) || hash > left(r)) return bad(r, "table");
  lua_createtable(L, (int)n, (int)hash);
  if (shared) lua_pushvalue(L, -1), share(L, r, offset, OBJECT);
  if (r->share_next != NO_OFFSET) lua_pushvalue(L, -1), share(L, r, r->share_next, OBJECT);
  r->share_next = NO_OFFSET;
  struct ph_level *l = ph__level_push(L, r->c, PH_TAG_TABLE, lua_gettop(L));
  l->state = n > 0 ? IN_ARRAY : AT_PAIR;
  l->n = (lua_Integer)n;
  return BEGUN;
}

static int begin_instance(lua_State *L, struct reader *r, size_t offset, bool shared) {
  uint64_t blob;
  uint8_t dumped = 0;
  if (get_name(L, r) != WHOLE) return BAD;
  if (!get_varint(r, &blob) || get_bytes(r, &dumped, 1) != WHOLE) return bad(r, "instance");
  if (*lua_tostring(L, -1) == '@' && !r->allow_code) return bad(r, "instance of a module");
  if (!ph__push_class(L, r->c, -1, r->blobs, blob)) {
    return ph_err_set(r->err, "not_serializable", 0,
                      "class '%.80s' is not registered here (call parhost.register in a module that both sides load)",
                      lua_tostring(L, -1));
  }
  lua_remove(L, -2);
  struct ph_level *l = ph__level_push(L, r->c, PH_TAG_INSTANCE, lua_gettop(L));
  l->state = AT_INSTANCE;
  l->n = dumped;
  if (shared && !dumped) r->share_next = offset;
  l->start = shared && dumped ? offset : NO_OFFSET;
  return BEGUN;
}

/* Are all the upvalues in the message the globals table? Then gives what follows them. */
static const uint8_t *behind_plain_upvalues(const struct reader *r, uint64_t n) {
  if (n > left(r) / 2) return NULL;
  const uint8_t *p = r->p;
  for (uint64_t i = 0; i < n; i++, p += 2)
    if ((p[0] != PH_CELL && p[0] != PH_CELL_SHARED) || p[1] != PH_TAG_GLOBALS) return NULL;
  return p;
}

/* The bytes of the prototype; *number stays NO_OFFSET when they lie in the message. */
static int find_prototype(struct reader *r, const void **bytes, size_t *len, uint64_t *number) {
  uint8_t kind = 0;
  uint64_t n;
  if (get_bytes(r, &kind, 1) != WHOLE || !get_varint(r, &n)) return bad(r, "function");
  *number = NO_OFFSET;
  if (kind == PH_PROTO_BLOB) {
    *number = n;
    if (r->blobs != NULL && r->blobs->resolve(r->blobs->ud, n, bytes, len) == 0) return WHOLE;
    return bad(r, "unknown function number");
  }
  if (kind != PH_PROTO_BYTES || n > left(r)) return bad(r, "function");
  *bytes = r->p;
  *len = (size_t)n;
  r->p += n;
  return WHOLE;
}

/* A function that needs no upvalues of its own is loaded once per number. */
static bool push_loaded(lua_State *L, struct reader *r, uint64_t number) {
  lua_getiuservalue(L, r->c->self, PH_UV_LOADED);
  lua_rawgeti(L, -1, (lua_Integer)number);
  lua_remove(L, -2);
  if (lua_isfunction(L, -1)) return true;
  lua_pop(L, 1);
  return false;
}

static void keep_loaded(lua_State *L, struct reader *r, uint64_t number) {
  lua_getiuservalue(L, r->c->self, PH_UV_LOADED);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, (lua_Integer)number);
  lua_pop(L, 1);
}

static int load_function(lua_State *L, struct reader *r, const void *bytes, size_t len, uint64_t n) {
  if (luaL_loadbufferx(L, bytes, len, "=function", "b") != LUA_OK)
    return ph_err_set(r->err, "not_serializable", 0, "cannot load a function: %.200s", lua_tostring(L, -1));
  if ((n > 0 && (n > 255 || lua_getupvalue(L, -1, (int)n) == NULL)) ||
      lua_getupvalue(L, n > 0 ? -2 : -1, (int)n + 1) != NULL)
    return bad(r, "upvalues");
  if (n > 0) lua_pop(L, 1);
  return WHOLE;
}

static int begin_function(lua_State *L, struct reader *r, size_t offset, bool shared) {
  const void *bytes = NULL;
  size_t len = 0;
  uint64_t number = NO_OFFSET, n;
  if (!r->allow_code)
    return ph_err_set(r->err, "not_serializable", 0,
                      "functions are only loaded from dumps that this program has made itself");
  if (find_prototype(r, &bytes, &len, &number) != WHOLE) return BAD;
  if (!get_varint(r, &n)) return bad(r, "function");
  const uint8_t *plain = number != NO_OFFSET ? behind_plain_upvalues(r, n) : NULL;
  bool ready = plain != NULL && push_loaded(L, r, number);
  if (!ready && load_function(L, r, bytes, len, n) != WHOLE) return BAD;
  if (shared) lua_pushvalue(L, -1), share(L, r, offset, OBJECT);
  if (ready) {
    r->p = plain;
    return WHOLE;
  }
  if (plain != NULL) keep_loaded(L, r, number);
  struct ph_level *l = ph__level_push(L, r->c, PH_TAG_FUNCTION, lua_gettop(L));
  l->state = AT_UPVALUE;
  l->n = (lua_Integer)n;
  return BEGUN;
}

/* --- values by name --------------------------------------------------------------------------------------- */

static int get_module(lua_State *L, struct reader *r) {
  if (get_name(L, r) != WHOLE) return BAD;
  ph__require(L, r->c);
  return WHOLE;
}

static int get_named(lua_State *L, struct reader *r) {
  if (get_name(L, r) != WHOLE) return BAD;
  if (get_name(L, r) != WHOLE) return BAD;
  lua_pushvalue(L, -2);
  ph__require(L, r->c);
  if (lua_istable(L, -1)) {
    lua_pushvalue(L, -2);
    lua_rawget(L, -2);
  }
  if (!lua_isfunction(L, -1))
    return ph_err_set(r->err, "not_serializable", 0, "module '%.60s' has no function '%.60s' here", lua_tostring(L, -4),
                      lua_tostring(L, -3));
  lua_replace(L, -4);
  lua_pop(L, 2);
  return WHOLE;
}

static int get_extern(lua_State *L, struct reader *r) {
  uint64_t n;
  if (!get_varint(r, &n) || r->externs == LUA_NOREF) return bad(r, "external value");
  lua_rawgeti(L, LUA_REGISTRYINDEX, r->externs);
  lua_rawgeti(L, -1, (lua_Integer)n);
  lua_remove(L, -2);
  return WHOLE;
}

static int get_ref(lua_State *L, struct reader *r) {
  uint64_t at;
  return get_varint(r, &at) && push_shared(L, r, at, OBJECT) ? WHOLE : bad(r, "reference");
}

/* --- any value -------------------------------------------------------------------------------------------- */

static int get_number(lua_State *L, struct reader *r, uint8_t tag) {
  uint64_t v;
  lua_Number d = 0;
  if (tag == PH_TAG_INT) {
    if (!get_varint(r, &v)) return bad(r, "integer");
    lua_pushinteger(L, (lua_Integer)((v >> 1) ^ (0 - (v & 1))));
    return WHOLE;
  }
  if (get_bytes(r, &d, sizeof d) != WHOLE) return BAD;
  lua_pushnumber(L, d);
  return WHOLE;
}

/* Pushes a value: WHOLE; or a container whose content follows: BEGUN. */
static int get_value(lua_State *L, struct reader *r) {
  size_t offset = (size_t)(r->p - r->start);
  void *light;
  if (left(r) == 0) return bad(r, "truncated message");
  uint8_t tag = *r->p++;
  if (tag >= PH_TAG_SMALL) {
    lua_pushinteger(L, tag & 0x7f);
    return WHOLE;
  }
  switch (tag) {
    case PH_TAG_NIL: lua_pushnil(L); return WHOLE;
    case PH_TAG_FALSE: lua_pushboolean(L, 0); return WHOLE;
    case PH_TAG_TRUE: lua_pushboolean(L, 1); return WHOLE;
    case PH_TAG_INT:
    case PH_TAG_FLOAT: return get_number(L, r, tag);
    case PH_TAG_STRING: return get_string(L, r);
    case PH_TAG_STRING_REF: return get_string_ref(L, r);
    case PH_TAG_TABLE:
    case PH_TAG_TABLE_SHARED: return begin_table(L, r, offset, tag == PH_TAG_TABLE_SHARED);
    case PH_TAG_FUNCTION:
    case PH_TAG_FUNCTION_SHARED: return begin_function(L, r, offset, tag == PH_TAG_FUNCTION_SHARED);
    case PH_TAG_INSTANCE:
    case PH_TAG_INSTANCE_SHARED: return begin_instance(L, r, offset, tag == PH_TAG_INSTANCE_SHARED);
    case PH_TAG_REF: return get_ref(L, r);
    case PH_TAG_NAMED: return get_named(L, r);
    case PH_TAG_MODULE: return get_module(L, r);
    case PH_TAG_EXTERN: return get_extern(L, r);
    case PH_TAG_GLOBALS: lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS); return WHOLE;
    case PH_TAG_LIGHT:
      if (!r->allow_code) return bad(r, "light userdata");
      if (get_bytes(r, &light, sizeof light) != WHOLE) return BAD;
      lua_pushlightuserdata(L, light);
      return WHOLE;
    default: r->p--; return bad(r, "unknown tag");
  }
}

/* --- levels ----------------------------------------------------------------------------------------------- */

static int finish_instance(lua_State *L, struct reader *r, struct ph_level *l) {
  if (l->n) {
    if (lua_getfield(L, l->index, "__load") != LUA_TFUNCTION)
      return ph_err_set(r->err, "not_serializable", 0, "a class with __dump has no __load");
    lua_insert(L, -2);
    ph__call_out(L, r->c, 1, 1);
    if (l->start != NO_OFFSET) lua_pushvalue(L, -1), share(L, r, l->start, OBJECT);
  } else {
    if (!lua_istable(L, -1)) return bad(r, "instance");
    lua_pushvalue(L, l->index);
    lua_setmetatable(L, -2);
  }
  lua_replace(L, l->index);
  return WHOLE;
}

/* The next upvalue: 1 its value follows in the message, 0 it was joined to another cell. */
static int begin_upvalue(lua_State *L, struct reader *r, struct ph_level *l) {
  size_t offset = (size_t)(r->p - r->start);
  uint64_t at;
  uint8_t tag = 0;
  if (get_bytes(r, &tag, 1) != WHOLE) return BAD;
  l->i++;
  if (tag == PH_CELL_SHARED) {
    lua_pushvalue(L, l->index);
    share(L, r, offset, CELL_FUNCTION);
    lua_pushinteger(L, l->i);
    share(L, r, offset, CELL_INDEX);
  }
  if (tag <= PH_CELL_SHARED) return 1;
  if (tag != PH_CELL_REF || !get_varint(r, &at) || !push_shared(L, r, at, CELL_FUNCTION)) return bad(r, "upvalue");
  if (!push_shared(L, r, at, CELL_INDEX)) return bad(r, "upvalue");
  int other = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  lua_upvaluejoin(L, l->index, (int)l->i, -1, other);
  lua_pop(L, 1);
  return 0;
}

/* A part of the container has been read and lies on the stack top. */
static int absorb(lua_State *L, struct reader *r, struct ph_level *l) {
  switch (l->state) {
    case IN_ARRAY:
      lua_rawseti(L, l->index, ++l->i);
      if (l->i == l->n) l->state = AT_PAIR;
      return WHOLE;
    case AFTER_KEY:
      if (lua_isnil(L, -1) || (lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -1) != lua_tonumber(L, -1)))
        return bad(r, "key");
      l->state = AFTER_VALUE;
      return WHOLE;
    case AFTER_VALUE:
      lua_rawset(L, l->index);
      l->state = AT_PAIR;
      return WHOLE;
    case AFTER_UPVALUE:
      lua_setupvalue(L, l->index, (int)l->i);
      l->state = AT_UPVALUE;
      return WHOLE;
    default: l->state = AFTER_INSTANCE; return finish_instance(L, r, l);
  }
}

/* 1 a value follows in the message, 0 the container is whole, BAD. */
static int advance(lua_State *L, struct reader *r, struct ph_level *l) {
  int status;
  switch (l->state) {
    case AT_PAIR:
      if (left(r) == 0) return bad(r, "truncated table");
      if (*r->p == PH_TAG_END) {
        r->p++;
        return 0;
      }
      l->state = AFTER_KEY;
      return 1;
    case AT_UPVALUE:
      while (l->i < l->n) {
        status = begin_upvalue(L, r, l);
        if (status == 0) continue;
        l->state = AFTER_UPVALUE;
        return status;
      }
      return 0;
    case AFTER_INSTANCE: return 0;
    default: return 1;
  }
}

/* Pushes one value with everything in it. */
static int get_tree(lua_State *L, struct reader *r) {
  struct ph_levels *levels = &r->c->levels;
  levels->count = 0;
  int status = get_value(L, r);
  while (status != BAD) {
    if (status == WHOLE && levels->count == 0) return WHOLE;
    struct ph_level *l = &levels->array[levels->count - 1];
    if (status == WHOLE && absorb(L, r, l) == BAD) return BAD;
    status = advance(L, r, l);
    if (status == BAD) return BAD;
    if (status == 1)
      status = get_value(L, r);
    else
      levels->count--;
  }
  return BAD;
}

static int get_captures(lua_State *L, struct reader *r) {
  while (left(r) > 0) {
    uint8_t tag = *r->p++;
    if (tag == PH_TAG_END) return left(r) == 0 ? WHOLE : bad(r, "bytes behind the end");
    if (tag != PH_TAG_CAPTURE || !r->allow_code) return bad(r, "captured global");
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    if (get_name(L, r) != WHOLE || get_tree(L, r) != WHOLE) return BAD;
    lua_rawset(L, -3);
    lua_pop(L, 1);
  }
  return bad(r, "truncated message");
}

static int get_message(lua_State *L, struct reader *r) {
  uint64_t n;
  if (!get_varint(r, &n) || n > left(r)) return bad(r, "number of values");
  if (n > 900000 || !lua_checkstack(L, (int)n + 32)) return bad(r, "too many values");
  for (uint64_t i = 0; i < n; i++)
    if (get_tree(L, r) != WHOLE) return BAD;
  return get_captures(L, r) == WHOLE ? (int)n : BAD;
}

static int decode_now(lua_State *L, struct reader *r) {
  int top = lua_gettop(L);
  luaL_checkstack(L, 32, "too many values");
  r->c = ph__codec_push(L);
  r->c->self = top + 1;
  lua_pushnil(L);
  r->objects = top + 2;
  r->share_next = NO_OFFSET;
  int n = get_message(L, r);
  if (n < 0) {
    lua_settop(L, top);
    return -1;
  }
  lua_rotate(L, top + 1, -2);
  lua_pop(L, 2);
  return n;
}

static int decode_protected(lua_State *L) {
  struct reader *r = lua_touserdata(L, 1);
  lua_settop(L, 0);
  int n = decode_now(L, r);
  return n < 0 ? 0 : n;
}

int ph__decode(lua_State *L, const struct ph_blob_store *blobs, int externs, bool allow_code, const void *data, size_t len,
               struct ph_err *err) {
  struct ph_err unused;
  struct reader r = {.blobs = blobs,
                     .externs = externs,
                     .allow_code = allow_code,
                     .start = data,
                     .p = data,
                     .end = (const uint8_t *)data + len,
                     .err = err != NULL ? err : &unused};
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
  return ph__decode(L, blobs, externs, true, data, len, err);
}
