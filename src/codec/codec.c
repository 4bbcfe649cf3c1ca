/* SPDX-License-Identifier: MIT
 * The codec object of a state, and what encoder and decoder share. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>

#include "codec/codec_int.h"

#include "base/mem.h"

static const char codec_key = 0;

/* Where this thread's last state has its codec: luaL_ref of the registry, which is quicker to look up than a key. In
 * another state something else may lie there: what is found is looked at before it is believed. */
static _Thread_local int codec_ref;

static int codec_gc(lua_State *L) {
  struct ph_codec *c = lua_touserdata(L, 1);
  ph_buf_deinit(&c->out);
  ph_buf_deinit(&c->refs);
  ph_ptrmap_deinit(&c->seen);
  ph_ptrmap_deinit(&c->named);
  ph_buf_deinit(&c->listed);
  free(c->levels.array);
  c->levels = (struct ph_levels){NULL, 0, 0};
  return 0;
}

void ph__no_memory(lua_State *L) {
  luaL_error(L, "not enough memory");
  __builtin_unreachable();
}

static void new_weak_table(lua_State *L, const char *mode) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushstring(L, mode);
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

/* Pushes a new codec; a second one of the same state shares what is known of functions, classes and names. */
static struct ph_codec *new_codec(lua_State *L, int like) {
  struct ph_codec *c = lua_newuserdatauv(L, sizeof *c, PH_UV_COUNT);
  *c = (struct ph_codec){0};
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, codec_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  for (int uv = 1; uv < PH_UV_INNER; uv++) {
    bool own = uv == PH_UV_ANCHORS || uv == PH_UV_CAPTURES || uv == PH_UV_TASK || uv == PH_UV_LEFT;
    if (like != 0 && !own)
      lua_getiuservalue(L, like, uv);
    else if (uv == PH_UV_FUNCTIONS || uv == PH_UV_MODULES)
      new_weak_table(L, "k");
    else if (uv == PH_UV_TASK || uv == PH_UV_STAND_IN || uv == PH_UV_LEFT)
      lua_pushnil(L);
    else
      lua_newtable(L);
    lua_setiuservalue(L, -2, uv);
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  c->globals = lua_topointer(L, -1);
  lua_pop(L, 1);
  if (like != 0) c->stand_in = ((const struct ph_codec *)lua_touserdata(L, like))->stand_in;
  return c;
}

/* The codec on the stack top is busy calling out: replaces it by the next one inside. */
static struct ph_codec *push_inner(lua_State *L) {
  if (lua_getiuservalue(L, -1, PH_UV_INNER) == LUA_TNIL) {
    lua_pop(L, 1);
    new_codec(L, lua_gettop(L));
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -3, PH_UV_INNER);
  }
  lua_remove(L, -2);
  return lua_touserdata(L, -1);
}

/* Pushes the codec of the state, made at the first use. */
static struct ph_codec *push_by_key(lua_State *L) {
  struct ph_codec *c;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &codec_key) == LUA_TNIL) {
    lua_pop(L, 1);
    c = new_codec(L, 0);
    c->mark = &codec_key;
    lua_pushvalue(L, -1);
    c->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &codec_key);
  }
  c = lua_touserdata(L, -1);
  codec_ref = c->ref;
  return c;
}

static struct ph_codec *push_by_ref(lua_State *L) {
  if (codec_ref == 0) return NULL;
  if (lua_rawgeti(L, LUA_REGISTRYINDEX, codec_ref) == LUA_TUSERDATA && lua_rawlen(L, -1) == sizeof(struct ph_codec)) {
    struct ph_codec *c = lua_touserdata(L, -1);
    if (c->mark == &codec_key) return c;
  }
  lua_pop(L, 1);
  return NULL;
}

struct ph_codec *ph__codec_push(lua_State *L) {
  struct ph_codec *c = push_by_ref(L);
  if (c == NULL) c = push_by_key(L);
  while (c->calling_out) c = push_inner(L);
  if (lua_gc(L, LUA_GCISRUNNING) != 1) c = push_inner(L); /* perhaps a finalizer, in the middle of another message */
  while (c->calling_out) c = push_inner(L);
  return c;
}

void ph__call_out(lua_State *L, struct ph_codec *c, int nargs, int nresults) {
  c->calling_out = true;
  int status = lua_pcall(L, nargs, nresults, 0);
  c->calling_out = false;
  c->named_known = false; /* it may have loaded a module */
  if (status != LUA_OK) lua_error(L);
}

struct ph_level *ph__level_push(lua_State *L, struct ph_codec *c, uint8_t kind, int index) {
  struct ph_levels *s = &c->levels;
  if (s->count >= PH_DEPTH_MAX || !lua_checkstack(L, 16)) return NULL;
  if (s->count == s->cap) {
    size_t cap = s->cap == 0 ? 32 : s->cap * 2;
    struct ph_level *array = ph_realloc(s->array, cap * sizeof *array);
    if (array == NULL) ph__no_memory(L);
    s->array = array;
    s->cap = cap;
  }
  struct ph_level *l = &s->array[s->count++];
  *l = (struct ph_level){.kind = kind, .index = index};
  return l;
}

void ph_codec_stand_in(lua_State *L, int idx) {
  int top = lua_gettop(L);
  idx = lua_absindex(L, idx);
  push_by_key(L);
  do {
    struct ph_codec *c = lua_touserdata(L, -1);
    c->stand_in = lua_topointer(L, idx);
    lua_pushvalue(L, idx);
    lua_setiuservalue(L, -2, PH_UV_STAND_IN);
  } while (lua_getiuservalue(L, -1, PH_UV_INNER) == LUA_TUSERDATA);
  lua_settop(L, top);
}

void ph_codec_baseline(lua_State *L) {
  int top = lua_gettop(L);
  ph__codec_push(L);
  lua_getiuservalue(L, -1, PH_UV_BASELINE); /* filled, not replaced: the codecs of a state share it */
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, top + 2);
  }
  lua_settop(L, top);
}

/* Is the value on the stack top what the standard libraries have put under this name, as far as one can tell? */
static bool looks_standard(lua_State *L, const char *name) {
  if (!lua_istable(L, -1)) return lua_iscfunction(L, -1);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, name);
  bool same = lua_rawequal(L, -1, -3);
  lua_pop(L, 2);
  return same;
}

void ph_codec_late_baseline(lua_State *L) {
  static const char *const names[] = {
      LUA_GNAME,     "assert",      "collectgarbage", "dofile",        "error",         "getmetatable", "ipairs",
      "load",        "loadfile",    "next",           "pairs",         "pcall",         "print",        "rawequal",
      "rawget",      "rawlen",      "rawset",         "require",       "select",        "setmetatable", "tonumber",
      "tostring",    "type",        "warn",           "xpcall",        LUA_LOADLIBNAME, LUA_COLIBNAME,  LUA_TABLIBNAME,
      LUA_IOLIBNAME, LUA_OSLIBNAME, LUA_STRLIBNAME,   LUA_UTF8LIBNAME, LUA_MATHLIBNAME, LUA_DBLIBNAME};
  int top = lua_gettop(L);
  ph__codec_push(L);
  lua_getiuservalue(L, -1, PH_UV_BASELINE);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    lua_pushstring(L, names[i]);
    lua_rawget(L, -2);
    if (looks_standard(L, names[i]))
      lua_setfield(L, top + 2, names[i]);
    else
      lua_pop(L, 1);
  }
  lua_settop(L, top);
}
