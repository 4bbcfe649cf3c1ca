/* SPDX-License-Identifier: MIT */
#include "loop/curl_api.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

#include "base/fault.h"

#define OLDEST "7.87.0" /* CURLOPT_QUICK_EXIT: giving up a request must not wait for the resolver's thread */

static struct ph_curl_api api;
static struct ph_err failure; /* kind NULL: loaded */

struct function {
  const char *name;
  size_t offset;
};

static void *open_library(void) {
  static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl-nss.so.4"};
  void *library = NULL;
  for (size_t i = 0; i < sizeof names / sizeof *names && library == NULL; i++)
    library = PH_FAULT(dlopen) ? NULL : dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  return library;
}

static int fill_table(void *library) {
  static const struct function functions[] = {
#define X(name, result, arguments) {"curl_" #name, offsetof(struct ph_curl_api, name)},
      PH_CURL_FUNCTIONS(X)
#undef X
  };
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *address = dlsym(library, functions[i].name);
    if (address == NULL)
      return ph_err_set(&failure, "http", 0, "libcurl is too old (%s or later is needed): it has no %s", OLDEST,
                        functions[i].name);
    *(void **)((char *)&api + functions[i].offset) = address;
  }
  return 0;
}

static void load(void) {
  void *library = open_library();
  if (library == NULL) {
    const char *why = dlerror();
    ph_err_set(&failure, "http", 0, "HTTP needs libcurl, which cannot be loaded (Debian's package is libcurl4): %s",
               why != NULL ? why : "not found");
    return;
  }
  if (fill_table(library) != 0) return;
  if (api.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) ph_err_set(&failure, "http", 0, "libcurl cannot be initialized");
}

const struct ph_curl_api *ph_curl_api(struct ph_err *err) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  if (failure.kind == NULL) return &api;
  *err = failure;
  return NULL;
}
