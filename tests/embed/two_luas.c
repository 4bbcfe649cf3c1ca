/* SPDX-License-Identifier: MIT
 * For tests/spec/embed_tools_spec.lua: has a Lua of its own, linked in and hidden, and loads parhost beside the shared one.
 */
#include <dlfcn.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>

int main(void) {
  union {
    void *address;
    int (*call)(lua_State *L);
  } open;
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  dlopen("liblua5.4.so.0", RTLD_NOW | RTLD_GLOBAL);
  void *parhost = dlopen("libparhost.so.0", RTLD_NOW);
  if (parhost == NULL) {
    puts(dlerror());
    return 1;
  }
  open.address = dlsym(parhost, "parhost_open");
  int status = open.call(L);
  puts(status == 0 ? "no difference was seen" : lua_tostring(L, -1));
  lua_close(L);
  return 0;
}
