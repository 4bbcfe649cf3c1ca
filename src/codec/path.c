/* SPDX-License-Identifier: MIT
 * Where in the value the encoder is: "[2].conn", or "@upvalue 'db' of function main.lua:7" ('@': that path begins
 * with a function, whatever led to it). */
#include <ctype.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "codec/codec_int.h"

static bool is_name(const char *s, size_t len) {
  if (len == 0 || len > 40 || isdigit((unsigned char)*s)) return false;
  for (size_t i = 0; i < len; i++)
    if (!isalnum((unsigned char)s[i]) && s[i] != '_') return false;
  return true;
}

static int write_key(lua_State *L, int key, char *out, size_t room) {
  size_t len;
  const char *s;
  switch (lua_type(L, key)) {
    case LUA_TSTRING:
      s = lua_tolstring(L, key, &len);
      return is_name(s, len) ? snprintf(out, room, ".%s", s) : snprintf(out, room, "[\"%.40s\"]", s);
    case LUA_TNUMBER:
      if (lua_isinteger(L, key)) return snprintf(out, room, "[%lld]", (long long)lua_tointeger(L, key));
      return snprintf(out, room, "[%.14g]", lua_tonumber(L, key));
    case LUA_TBOOLEAN: return snprintf(out, room, lua_toboolean(L, key) ? "[true]" : "[false]");
    default: return snprintf(out, room, "[a %s]", luaL_typename(L, key));
  }
}

static int write_upvalue(lua_State *L, const struct ph_level *l, char *out, size_t room) {
  lua_Debug ar;
  const char *name = lua_getupvalue(L, l->index, (int)l->i);
  lua_pop(L, 1);
  lua_pushvalue(L, l->index);
  lua_getinfo(L, ">S", &ar);
  return snprintf(out, room, "@upvalue '%s' of function %s:%d", name, ar.short_src, ar.linedefined);
}

static bool is_key(const struct ph_level *l, const struct ph_level *above, int top) {
  return (above != NULL ? above->index : top) >= l->index + 3;
}

void ph__fill_path(lua_State *L, struct ph_codec *c) {
  char *path = c->err->path;
  const size_t size = sizeof c->err->path;
  int len = 0, top = lua_gettop(L);
  path[0] = '\0';
  for (size_t i = 0; i < c->levels.count && len < (int)size - 1; i++) {
    const struct ph_level *l = &c->levels.array[i], *above = i + 1 < c->levels.count ? l + 1 : NULL;
    if (l->kind == PH_TAG_FUNCTION)
      len = write_upvalue(L, l, path, size);
    else if (l->kind == PH_TAG_TABLE && l->i > 0 && l->i <= l->n && (above != NULL ? above->index : top) == l->index + 1)
      len += snprintf(path + len, size - (size_t)len, "[%lld]", (long long)l->i);
    else if (l->kind == PH_TAG_TABLE && is_key(l, above, top))
      len += snprintf(path + len, size - (size_t)len, ": a key");
    else if (l->kind == PH_TAG_TABLE)
      len += write_key(L, l->index + 1, path + len, size - (size_t)len);
  }
}
