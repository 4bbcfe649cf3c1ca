/* SPDX-License-Identifier: MIT
 * vm/embedded.h: what was compiled at the build is what Lua makes of the text here, with lines and names of upvalues. */
#include <lauxlib.h>
#include <string.h>

#include "base/buf.h"
#include "check.h"
#include "vm/embedded.h"
#include "vm/vm.h"

static int append(lua_State *L, const void *bytes, size_t n, void *buf) {
  (void)L;
  return ph_buf_put(buf, bytes, n);
}

/* Without what helps to debug. */
static struct ph_buf dump(lua_State *L) {
  struct ph_buf b = PH_BUF_INIT;
  CHECK(lua_dump(L, append, &b, 1) == 0);
  return b;
}

/* Of functions in slots 1 and 2: tables whose keys are lines, in slots 3 and 4. */
static void same_lines(lua_State *L) {
  lua_Debug ar;
  for (int i = 1; i <= 2; i++) {
    lua_pushvalue(L, i);
    CHECK(lua_getinfo(L, ">L", &ar) != 0);
  }
  for (int i = 3; i <= 4; i++) {
    for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
      lua_pushvalue(L, -2);
      CHECK(lua_rawget(L, 7 - i) == LUA_TBOOLEAN);
      lua_pop(L, 1);
    }
  }
}

static void same_bytecode(lua_State *L, const struct ph_embedded_file *file) {
  CHECK(luaL_loadbufferx(L, (const char *)file->text.data, file->text.len, file->chunkname, "t") == LUA_OK);
  struct ph_buf of_text = dump(L);
  CHECK(luaL_loadbufferx(L, (const char *)file->compiled.data, file->compiled.len, file->chunkname, "b") == LUA_OK);
  struct ph_buf of_compiled = dump(L);
  CHECK(of_text.len == of_compiled.len && memcmp(of_text.data, of_compiled.data, of_text.len) == 0);
  CHECK(strcmp(lua_getupvalue(L, 2, 1), "_ENV") == 0 && lua_getupvalue(L, 2, 2) == NULL);
  lua_pop(L, 1);
  same_lines(L);
  ph_buf_deinit(&of_text);
  ph_buf_deinit(&of_compiled);
  lua_settop(L, 0);
}

static void loads_with_source_and_lines(lua_State *L, const struct ph_embedded_file *file) {
  lua_Debug ar;
  CHECK(ph_vm_load_embedded(L, file->module) == 1);
  lua_pushvalue(L, -1); /* which holds the source's name, too */
  CHECK(lua_getinfo(L, ">SL", &ar) != 0);
  CHECK(strcmp(ar.source, file->chunkname) == 0);
  lua_pushnil(L);
  CHECK(lua_next(L, -2) != 0); /* a line with code */
  lua_settop(L, 0);
}

int main(void) {
  const struct ph_vm_options options = {0};
  struct ph_vm *vm = ph_vm_open(&options);
  CHECK(vm != NULL && ph_embedded_count > 50);
  for (size_t i = 0; i < ph_embedded_count; i++) {
    const struct ph_embedded_file *file = &ph_embedded_files[i];
    bool is_lua =
        strcmp(file->chunkname + strlen(file->chunkname) - 4, ".lua") == 0; /* else a part of the page of reports */
    CHECK(is_lua == (file->compiled.data != NULL));
    if (is_lua) same_bytecode(vm->L, file);
    if (is_lua) loads_with_source_and_lines(vm->L, file);
    CHECK(i == 0 || strcmp(ph_embedded_files[i - 1].module, ph_embedded_files[i].module) < 0);
  }
  ph_vm_close(vm);
  return 0;
}
