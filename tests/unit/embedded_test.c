/* SPDX-License-Identifier: MIT
 * vm/embedded.h: what was compiled at the build is what Lua makes of the text here, with lines and names. */
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

static void same_bytecode(lua_State *L, const struct ph_embedded_file *file) {
  struct ph_buf b = PH_BUF_INIT;
  CHECK(luaL_loadbufferx(L, (const char *)file->text.data, file->text.len, file->chunkname, "t") == LUA_OK);
  CHECK(lua_dump(L, append, &b, 0) == 0);
  CHECK(b.len == file->compiled.len && memcmp(b.data, file->compiled.data, b.len) == 0);
  ph_buf_deinit(&b);
  lua_pop(L, 1);
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
