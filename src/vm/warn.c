/* SPDX-License-Identifier: MIT
 * Warnings as in a state of luaL_newstate: off until "@on", then one line each on stderr. */
#include <stdio.h>
#include <string.h>

#include "vm/vm_int.h"

/* A message of one piece that begins with '@' is for us. */
static void control(struct ph_warnings *w, const char *message) {
  if (strcmp(message, "@on") == 0) w->on = true;
  if (strcmp(message, "@off") == 0) w->on = false;
}

static void warn(void *ud, const char *message, int to_be_continued) {
  struct ph_warnings *w = ud;
  bool is_first = !w->continued;
  w->continued = to_be_continued != 0;
  if (is_first && !to_be_continued && *message == '@') {
    control(w, message);
    return;
  }
  if (!w->on) return;
  fprintf(stderr, "%s%s%s", is_first ? "Lua warning: " : "", message, to_be_continued ? "" : "\n");
  fflush(stderr);
}

void ph__warn_install(lua_State *L, struct ph_vm *vm) {
  lua_setwarnf(L, warn, &vm->warnings);
}
