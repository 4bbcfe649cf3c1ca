/* SPDX-License-Identifier: MIT
 * package.searchers[2]: the modules that are built into the program, C ones and Lua ones.
 *
 * The first state of a process parses a module. The second one leaves it behind in compiled form, for the threads to come:
 * that loads five times as fast. What was compiled is never freed, and belongs to nobody. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
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

struct compiled {
  size_t len;
  char bytes[];
};

#define REMEMBERED_MAX 256 /* modules; there are some eighty */

static struct {
  atomic_bool seen;
  _Atomic(struct compiled *) compiled;
} remembered[REMEMBERED_MAX];

static int append(lua_State *L, const void *bytes, size_t n, void *buf) {
  (void)L;
  return ph_buf_put(buf, bytes, n);
}

/* The function on the stack top, which stays there. */
static void leave_compiled(lua_State *L, size_t place) {
  struct ph_buf b = PH_BUF_INIT;
  struct compiled *none = NULL, *c = NULL;
  if (lua_dump(L, append, &b, 0) == 0) c = malloc(sizeof *c + b.len);
  if (c != NULL) {
    c->len = b.len;
    memcpy(c->bytes, b.data, b.len);
    if (!atomic_compare_exchange_strong(&remembered[place].compiled, &none, c)) free(c);
  }
  ph_buf_deinit(&b);
}

static void load_embedded(lua_State *L, const struct ph_embedded_file *file) {
  size_t place = (size_t)(file - ph_embedded_files);
  bool fits = place < REMEMBERED_MAX;
  const struct compiled *c = fits ? atomic_load(&remembered[place].compiled) : NULL;
  const char *data = c != NULL ? c->bytes : (const char *)file->data;
  size_t len = c != NULL ? c->len : file->len;
  if (luaL_loadbufferx(L, data, len, file->chunkname, c != NULL ? "b" : "t") != LUA_OK) lua_error(L);
  if (fits && c == NULL && atomic_exchange(&remembered[place].seen, true)) leave_compiled(L, place);
}

int ph_vm_load_embedded(lua_State *L, const char *module) {
  const struct ph_embedded_file *file = find_embedded(module);
  if (file == NULL) return luaL_error(L, "module '%s' is not built in", module);
  load_embedded(L, file);
  return 1;
}

static bool is_private(const char *name) {
  return strncmp(name, "cli.", 4) == 0; /* of the command line alone: a user may have a module of that name */
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
  if (file == NULL) return 0;
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
