/* SPDX-License-Identifier: MIT
 * package.searchers[2]: the modules that are built into the program, C ones and Lua ones. Those were compiled when the
 * program was built: that loads five times as fast as their text. */
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "modules.h"
#include "vm/embedded.h"
#include "vm/vm_int.h"

static const struct ph_embedded_file *find_embedded(const char *name) {
  size_t low = 0, high = ph_embedded_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = strcmp(name, ph_embedded_files[middle].module);
    if (order == 0) return &ph_embedded_files[middle];
    if (order < 0) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return NULL;
}

static lua_CFunction find_c_module(const char *name) {
  for (const struct ph_module *m = ph_modules; m->name != NULL; m++) {
    if (strcmp(m->name, name) == 0) return m->open;
  }
  return NULL;
}

static int load_chunk(lua_State *L, const struct ph_embedded_chunk *chunk, const char *chunkname, const char *mode) {
  return luaL_loadbufferx(L, (const char *)chunk->data, chunk->len, chunkname, mode);
}

/* Bytecode is for one release of Lua on one kind of machine: a shared liblua may be another one than at the build. */
static void load_embedded(lua_State *L, const struct ph_embedded_file *file) {
  if (strstr(lua_ident, LUA_RELEASE) != NULL) {
    if (load_chunk(L, &file->compiled, file->chunkname, "b") == LUA_OK) return;
    lua_pop(L, 1);
  }
  if (load_chunk(L, &file->text, file->chunkname, "t") != LUA_OK) lua_error(L);
}

int ph_vm_load_embedded(lua_State *L, const char *module) {
  const struct ph_embedded_file *file = find_embedded(module);
  if (file == NULL || file->compiled.data == NULL) return luaL_error(L, "module '%s' is not built in", module);
  load_embedded(L, file);
  return 1;
}

/* Of the command line alone, and the stubs of lua/meta, which are text to it: a user may have modules of these names. */
static bool is_private(const char *name) {
  return strncmp(name, "cli.", 4) == 0 || strncmp(name, "meta.", 5) == 0;
}

bool ph__is_module(const char *chunkname) {
  if (strncmp(chunkname, "@lua/", 5) != 0) return false;
  for (size_t i = 0; i < ph_embedded_count; i++) {
    const struct ph_embedded_file *file = &ph_embedded_files[i];
    if (strcmp(file->chunkname, chunkname) == 0) return !is_private(file->module);
  }
  return false;
}

static int search(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  lua_CFunction open = find_c_module(name);
  if (open != NULL) {
    lua_pushcfunction(L, open);
    lua_pushliteral(L, ":parhost:");
    return 2;
  }
  const struct ph_embedded_file *file = is_private(name) ? NULL : find_embedded(name);
  if (file == NULL || file->compiled.data == NULL) return 0;
  load_embedded(L, file);
  lua_pushstring(L, file->chunkname + 1);
  return 2;
}

void ph__searcher_install(lua_State *L) {
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_getfield(L, -1, "searchers");
  for (lua_Integer i = luaL_len(L, -1); i >= 2; i--) {
    lua_rawgeti(L, -1, i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushcfunction(L, search);
  lua_rawseti(L, -2, 2);
  lua_pop(L, 2);
}
