/* SPDX-License-Identifier: MIT
 * Bytes -> functions: the prototype, from the message or from what was sent before, and its upvalues. */
#include <lauxlib.h>

#include "codec/reader.h"

static void share_cell(lua_State *L, struct ph_reader *r, size_t offset, int function, lua_Integer upvalue) {
  lua_pushvalue(L, function);
  ph__share(L, r, offset, PH_CELL_FUNCTION);
  lua_pushinteger(L, upvalue);
  ph__share(L, r, offset, PH_CELL_INDEX);
}

/* Are all the upvalues in the message the globals table? */
static bool has_plain_upvalues(const struct ph_reader *r, uint64_t n) {
  if (n > ph__left(r) / 2) return false;
  const uint8_t *p = r->p;
  for (uint64_t i = 0; i < n; i++, p += 2)
    if ((p[0] != PH_CELL && p[0] != PH_CELL_SHARED) || p[1] != PH_TAG_GLOBALS) return false;
  return true;
}

/* The bytes of the prototype; *number stays PH_NO_OFFSET when they lie in the message. */
static int find_prototype(struct ph_reader *r, const void **bytes, size_t *len, uint64_t *number) {
  uint8_t kind = 0;
  uint64_t n;
  if (ph__get_bytes(r, &kind, 1) != PH_WHOLE || !ph__get_varint(r, &n)) return ph__bad(r, "function");
  *number = PH_NO_OFFSET;
  if (kind == PH_PROTO_BLOB) {
    *number = n;
    if (r->blobs != NULL && r->blobs->resolve(r->blobs->ud, n, bytes, len) == 0) return PH_WHOLE;
    return ph__bad(r, "unknown function number");
  }
  if (kind != PH_PROTO_BYTES || n > ph__left(r)) return ph__bad(r, "function");
  *bytes = r->p;
  *len = (size_t)n;
  r->p += n;
  return PH_WHOLE;
}

/* Goes over these upvalues; later functions may refer to their cells. */
static void skip_plain_upvalues(lua_State *L, struct ph_reader *r, int function, uint64_t n) {
  for (uint64_t i = 1; i <= n; i++, r->p += 2)
    if (*r->p == PH_CELL_SHARED) share_cell(L, r, (size_t)(r->p - r->start), function, (lua_Integer)i);
}

/* A function that needs no upvalues of its own is loaded once per number. An earlier task may have assigned to them. */
static bool push_loaded(lua_State *L, struct ph_reader *r, uint64_t number, uint64_t n) {
  lua_getiuservalue(L, r->c->self, PH_UV_LOADED);
  lua_rawgeti(L, -1, (lua_Integer)number);
  lua_remove(L, -2);
  if (!lua_isfunction(L, -1)) {
    lua_pop(L, 1);
    return false;
  }
  for (int i = 1; i <= (int)n; i++) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    if (lua_setupvalue(L, -2, i) == NULL) lua_pop(L, 1);
  }
  return true;
}

static void keep_loaded(lua_State *L, struct ph_reader *r, uint64_t number) {
  lua_getiuservalue(L, r->c->self, PH_UV_LOADED);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, (lua_Integer)number);
  lua_pop(L, 1);
}

static int load_function(lua_State *L, struct ph_reader *r, const void *bytes, size_t len, uint64_t n) {
  int status = luaL_loadbufferx(L, bytes, len, "=function", "b");
  if (status == LUA_ERRMEM) lua_error(L);
  if (status != LUA_OK)
    return ph_err_set(r->err, "not_serializable", 0, "cannot load a function: %.200s", lua_tostring(L, -1));
  if ((n > 0 && (n > 255 || lua_getupvalue(L, -1, (int)n) == NULL)) ||
      lua_getupvalue(L, n > 0 ? -2 : -1, (int)n + 1) != NULL)
    return ph__bad(r, "upvalues");
  if (n > 0) lua_pop(L, 1);
  return PH_WHOLE;
}

int ph__begin_function(lua_State *L, struct ph_reader *r, size_t offset, bool shared, uint8_t state) {
  const void *bytes = NULL;
  size_t len = 0;
  uint64_t number = PH_NO_OFFSET, n;
  if (!r->allow_code)
    return ph_err_set(r->err, "not_serializable", 0,
                      "functions are only loaded from dumps that this program has made itself");
  if (find_prototype(r, &bytes, &len, &number) != PH_WHOLE) return PH_BAD;
  if (!ph__get_varint(r, &n)) return ph__bad(r, "function");
  bool plain = number != PH_NO_OFFSET && has_plain_upvalues(r, n);
  bool ready = plain && push_loaded(L, r, number, n);
  if (!ready && load_function(L, r, bytes, len, n) != PH_WHOLE) return PH_BAD;
  if (shared) lua_pushvalue(L, -1), ph__share(L, r, offset, PH_OBJECT);
  if (ready) {
    skip_plain_upvalues(L, r, lua_gettop(L), n);
    return PH_WHOLE;
  }
  if (plain) keep_loaded(L, r, number);
  struct ph_level *l = ph__open_level(L, r, PH_TAG_FUNCTION, state);
  if (l == NULL) return PH_BAD;
  l->n = (lua_Integer)n;
  return PH_BEGUN;
}

int ph__begin_upvalue(lua_State *L, struct ph_reader *r, struct ph_level *l) {
  size_t offset = (size_t)(r->p - r->start);
  uint64_t at;
  uint8_t tag = 0;
  if (ph__get_bytes(r, &tag, 1) != PH_WHOLE) return PH_BAD;
  l->i++;
  if (tag == PH_CELL_SHARED) share_cell(L, r, offset, l->index, l->i);
  if (tag <= PH_CELL_SHARED) return PH_BEGUN;
  if (tag != PH_CELL_REF || !ph__get_varint(r, &at) || !ph__push_shared(L, r, at, PH_CELL_FUNCTION))
    return ph__bad(r, "upvalue");
  if (!ph__push_shared(L, r, at, PH_CELL_INDEX)) return ph__bad(r, "upvalue");
  int other = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  lua_upvaluejoin(L, l->index, (int)l->i, -1, other);
  lua_pop(L, 1);
  return PH_WHOLE;
}
