/* SPDX-License-Identifier: MIT */
#include "lib/edit_api.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>

static struct ph_edit_api api;

static bool fill_table(void *library) {
  static const struct {
    const char *name;
    size_t offset;
  } functions[] = {
#define X(name, result, arguments) {#name, offsetof(struct ph_edit_api, name)},
      PH_EDIT_FUNCTIONS(X)
#undef X
  };
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *address = dlsym(library, functions[i].name);
    if (address == NULL) return false;
    *(void **)((char *)&api + functions[i].offset) = address;
  }
  return true;
}

const struct ph_edit_api *ph_edit_api(void) {
  static const char *const names[] = {"libedit.so.2", "libedit.so.0", "libedit.so"};
  static bool tried, loaded;
  if (!tried) {
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && library == NULL; i++)
      library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    loaded = library != NULL && fill_table(library);
    tried = true;
  }
  return loaded ? &api : NULL;
}
