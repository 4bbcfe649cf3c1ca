/* SPDX-License-Identifier: MIT
 * A host in its smallest form: runs a Lua file, with pools, tasks and HTTP in it. */
#include <parhost.h>
#include <stdio.h>

int main(int argc, char **argv) {
  char error[256];
  if (argc < 2) {
    fprintf(stderr, "usage: minimal script.lua [args]\n");
    return 2;
  }
  if (parhost_start(error, sizeof error) != 0) fprintf(stderr, "minimal: no process pools: %s\n", error);
  lua_State *L = parhost_newstate();
  if (L == NULL) return 1;

  int status = parhost_run_file(L, argv[1], argc - 2, (const char *const *)argv + 2);
  int code = status == PARHOST_OK ? 0 : 1;
  if (status == PARHOST_FAILED) fprintf(stderr, "minimal: %s\n", lua_tostring(L, -1));
  if (status == PARHOST_EXITED) code = (int)lua_tointeger(L, -1);

  parhost_close(L, status == PARHOST_OK ? PARHOST_WAIT : PARHOST_CANCEL);
  parhost_finish();
  return code;
}
