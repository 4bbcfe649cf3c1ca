/* SPDX-License-Identifier: MIT
 * A tool that gives its own C functions to its main state, and to the state of every worker. */
#include <lauxlib.h>
#include <parhost.h>
#include <stdio.h>

static int count_letter(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len), *letter = luaL_checkstring(L, 2);
  lua_Integer n = 0;
  for (size_t i = 0; i < len; i++) n += text[i] == *letter;
  lua_pushinteger(L, n);
  return 1;
}

static int open_tool(lua_State *L) {
  static const luaL_Reg functions[] = {{"count_letter", count_letter}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

/* Called by us for the main state, and by parhost for each worker's. */
static int add_tool(lua_State *L) {
  luaL_requiref(L, "tool", open_tool, 0);
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  parhost_on_worker(add_tool, NULL);
  if (parhost_start(NULL, 0) != 0) return 1;
  lua_State *L = parhost_newstate();
  if (L == NULL) return 1;

  lua_pushcfunction(L, add_tool);
  int status = parhost_call(L, 0, 0);
  if (status == PARHOST_OK) status = parhost_run_file(L, argv[1], 0, NULL);
  if (status == PARHOST_FAILED) fprintf(stderr, "functions: %s\n", lua_tostring(L, -1));

  parhost_close(L, PARHOST_WAIT);
  parhost_finish();
  return status;
}
