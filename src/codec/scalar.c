/* SPDX-License-Identifier: MIT
 * Messages of one number, boolean or nil: what most items of a map and most results are. The same bytes as ever, without
 * the codec's own machinery. */
#include <string.h>

#include "codec/writer.h"

size_t ph__scalar_message(lua_State *L, int idx, uint8_t bytes[PH_SCALAR_MAX]) {
  uint8_t *p = bytes;
  *p++ = 1;
  switch (lua_type(L, idx)) {
    case LUA_TNUMBER: p = ph__write_number(L, idx, p); break;
    case LUA_TBOOLEAN: *p++ = lua_toboolean(L, idx) ? PH_TAG_TRUE : PH_TAG_FALSE; break;
    case LUA_TNIL: *p++ = PH_TAG_NIL; break;
    default: return 0;
  }
  *p++ = PH_TAG_END;
  return (size_t)(p - bytes);
}

/* The varint that fills the `n` bytes; false: they are something else. */
static bool get_varint(const uint8_t *p, size_t n, uint64_t *v) {
  if (n == 0 || n > 9) return false; /* ten bytes may be too much for 64 bits: the decoder knows */
  *v = 0;
  for (size_t i = 0; i < n; i++) {
    if ((p[i] >= 0x80) != (i + 1 < n)) return false;
    *v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
  }
  return true;
}

bool ph__push_scalar_message(lua_State *L, const uint8_t *p, size_t len) {
  uint64_t v;
  lua_Number x;
  if (len < 3 || len > PH_SCALAR_MAX || p[0] != 1 || p[len - 1] != PH_TAG_END) return false;
  if (len == 3 && p[1] >= PH_TAG_SMALL) {
    lua_pushinteger(L, p[1] - PH_TAG_SMALL);
  } else if (p[1] == PH_TAG_INT && get_varint(p + 2, len - 3, &v)) {
    lua_pushinteger(L, (lua_Integer)(v >> 1) ^ -(lua_Integer)(v & 1));
  } else if (p[1] == PH_TAG_FLOAT && len == 3 + sizeof x) {
    memcpy(&x, p + 2, sizeof x);
    lua_pushnumber(L, x);
  } else {
    return false;
  }
  return true;
}
