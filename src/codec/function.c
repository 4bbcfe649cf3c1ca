/* SPDX-License-Identifier: MIT
 * What the encoder knows of a Lua function, kept by closure: its bytecode, the hash of that, and the globals it reads.
 * A closure never changes its prototype, so none of this goes stale; upvalues are read anew for every message. */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "codec/codec_int.h"

static int write_dump(lua_State *L, const void *bytes, size_t n, void *ud) {
  (void)L;
  return ph_buf_put(ud, bytes, n);
}

/* Bit i: upvalue i + 1 holds the globals table, by identity and whatever its name. */
static uint64_t find_env(lua_State *L, const struct ph_codec *c, int fn) {
  uint64_t env = 0;
  for (int i = 1; i <= 64 && lua_getupvalue(L, fn, i) != NULL; i++) {
    if (ph__is_globals(c, lua_topointer(L, -1))) env |= 1ull << (i - 1);
    lua_pop(L, 1);
  }
  return env;
}

static struct ph_function *new_function(lua_State *L, struct ph_codec *c, int fn) {
  size_t start = c->out.len; /* the dump goes behind the message for a moment */
  lua_pushvalue(L, fn);
  if (lua_dump(L, write_dump, &c->out, 0) != 0) ph__no_memory(L);
  lua_pop(L, 1);
  size_t len = c->out.len - start;
  struct ph_function *f = lua_newuserdatauv(L, sizeof *f + len, 2);
  lua_Debug ar;
  lua_pushvalue(L, fn);
  lua_getinfo(L, ">Su", &ar);
  *f = (struct ph_function){.len = len, .number = -1, .n_upvalues = ar.nups, .is_ours = strncmp(ar.source, "@lua/", 5) == 0};
  memcpy(f->bytes, c->out.data + start, len);
  c->out.len = start;
  ph__hash128(f->bytes, len, f->hash);
  lua_newtable(L);
  if (ph__scan_globals(L, f->bytes, len, find_env(L, c, fn), lua_gettop(L)) == 0) f->n_globals = (uint32_t)lua_rawlen(L, -1);
  lua_setiuservalue(L, -2, 1);
  return f;
}

struct ph_function *ph__function_push(lua_State *L, struct ph_codec *c, int idx) {
  idx = lua_absindex(L, idx);
  luaL_checkstack(L, 16, NULL);
  lua_getiuservalue(L, c->self, PH_UV_FUNCTIONS);
  lua_pushvalue(L, idx);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pop(L, 1);
    new_function(L, c, idx);
    lua_pushvalue(L, idx);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
  }
  lua_remove(L, -2);
  return lua_touserdata(L, -1);
}

void ph__warn_big_upvalue(lua_State *L, struct ph_codec *c, const struct ph_level *l) {
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
