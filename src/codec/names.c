/* SPDX-License-Identifier: MIT
 * Names of values: modules, functions that loaded modules hold, and labels for people. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>

#include "codec/codec_int.h"

/* --- what may be named --------------------------------------------------------------------------------------- */

/* The program may change package.loaded at any time, so every message walks it and the classes. The map that comes of it is
 * kept, and holds as long as the walk meets the same addresses: what lies there is alive, so each stands for one object. */
struct walk {
  bool takes_notes;
  const void *const *before; /* otherwise: what the last walk met */
  size_t n, at;
};

/* False: something else than before. */
static bool meet(lua_State *L, struct ph_codec *c, struct walk *w, int idx) {
  const void *object = lua_topointer(L, idx);
  if (!w->takes_notes) return w->at < w->n && w->before[w->at++] == object;
  if (ph_buf_put(&c->listed, &object, sizeof object) != 0) ph__no_memory(L);
  return true;
}

/* The values of the table on the stack top. */
static bool meet_values(lua_State *L, struct ph_codec *c, struct walk *w) {
  int table = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, table); lua_settop(L, table + 1))
    if (!meet(L, c, w, table + 2)) return false;
  return true;
}

static bool meet_all(lua_State *L, struct ph_codec *c, struct walk *w) {
  int top = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  bool same = meet_values(L, c, w);
  if (w->takes_notes)
    c->n_loaded = c->listed.len / sizeof *w->before;
  else
    same = same && w->at == c->n_loaded;
  lua_getiuservalue(L, c->self, PH_UV_CLASSES);
  same = same && meet_values(L, c, w);
  luaL_getmetatable(L, PH_ERROR_CLASS);
  same = same && meet(L, c, w, -1);
  lua_settop(L, top);
  return same && w->at == w->n;
}

static void map_named(lua_State *L, struct ph_codec *c) {
  struct walk w = {.takes_notes = true};
  c->listed.len = 0;
  meet_all(L, c, &w);
  size_t n = c->listed.len / sizeof(void *);
  const void *const *listed = (const void *const *)(const void *)c->listed.data;
  ph_ptrmap_clear(&c->named);
  c->listed.len = 0; /* until the map is whole */
  for (size_t i = 0; i < n; i++) {
    uint32_t what = i < c->n_loaded ? PH_NAMED_MODULE : PH_NAMED_CLASS; /* a class that is a module, too, is one */
    if (listed[i] != NULL && ph_ptrmap_add(&c->named, listed[i], &what) < 0) ph__no_memory(L);
  }
  c->listed.len = n * sizeof *listed;
}

uint32_t ph__named(lua_State *L, struct ph_codec *c, const void *object) {
  struct walk w = {.before = (const void *const *)(const void *)c->listed.data, .n = c->listed.len / sizeof(void *)};
  if (!c->named_known && (w.n == 0 || !meet_all(L, c, &w))) map_named(L, c);
  c->named_known = true;
  return ph_ptrmap_get(&c->named, object);
}

bool ph__is_listed_class(const struct ph_codec *c, const void *object) {
  const void *const *listed = (const void *const *)(const void *)c->listed.data;
  for (size_t i = c->n_loaded; i < c->listed.len / sizeof *listed; i++)
    if (listed[i] == object) return true;
  return false;
}

/* --- names --------------------------------------------------------------------------------------------------- */

/* Pushes the module of that name as it is now. */
static void push_loaded(lua_State *L, int name) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, name);
  lua_rawget(L, -2);
  lua_remove(L, -2);
}

/* Of several names the shortest is the one that the others are parts of: "luassert" is "luassert.assert", too. */
static bool is_better(const char *name, const char *best) {
  size_t n = strlen(name), m = best != NULL ? strlen(best) : SIZE_MAX;
  return n < m || (n == m && strcmp(name, best) < 0);
}

static const char *find_module_name(lua_State *L, int idx) {
  const char *best = NULL; /* a key of package.loaded */
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (lua_type(L, -2) == LUA_TSTRING && lua_rawequal(L, -1, idx) && is_better(lua_tostring(L, -2), best))
      best = lua_tostring(L, -2);
  }
  lua_pop(L, 1);
  return best;
}

bool ph__push_module_name(lua_State *L, struct ph_codec *c, int idx) {
  idx = lua_absindex(L, idx);
  lua_getiuservalue(L, c->self, PH_UV_MODULES);
  int modules = lua_gettop(L);
  lua_pushvalue(L, idx);
  if (lua_rawget(L, modules) == LUA_TSTRING) {
    push_loaded(L, modules + 1);
    if (lua_rawequal(L, -1, idx)) {
      lua_replace(L, modules);
      lua_insert(L, modules);
      lua_settop(L, modules);
      return true;
    }
  }
  lua_settop(L, modules);
  const char *name = find_module_name(L, idx);
  if (name != NULL) {
    lua_pushvalue(L, idx);
    lua_pushstring(L, name);
    lua_rawset(L, modules);
    lua_pushstring(L, name);
  }
  lua_remove(L, modules);
  return name != NULL;
}

bool ph__require(lua_State *L, struct ph_codec *c, bool may_run) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  if (lua_rawget(L, -2) != LUA_TNIL) {
    lua_replace(L, -3);
    lua_pop(L, 1);
    return true;
  }
  lua_pop(L, 2);
  if (!may_run) return false;
  lua_getglobal(L, "require");
  lua_insert(L, -2);
  ph__call_out(L, c, 1, 1);
  return true;
}

/* Pushes the file that `require` of the name on the stack top reads, or something else. */
static void push_file(lua_State *L) {
  luaL_checkstack(L, 8, NULL);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, LUA_LOADLIBNAME);
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "searchpath");
    lua_pushvalue(L, -4);
    lua_getfield(L, -3, "path");
    lua_pcall(L, 2, 1, 0);
  }
  lua_replace(L, -3);
  lua_settop(L, lua_gettop(L) - 1);
}

static bool is_file_of(lua_State *L, int file) {
  luaL_gsub(L, lua_tostring(L, -1), ".", LUA_DIRSEP);
  bool is = strstr(lua_tostring(L, file), lua_tostring(L, -1)) != NULL;
  lua_pop(L, 1);
  if (!is) return false;
  push_file(L);
  is = lua_rawequal(L, -1, file);
  lua_pop(L, 1);
  return is;
}

void ph__push_module_of_file(lua_State *L, int file) {
  file = lua_absindex(L, file);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (lua_pushnil(L); lua_next(L, -2);) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING || !is_file_of(L, file)) continue;
    lua_remove(L, -2);
    return;
  }
  lua_pop(L, 1);
  lua_pushliteral(L, "");
}

bool ph__require_file(lua_State *L, struct ph_codec *c) {
  if (lua_rawlen(L, -1) == 0) return false;
  push_file(L);
  bool found = lua_type(L, -1) == LUA_TSTRING;
  lua_pop(L, 1);
  if (!found) return false;
  lua_pushvalue(L, -1);
  ph__require(L, c, true);
  return true;
}

bool ph__push_original_global(lua_State *L, struct ph_codec *c, int module, int field) {
  if (strcmp(lua_tostring(L, module), LUA_GNAME) != 0) return false;
  lua_getiuservalue(L, c->self, PH_UV_BASELINE);
  lua_pushvalue(L, field);
  bool found = lua_rawget(L, -2) == LUA_TFUNCTION;
  lua_remove(L, -2);
  if (!found) lua_pop(L, 1);
  return found;
}

/* names[function] = { module, field } for the functions of one module (name and table on the stack top). */
static void enter_module(lua_State *L, int names) {
  int module = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, module); lua_pop(L, 1)) {
    if (!lua_isfunction(L, -1) || lua_type(L, -2) != LUA_TSTRING) continue;
    lua_pushvalue(L, -1);
    if (lua_rawget(L, names) != LUA_TNIL) {
      lua_pop(L, 1);
      continue;
    }
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, module - 1);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, -4);
    lua_rawseti(L, -2, 2);
    lua_rawset(L, names);
  }
}

/* Which of several names is the one: string.format rather than a global alias of it, and async.sleep rather than what lies
 * below: there the module that makes it work would be missing. */
static int rank_of(lua_State *L, const struct ph_codec *c, int name, int module) {
  static const char inside[] = "parhost.core.";
  if (lua_topointer(L, module) == c->globals) return 2;
  return strncmp(lua_tostring(L, name), inside, sizeof inside - 1) == 0;
}

static void rebuild_names(lua_State *L, struct ph_codec *c) {
  int top = lua_gettop(L);
  lua_newtable(L);
  int names = top + 1;
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushliteral(L, LUA_GNAME); /* globals as they were: the user's own may stand in their place */
  lua_getiuservalue(L, c->self, PH_UV_BASELINE);
  enter_module(L, names);
  lua_settop(L, top + 2);
  for (int rank = 0; rank < 3; rank++) {
    for (lua_pushnil(L); lua_next(L, top + 2); lua_pop(L, 1))
      if (lua_istable(L, -1) && lua_type(L, -2) == LUA_TSTRING && rank_of(L, c, -2, -1) == rank) enter_module(L, names);
  }
  lua_settop(L, names);
  lua_setiuservalue(L, c->self, PH_UV_NAMES);
}

static bool find_name(lua_State *L, struct ph_codec *c, int idx) {
  lua_getiuservalue(L, c->self, PH_UV_NAMES);
  lua_pushvalue(L, idx);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pop(L, 2);
    return false;
  }
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  lua_remove(L, -3);
  lua_remove(L, -3);
  return true;
}

bool ph__push_name(lua_State *L, struct ph_codec *c, int idx) {
  idx = lua_absindex(L, idx);
  if (find_name(L, c, idx)) return true;
  rebuild_names(L, c);
  return find_name(L, c, idx);
}

/* --- labels ----------------------------------------------------------------------------------------------- */

static const char *name_in_frame(lua_State *L, lua_Debug *ar, int fn) {
  const char *name;
  for (int i = 1; (name = lua_getlocal(L, ar, i)) != NULL; i++) {
    bool found = *name != '(' && lua_rawequal(L, -1, fn);
    lua_pop(L, 1);
    if (found) return name;
  }
  lua_getinfo(L, "f", ar);
  for (int i = 1; (name = lua_getupvalue(L, -1, i)) != NULL; i++) {
    bool found = *name != '\0' && lua_rawequal(L, -1, fn);
    lua_pop(L, 1);
    if (found) break;
  }
  lua_pop(L, 1);
  return name;
}

static const char *name_in_globals(lua_State *L, int fn) {
  const char *name = NULL;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || !lua_rawequal(L, -1, fn)) continue;
    name = lua_tostring(L, -2); /* a key of the globals: stays alive while it is pushed as part of the label */
    lua_pop(L, 2);
    break;
  }
  lua_pop(L, 1);
  return name;
}

#define LABEL_LEVELS 8

static const char *guess_name(lua_State *L, int fn) {
  lua_Debug ar;
  for (int level = 1; level < LABEL_LEVELS && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "S", &ar);
    if (strncmp(ar.source, "@lua/", 5) == 0 || *ar.what == 'C') continue;
    const char *name = name_in_frame(L, &ar, fn);
    if (name != NULL) return name;
  }
  return name_in_globals(L, fn);
}

static void push_c_label(lua_State *L, int fn) {
  int top = lua_gettop(L);
  struct ph_codec *c = ph__codec_push(L);
  c->self = top + 1;
  if (ph__push_name(L, c, fn)) {
    const char *module = lua_tostring(L, -2), *field = lua_tostring(L, -1);
    lua_pushfstring(L, strcmp(module, "_G") == 0 ? "%s%s" : "%s.%s", strcmp(module, "_G") == 0 ? "" : module, field);
  } else {
    lua_pushliteral(L, "?");
  }
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}

void ph_codec_push_label(lua_State *L, int idx) {
  lua_Debug ar;
  idx = lua_absindex(L, idx);
  luaL_checkstack(L, 16, NULL);
  if (lua_iscfunction(L, idx)) {
    push_c_label(L, idx);
    return;
  }
  const char *name = guess_name(L, idx);
  lua_pushvalue(L, idx);
  lua_getinfo(L, ">S", &ar);
  if (name != NULL)
    lua_pushfstring(L, "%s (%s:%d)", name, ar.short_src, ar.linedefined);
  else
    lua_pushfstring(L, "function <%s:%d>", ar.short_src, ar.linedefined);
}
